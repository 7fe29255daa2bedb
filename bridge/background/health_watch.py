"""Looking after the log's connection (shell), so that a dead one is found before a request finds it."""

from bridge.clock import Clock, Deadline
from bridge.messagelog import HealthProbe

__all__ = ("watch_health",)


async def watch_health(probe: HealthProbe, *, clock: Clock, timeout_s: float) -> None:
    """
    Ask the log once; one step for `supervise`.

    Raises:
        LogError: if it does not answer within *timeout_s*.
    """
    await probe.probe(deadline=Deadline.after(timeout_s, clock))
