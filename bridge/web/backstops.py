"""What ends requests that do not end by themselves (shell): one timer for all of them."""

import asyncio
import math
from typing import Final

__all__ = ("Backstop", "Backstops")

# How late a request may be ended: a fifth of what it is given beyond its deadline (`limits.DEADLINE_BACKSTOP_S`).
_LOOK_S: Final = 0.1


class Backstop:
    """
    The end of one request's time.

    Attributes:
        struck: the request was cancelled because its time is up.
    """

    __slots__ = ("_cancelling", "_task", "at_s", "struck")

    def __init__(self, task: "asyncio.Task[object]", at_s: float) -> None:
        self.at_s = at_s
        self.struck = False
        self._task = task
        self._cancelling = task.cancelling()

    def guards(self, task: "asyncio.Task[object] | None") -> bool:
        """Whether this is the request that *task* serves."""
        return self._task is task

    def strike(self) -> None:
        """Cancel the request."""
        if not self.struck:
            self.struck = True
            self._task.cancel()

    def take_back(self) -> bool:
        """Take the cancellation back, if there was one; whether it was the only one."""
        return self.struck and self._task.uncancel() <= self._cancelling


class Backstops:
    """
    The backstops of all requests in flight, looked at ten times a second while there is one.

    An `asyncio.timeout` around each request took 4.7 us, nearly always to be thrown away unused; this takes 0.8.
    """

    __slots__ = ("_in_flight", "_timer")

    def __init__(self) -> None:
        self._in_flight: set[Backstop] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._in_flight)

    def guard(self, seconds: float) -> Backstop:
        """Watch over the running task until `release`: it is cancelled *seconds* from now."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be ended")
        backstop = Backstop(task, loop.time() + seconds)
        self._in_flight.add(backstop)
        if self._timer is None:
            self._timer = loop.call_later(min(seconds, _LOOK_S), self._look, loop)
        return backstop

    def lift(self) -> None:
        """The running request bounds each of its steps by itself: of all backstops only `strike_all` ends it now."""
        task = asyncio.current_task()
        for backstop in self._in_flight:
            if backstop.guards(task):
                backstop.at_s = math.inf

    def release(self, backstop: Backstop) -> bool:
        """The request has ended, by itself or not; whether this backstop, and nothing else, cancelled it."""
        self._in_flight.discard(backstop)
        return backstop.take_back()

    def strike_all(self) -> None:
        """End every request in flight now."""
        for backstop in self._in_flight:
            backstop.strike()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._in_flight:
            return
        now_s = loop.time()
        for backstop in self._in_flight:
            if backstop.at_s <= now_s:
                backstop.strike()
        self._timer = loop.call_later(_LOOK_S, self._look, loop)
