"""Long work between everything else."""

import asyncio

import pytest

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, Outcome
from bridge.events import Steps
from bridge.web.server.turns import in_turns
from tests.support.clock import FakeClock


async def test_between_two_steps_others_have_their_turn() -> None:
    seen: list[str] = []

    def steps() -> Steps[str]:
        for number in range(3):
            seen.append(f"step {number}")
            yield
        return "done"

    async def other() -> None:
        for number in range(3):
            seen.append(f"other {number}")
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    assert await in_turns(steps(), deadline=None) == "done"
    await running
    assert seen == [f"{who} {number}" for number in range(3) for who in ("step", "other")]


@pytest.mark.parametrize("outcome", [None, Outcome.NOT_WRITTEN])
async def test_it_ends_with_its_time_and_lets_go_of_what_it_holds(outcome: Outcome | None) -> None:
    clock = FakeClock()
    left = False

    def steps() -> Steps[None]:
        nonlocal left
        try:
            while True:
                clock.advance(1)
                yield
        finally:
            left = True

    with pytest.raises(DeadlineExceeded) as fault:
        await in_turns(steps(), deadline=Deadline.after(2, clock), outcome=outcome)
    assert left
    assert fault.value.outcome is outcome
