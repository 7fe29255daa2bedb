"""What a serving process is given by whoever started it (wiring)."""

import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.policy.limit_storage import LimitTables
from bridge.shutdown import Stop
from bridge.telemetry.metrics import Metrics

__all__ = ("Place",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a process: by default it stands alone.

    Attributes:
        port_sockets: listen on the main port; None to take it.
        metrics_sockets: likewise for the metrics, where these have a port of their own.
        limit_tables: where limits are counted; None for tables of its own.
        background: further tasks by name, each made from what ends the process.
    """

    metrics: Metrics = field(default_factory=Metrics)
    port_sockets: Sequence[socket.socket] | None = None
    metrics_sockets: Sequence[socket.socket] | None = None
    limit_tables: LimitTables | None = None
    background: tuple[tuple[str, Callable[[Stop], Coroutine[Any, Any, None]]], ...] = ()
