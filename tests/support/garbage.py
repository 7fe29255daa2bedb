"""What only the garbage collector would have found, and what not even that finds."""

import gc
from collections.abc import Awaitable, Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from aiohttp import web

__all__ = ("Left", "left_by")

#: Where the objects of a request come from; the loop and its transports are the loop's own affair.
_OURS = ("bridge", "aiohttp", "multidict", "yarl")


class Left(NamedTuple):
    """
    Garbage in circles, and requests in circles that the collector is not shown, for they pass through an object without it.

    Attributes:
        ours: classes of the bridge's objects and of aiohttp's, and what frames are named, sorted; "lost request" for each of
            the latter.
        payload_bytes: of all bytes that it holds.
    """

    ours: list[str]
    payload_bytes: int


async def left_by(
    once: Callable[[], Awaitable[None]], *, times: int, settled: Callable[[], Awaitable[None]]
) -> Left:
    """
    What *once* leaves when it is done so many times, after a first time that fills caches.

    Args:
        settled: returns when the server has heard of the last end.
    """
    await once()
    await settled()
    gc.collect()
    # What is there already is no affair of the collector's: what a test before left goes when it likes.
    gc.freeze()
    before = _requests()
    gc.disable()
    try:
        for _ in range(times):
            await once()
        await settled()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = sorted(filter(None, map(_name, gc.garbage)))
        payload_bytes = _payload_bytes(gc.garbage)
        gc.garbage.clear()
        gc.collect()
        return Left(found + ["lost request"] * (_requests() - before), payload_bytes)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _requests() -> int:
    return sum(isinstance(each, web.BaseRequest) for each in gc.get_objects())


def _name(found: object) -> str:
    code = getattr(found, "f_code", None)
    if code is not None:
        return f"frame of {code.co_qualname}"
    kind = type(found)
    return kind.__qualname__ if kind.__module__.partition(".")[0] in _OURS else ""


def _payload_bytes(garbage: list[Any]) -> int:
    """Of the bytes that garbage holds, itself or in lists and tuples of any depth."""
    met: set[int] = set()
    roots = {id(each) for each in garbage}
    left: list[Any] = list(garbage)
    total = 0
    while left:
        one = left.pop()
        if id(one) in met or isinstance(one, type | ModuleType | FunctionType):
            continue
        met.add(id(one))
        if isinstance(one, bytes | bytearray | memoryview):
            total += len(one)
        elif id(one) in roots or isinstance(one, list | tuple):
            left += gc.get_referents(one)
    return total
