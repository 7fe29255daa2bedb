"""Claims of `background.supervise`."""

from collections.abc import Awaitable, Callable

import pytest

from bridge.background.supervise import Pace, retry_until_done, supervise
from bridge.errors import BridgeError, ConfigError, ConnectionFailed, Disconnected, StartupError
from bridge.telemetry.metrics import TaskMetrics
from tests.support.figures import figure, total


class EndOfTestError(Exception):
    """Leaves a loop that has no end of its own."""


def recorded_sleep(waits: list[float], *, ends_after: int) -> Callable[[float], Awaitable[None]]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == ends_after:
            raise EndOfTestError

    return sleep


def steps(*outcomes: Exception | None) -> Callable[[], Awaitable[None]]:
    left = list(outcomes)

    async def step() -> None:
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome

    return step


def paced(waits: list[float], *, ends_after: int) -> Pace:
    return Pace(interval_s=2.0, delay_max_s=10.0, sleep=recorded_sleep(waits, ends_after=ends_after))


async def test_successes_are_an_interval_apart() -> None:
    waits: list[float] = []
    with pytest.raises(EndOfTestError):
        await supervise("t", steps(None, None, None), pace=paced(waits, ends_after=3), metrics=TaskMetrics())
    assert waits == [2.0, 2.0, 2.0]


async def test_failures_in_a_row_double_the_wait_up_to_the_ceiling_and_a_success_resets_it() -> None:
    waits: list[float] = []
    counted = TaskMetrics()
    failures = [ConnectionFailed() for _ in range(4)]
    with pytest.raises(EndOfTestError):
        await supervise(
            "t",
            steps(*failures, None, ConnectionFailed()),
            pace=paced(waits, ends_after=6),
            metrics=counted,
        )
    assert waits == [2.0, 4.0, 8.0, 10.0, 2.0, 2.0]
    assert figure(counted, "bridge_task_failures_total", task="t", code="connection_failed") == 5


@pytest.mark.parametrize("error", [StartupError("gone"), ConfigError(("x",)), ValueError("bug")])
async def test_an_error_that_waiting_does_not_mend_leaves_at_once(error: Exception) -> None:
    counted = TaskMetrics()
    with pytest.raises(type(error)):
        await supervise("t", steps(error), pace=paced([], ends_after=9), metrics=counted)
    assert total(counted.failures) == 0


async def test_retrying_ends_with_the_first_success() -> None:
    waits: list[float] = []
    counted = TaskMetrics()
    work = steps(Disconnected(), Disconnected(), None)
    await retry_until_done("t", work, pace=paced(waits, ends_after=9), metrics=counted)
    assert waits == [2.0, 4.0]
    assert figure(counted, "bridge_task_failures_total", task="t", code="disconnected") == 2


async def test_an_outage_is_logged_once_per_kind_and_once_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outage: list[BridgeError | None] = [ConnectionFailed(), ConnectionFailed(), Disconnected(), None]
    await_more = [*outage, None]
    with pytest.raises(EndOfTestError):
        await supervise("t", steps(*await_more), pace=paced([], ends_after=5), metrics=TaskMetrics())
    told = capsys.readouterr().out
    assert told.count("task_step_failed") == 2
    assert told.count("task_recovered") == 1


def test_a_ceiling_below_the_interval_keeps_the_interval() -> None:
    pace = Pace(interval_s=30.0, delay_max_s=1.0, sleep=recorded_sleep([], ends_after=1))
    assert [pace.delay_s(failures) for failures in (0, 1, 5, 10_000)] == [30.0] * 4
