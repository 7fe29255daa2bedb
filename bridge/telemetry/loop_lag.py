"""How late the event loop is (shell): the one figure that shows blocking code and saturation alike."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from bridge.clock import Clock
from bridge.limits import LOOP_LAG_INTERVAL_S
from bridge.telemetry.metrics import TaskMetrics

__all__ = ("LAG_WARNED_S", "watch_loop_lag")

_log = structlog.get_logger("bridge.telemetry")

#: Beyond this, requests feel it and probes begin to fail.
LAG_WARNED_S = 0.5


async def watch_loop_lag(
    metrics: TaskMetrics,
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
    interval_s: float = LOOP_LAG_INTERVAL_S,
) -> NoReturn:
    """Sleep again and again, and tell by how much longer it took."""
    while True:
        asked_s = clock.monotonic_s()
        await sleep(interval_s)
        lag_s = max(0.0, clock.monotonic_s() - asked_s - interval_s)
        metrics.loop_lag_s.at().observe(lag_s)
        if lag_s > LAG_WARNED_S:
            _log.warning("event_loop_lagged", lag_ms=round(lag_s * 1000))
