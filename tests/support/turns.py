"""Waiting for what the running loop will bring about, turn by turn."""

import asyncio
from collections.abc import Callable

__all__ = ("until",)


async def until(holds: Callable[[], object]) -> None:
    """Let the loop run until *holds* says so; the test's own timeout is the bound."""
    while not holds():  # noqa: ASYNC110 (what is waited for has no event, and must not get one for a test)
        await asyncio.sleep(0)
