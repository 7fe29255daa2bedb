"""Claims of `background.health_watch`."""

import pytest

from bridge.background.health_watch import watch_health
from bridge.clock import Deadline
from bridge.errors import ConnectionFailed
from bridge.messagelog import Durability, LogHealth
from tests.support.clock import FakeClock


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


async def test_a_look_asks_the_log_itself_with_a_deadline() -> None:
    probe = Probe(answers=True)
    await watch_health(probe, clock=FakeClock(), timeout_s=5.0)
    assert probe.asked_with_s == [5.0]


async def test_a_log_that_does_not_answer_is_told_to_the_supervisor() -> None:
    with pytest.raises(ConnectionFailed):
        await watch_health(Probe(answers=False), clock=FakeClock(), timeout_s=5.0)
