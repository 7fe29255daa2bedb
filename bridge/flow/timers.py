"""Waiting as a value that is handed in, so that tests can decide when a time is up; tasks that several share, and many pieces of work some at a time (shell)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Protocol, TypeAlias, TypeVar

_T = TypeVar("_T")
_Item = TypeVar("_Item")


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""


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


def in_background(work: Coroutine[Any, Any, _T], *, name: str) -> "asyncio.Task[_T]":
    """A task for *work*, which is shared.

    In a context of its own: in that of the first client its log lines would bear his request id for ever.
    """
    return asyncio.get_running_loop().create_task(work, name=name, context=Context())


async def some_at_once(
    work: Callable[[_Item], Awaitable[_T]], items: Sequence[_Item], count: int
) -> list[_T]:
    """What *work* gives for each of *items*, in their order, *count* of them at a time."""
    results: list[_T] = []
    for at in range(0, len(items), count):
        results += await asyncio.gather(*map(work, items[at : at + count]))
    return results


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return when *event* is set, after *seconds* at the latest; whether it was."""
    try:
        # Not `wait_for`, which before Python 3.12 forgets a cancellation that comes with the event.
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
