"""What is looked at now and then (shell): the connection, the log as a whole, which topics have series, and how late the event loop is."""

import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from bridge.background.blocked import Blocked, looking
from bridge.clock import Clock, Deadline
from bridge.errors import NotFound
from bridge.limits import LOOP_LAG_INTERVAL_S
from bridge.messagelog import HealthProbe, LogHealth, LogTotals, MessageLog
from bridge.telemetry.metrics import LogMetrics, TaskMetrics

_log = structlog.get_logger("bridge.telemetry")

#: Beyond this, requests feel it and probes begin to fail.
LAG_WARNED_S = 0.5


async def watch_health(probe: HealthProbe, *, clock: Clock, timeout_s: float) -> None:
    """Ask the log once; one step for `supervise`.

    Raises:
        LogError: if it does not answer within *timeout_s*.
    """
    await probe.probe(deadline=Deadline.after(timeout_s, clock))


def measure_log(metrics: LogMetrics, totals: LogTotals | None, health: LogHealth) -> None:
    """Tell how much is in the log, where that is known, and what its acknowledgements mean."""
    metrics.durability.set_state(health.durability)
    metrics.weaker_topics.set(len(health.warnings))
    if totals is not None:
        metrics.messages.set(totals.messages_count)
        metrics.size_bytes.set(totals.size_bytes)


async def tidy_figures(log: MessageLog, metrics: LogMetrics, *, clock: Clock, timeout_s: float) -> None:
    """Look once which topics there are, whoever deleted the others; one step for `supervise`.

    Raises:
        LogError: if the log does not answer within *timeout_s*; the series of what was not looked at stay.
    """
    deadline = Deadline.after(timeout_s, clock)
    for stream in metrics.begin_round():
        try:
            topics = {each.name for each in await log.topics(stream, deadline=deadline)}
        except NotFound:
            topics = set()
        metrics.keep_topics(stream, topics)


async def watch_loop_lag(
    metrics: TaskMetrics,
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
    interval_s: float = LOOP_LAG_INTERVAL_S,
) -> NoReturn:
    """Sleep again and again, and tell by how much longer it took; where the loop was meanwhile if it was long."""
    blocked = Blocked(clock, threading.get_ident(), late_s=LAG_WARNED_S)
    with looking(blocked):
        while True:
            asked_s = clock.monotonic_s()
            blocked.expect(interval_s)
            await sleep(interval_s)
            lag_s = max(0.0, clock.monotonic_s() - asked_s - interval_s)
            metrics.loop_lag_s.at().observe(lag_s)
            if lag_s > LAG_WARNED_S:
                _log.warning("event_loop_lagged", lag_ms=round(lag_s * 1000), blocked_at=blocked.stack())
