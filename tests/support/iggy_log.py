"""Opens Iggy logs for tests, runs their supervised part, and ends both."""

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import AsyncIterator
from typing import Any

from bridge.clock import Deadline, SystemClock
from bridge.config import IggyConfig
from bridge.iggy.message_log import IggyMessageLog
from bridge.messagelog import Durability, TopicRef
from bridge.telemetry.metrics import LogMetrics
from tests.support.turns import until

__all__ = ("IggyLogs", "iggy_logs", "soon", "unique")

_numbers = itertools.count()


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


def unique(prefix: str = "s") -> str:
    """A name no other test uses, on a server that may be shared."""
    return f"{prefix}-{os.getpid()}-{random.randrange(10**9)}-{next(_numbers)}"


class IggyLogs:
    """Opened logs, each with its running reconnection."""

    def __init__(self) -> None:
        self._opened: list[tuple[IggyMessageLog, asyncio.Task[None]]] = []

    async def open(
        self,
        connection_string: str,
        *,
        durability: Durability = Durability.PERSISTED,
        observer: LogMetrics | None = None,
        **settings: Any,
    ) -> IggyMessageLog:
        config = IggyConfig(
            connection_string=connection_string,
            **{"reconnect_base_delay_ms": 20, "reconnect_delay_ms_max": 50, **settings},
        )
        log = IggyMessageLog(
            config,
            durability=durability,
            clock=SystemClock(),
            observer=observer or LogMetrics(),
            rng=random.Random(7),
        )
        not_tried = log.health().detail
        self._opened.append((log, asyncio.create_task(log.run())))
        await until(lambda: log.health().detail != not_tried)
        return log

    async def topic(self, log: IggyMessageLog, *, partitions: int = 1) -> TopicRef:
        """A fresh topic in a fresh stream."""
        topic = TopicRef(unique(), "events")
        await log.create_stream(topic.stream, deadline=soon())
        await log.create_topic(topic, partitions_count=partitions, deadline=soon())
        return topic

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """The supervised parts, in the order of opening."""
        return [run for _, run in self._opened]

    async def close(self) -> None:
        for log, run in self._opened:
            await log.close()
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run
        self._opened.clear()


@contextlib.asynccontextmanager
async def iggy_logs() -> AsyncIterator[IggyLogs]:
    logs = IggyLogs()
    try:
        yield logs
    finally:
        await logs.close()
