"""Claims of `telemetry.loop_lag`."""

import pytest

from bridge.telemetry.loop_lag import watch_loop_lag
from tests.support.clock import FakeClock


class Lags:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def task_failed(self, task: str, code: str) -> None: ...

    def loop_lagged(self, seconds: float) -> None:
        self.seconds.append(seconds)


class EndOfTestError(Exception):
    """Leaves a loop that has no end of its own."""


async def watched(lates: list[float]) -> Lags:
    clock = FakeClock()
    lags = Lags()

    async def sleep(seconds: float) -> None:
        if not lates:
            raise EndOfTestError
        clock.advance(seconds + lates.pop(0))

    with pytest.raises(EndOfTestError):
        await watch_loop_lag(lags, clock=clock, sleep=sleep, interval_s=0.25)
    return lags


async def test_lag_is_what_a_sleep_took_beyond_what_was_asked() -> None:
    lags = await watched([0.0, 0.1, -0.01])
    assert lags.seconds == [pytest.approx(0.0), pytest.approx(0.1), 0.0]


async def test_only_a_long_lag_is_told_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    await watched([0.4])
    assert "event_loop_lagged" not in capsys.readouterr().out
    await watched([0.6])
    assert "event_loop_lagged" in capsys.readouterr().out
