"""A coroutine that is cancelled where it waits for the n-th time, as the loop does it: what it waits for ends with it."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ("CancelledAt",)

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """
    To be awaited in a task of its own.

    Args:
        at: the number of the wait, from 1; 0 cancels nothing.

    Attributes:
        waits: how often it has waited.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], at: int) -> None:
        self.waits = 0
        self._coroutine = coroutine
        self._at = at

    def __await__(self) -> Generator[Any, Any, T]:
        resume = self._coroutine.send
        argument: Any = None
        while True:
            try:
                waited = resume(argument)
            except StopIteration as done:
                value: T = done.value
                return value
            self.waits += 1
            task = asyncio.current_task()
            if self.waits == self._at and task is not None:
                task.cancel()
            try:
                argument = yield waited
                resume = self._coroutine.send
            except BaseException as error:  # noqa: BLE001 (whatever it is, it is the coroutine's)
                argument, resume = error, self._coroutine.throw
