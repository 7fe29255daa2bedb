"""Ending the series of topics that are not there any more (shell)."""

from bridge.clock import Clock, Deadline
from bridge.errors import NotFound
from bridge.messagelog import MessageLog
from bridge.telemetry.metrics import LogMetrics

__all__ = ("tidy_figures",)


async def tidy_figures(log: MessageLog, metrics: LogMetrics, *, clock: Clock, timeout_s: float) -> None:
    """
    Look once which topics there are, whoever deleted the others; one step for `supervise`.

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
