"""What ends requests that do not end by themselves (shell): one timer for all of them."""

import asyncio
import math
from typing import Final

# How late a request may be ended: a fifth of what it is given beyond its deadline (`limits.DEADLINE_BACKSTOP_S`).
_LOOK_S: Final = 0.1


class Backstops:
    """When each request in flight is cancelled, looked at ten times a second while there is one.

    A request is known by the task that serves it. An `asyncio.timeout` around each
    request took 4.7 us, nearly always to be thrown away unused; this takes 0.6.
    """

    __slots__ = ("_cancelled", "_ends_at_s", "_loop", "_timer")

    def __init__(self) -> None:
        self._ends_at_s: dict[asyncio.Task[object], float] = {}
        self._cancelled: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Of every request that is watched over.
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._ends_at_s)

    def guard(self, seconds: float) -> "asyncio.Task[object]":
        """Watch over the running task: it is cancelled *seconds* from now, if it was not released."""
        loop = self._loop
        if loop is None:
            # Once: to ask which loop is running asks the system which process this is.
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be ended")
        self._ends_at_s[task] = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_later(min(seconds, _LOOK_S), self._look, loop)
        return task

    def lift(self) -> None:
        """The running request bounds each of its steps by itself: only `cancel_all` ends it now."""
        task = asyncio.current_task(self._loop)
        if task is not None and task in self._ends_at_s:
            self._ends_at_s[task] = math.inf

    def release(self, task: "asyncio.Task[object]") -> bool:
        """The request that *task* served has ended, by itself or not.

        Returns:
            Whether it was cancelled here and by nobody else; that cancellation is taken back.
        """
        self._ends_at_s.pop(task, None)
        if task not in self._cancelled:
            return False
        self._cancelled.remove(task)
        return task.uncancel() == 0

    def cancel_all(self) -> None:
        """End every request in flight now."""
        for task in self._ends_at_s:
            self._cancel(task)

    def _cancel(self, task: "asyncio.Task[object]") -> None:
        if task not in self._cancelled:
            self._cancelled.add(task)
            task.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._ends_at_s:
            return
        now_s = loop.time()
        for task, at_s in self._ends_at_s.items():
            if at_s <= now_s:
                self._cancel(task)
        self._timer = loop.call_later(_LOOK_S, self._look, loop)
