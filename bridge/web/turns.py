"""Long work on the event loop, in turns with everything else (shell over `events.Steps`)."""

import asyncio
from typing import TypeVar

from bridge.events import Steps

__all__ = ("in_turns",)

T = TypeVar("T")


async def in_turns(steps: Steps[T]) -> T:
    """What comes of *steps*; between two of them every other request has its turn."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
