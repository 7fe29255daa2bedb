"""Claims of `telemetry.loop_lag`."""

import pytest

from bridge.telemetry.loop_lag import watch_loop_lag
from bridge.telemetry.metrics import TaskMetrics
from tests.support.clock import FakeClock
from tests.support.figures import figure

LAG = "bridge_event_loop_lag_seconds"


class EndOfTestError(Exception):
    """Leaves a loop that has no end of its own."""


async def watched(lates: list[float]) -> TaskMetrics:
    clock = FakeClock()
    lags = TaskMetrics()

    async def sleep(seconds: float) -> None:
        if not lates:
            raise EndOfTestError
        clock.advance(seconds + lates.pop(0))

    with pytest.raises(EndOfTestError):
        await watch_loop_lag(lags, clock=clock, sleep=sleep, interval_s=0.25)
    return lags


async def test_lag_is_what_a_sleep_took_beyond_what_was_asked() -> None:
    lags = await watched([0.0, 0.1, -0.01])
    assert figure(lags, f"{LAG}_count") == 3
    assert figure(lags, f"{LAG}_sum") == pytest.approx(0.1)
    assert figure(lags, f"{LAG}_bucket", le="0.0005") == 2


async def test_only_a_long_lag_is_told_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    await watched([0.4])
    assert "event_loop_lagged" not in capsys.readouterr().out
    await watched([0.6])
    assert "event_loop_lagged" in capsys.readouterr().out
