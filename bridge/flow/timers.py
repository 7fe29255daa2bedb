"""Waiting as a value that is handed in (shell), so that tests can decide when a time is up."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

__all__ = ("Timer", "Timers", "loop_timers", "pause")


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""
        ...


Timers: TypeAlias = Callable[[float, Callable[[], None]], Timer]
"""Calls the second argument once, so many seconds from now."""


def loop_timers(delay_s: float, callback: Callable[[], None]) -> Timer:
    """Those of the running event loop."""
    return asyncio.get_running_loop().call_later(delay_s, callback)


async def pause(timers: Timers, delay_s: float) -> None:
    """Return *delay_s* seconds from now."""
    passed = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not passed.done():
            passed.set_result(None)

    timer = timers(delay_s, wake)
    try:
        await passed
    finally:
        timer.cancel()
