"""Long work on the event loop, in turns with everything else (shell over `events.Steps`)."""

import asyncio
from typing import TypeVar

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, Outcome
from bridge.events import Steps

T = TypeVar("T")


async def in_turns(steps: Steps[T], *, deadline: Deadline | None, outcome: Outcome | None = None) -> T:
    """What comes of *steps*; between two of them every other request has its turn.

    Args:
        deadline: looked at after each turn; None where the work is a part of something that has no time of its own.
        outcome: of a write that this is the beginning of.

    Raises:
        DeadlineExceeded: if the time is up before the end.
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
        if deadline is not None and not deadline.remaining_s():
            steps.close()
            raise DeadlineExceeded(outcome=outcome)
