"""Background work that outlives expected trouble and no other (shell).

An error of the log is weather: it is counted, told once, and waited out. Anything else is a fault of the program and
leaves, through the one task group, as the end of the process: a bridge whose health watch died in silence would
look well for ever.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from bridge.errors import BridgeError, ConfigError, StartupError
from bridge.telemetry.metrics import TaskMetrics

_log = structlog.get_logger("bridge.background")
# 2 to this power times any base is beyond every ceiling; larger powers only cost.
_DOUBLINGS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to wait between steps.

    Attributes:
        interval_s: after a success, and the first wait after a failure.
        delay_max_s: ceiling of the wait, which doubles with each failure in a row.
        sleep: `asyncio.sleep`, or a test's.
    """

    interval_s: float
    delay_max_s: float
    sleep: Callable[[float], Awaitable[None]]

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row."""
        doublings = min(max(0, failures - 1), _DOUBLINGS_MAX)
        return min(self.interval_s * 2.0**doublings, max(self.interval_s, self.delay_max_s))


class _Watched:
    """One task's steps, with the failures in a row."""

    def __init__(self, name: str, step: Callable[[], Awaitable[None]], metrics: TaskMetrics) -> None:
        self.failures = 0
        self._name = name
        self._step = step
        self._metrics = metrics
        self._told: str | None = None

    async def run_step(self) -> bool:
        """Whether the step succeeded; told in the log only when that changes, since an outage may last for hours."""
        try:
            await self._step()
        except (StartupError, ConfigError):
            raise
        except BridgeError as error:
            self.failures += 1
            self._metrics.failures.add(self._name, error.code)
            if self._told != error.code:
                self._told = error.code
                _log.warning("task_step_failed", task=self._name, code=error.code, detail=error.detail)
            return False
        if self.failures:
            _log.info("task_recovered", task=self._name, failures=self.failures)
        self.failures = 0
        self._told = None
        return True


async def supervise(
    name: str, step: Callable[[], Awaitable[None]], *, pace: Pace, metrics: TaskMetrics
) -> NoReturn:
    """Run *step* again and again until cancelled.

    Raises:
        StartupError, ConfigError: which end the process by their own exit code.
        Exception: whatever else *step* raises that is no `BridgeError`.
    """
    watched = _Watched(name, step, metrics)
    while True:
        await watched.run_step()
        await pace.sleep(pace.delay_s(watched.failures))


async def retry_until_done(
    name: str, step: Callable[[], Awaitable[None]], *, pace: Pace, metrics: TaskMetrics
) -> None:
    """As `supervise`, but over with the first success."""
    watched = _Watched(name, step, metrics)
    while not await watched.run_step():
        await pace.sleep(pace.delay_s(watched.failures))
