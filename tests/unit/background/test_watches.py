"""Claims of `background.watches`."""

import pytest

from bridge.background.watches import measure_log, watch_health, watch_loop_lag
from bridge.clock import Deadline
from bridge.errors import ConnectionFailed
from bridge.messagelog import Durability, LogHealth, LogTotals
from bridge.telemetry.metrics import LogMetrics, TaskMetrics
from tests.support.clock import FakeClock
from tests.support.figures import figure

LAG = "bridge_event_loop_lag_seconds"


class Probe:
    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked_with_s: list[float] = []

    def health(self) -> LogHealth:
        return LogHealth(kind="local", state="open", ready=True, detail="", durability=Durability.PERSISTED)

    async def probe(self, *, deadline: Deadline) -> None:
        self.asked_with_s.append(deadline.remaining_s())
        if not self.answers:
            raise ConnectionFailed


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


async def test_a_look_asks_the_log_itself_with_a_deadline() -> None:
    probe = Probe(answers=True)
    await watch_health(probe, clock=FakeClock(), timeout_s=5.0)
    assert probe.asked_with_s == [5.0]


async def test_a_log_that_does_not_answer_is_told_to_the_supervisor() -> None:
    with pytest.raises(ConnectionFailed):
        await watch_health(Probe(answers=False), clock=FakeClock(), timeout_s=5.0)


def test_the_log_is_told_with_what_its_acknowledgements_mean() -> None:
    metrics = LogMetrics()
    health = LogHealth(
        kind="iggy",
        state="connected",
        ready=True,
        detail="",
        durability=Durability.PERSISTED,
        warnings=("The topic a/b is less.",),
    )
    measure_log(metrics, LogTotals(streams_count=1, topics_count=2, messages_count=3, size_bytes=4), health)
    assert figure(metrics, "bridge_log_durability", durability="persisted") == 1
    assert figure(metrics, "bridge_log_weaker_topics") == 1
    assert figure(metrics, "bridge_log_messages") == 3
    assert figure(metrics, "bridge_log_size_bytes") == 4


def test_what_is_not_known_of_the_log_has_no_figure() -> None:
    metrics = LogMetrics()
    measure_log(metrics, None, Probe(answers=True).health())
    assert not metrics.messages.series
    assert not metrics.size_bytes.series
