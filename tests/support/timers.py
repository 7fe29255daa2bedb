"""Timers that fire when a test says so, by the clock of the test."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from tests.support.clock import FakeClock

__all__ = ("FakeTimers", "settled")

#: More turns than any chain of callbacks in these tests is long.
_TURNS_MAX = 10_000


class FakeTimer:
    def __init__(self, callback: Callable[[], None], delay_s: float) -> None:
        self.callback: Callable[[], None] | None = callback
        self.delay_s = delay_s

    def cancel(self) -> None:
        self.callback = None


class FakeTimers:
    """Satisfies `bridge.flow.timers.Timers`; `pass_s` is the only thing that lets time go by."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._waiting: list[tuple[float, int, FakeTimer]] = []
        self._order = count()

    def __call__(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback, delay_s)
        heapq.heappush(self._waiting, (self.clock.monotonic_s() + delay_s, next(self._order), timer))
        return timer

    @property
    def delays_s(self) -> list[float]:
        """Of the timers that wait, as they were asked for."""
        return [timer.delay_s for _, _, timer in sorted(self._waiting) if timer.callback is not None]

    async def pass_s(self, seconds: float) -> None:
        """Let so much time go by, in the steps that the timers make of it; what is due has happened on return."""
        await settled()
        ends_s = self.clock.monotonic_s() + seconds
        while self._waiting and self._waiting[0][0] <= ends_s:
            at_s, _, timer = heapq.heappop(self._waiting)
            if timer.callback is None:
                continue
            self.clock.advance(max(0.0, at_s - self.clock.monotonic_s()))
            timer.callback()
            await settled()
        self.clock.advance(max(0.0, ends_s - self.clock.monotonic_s()))
        await settled()


async def settled() -> None:
    """Return when everything that can go on without time going by has done so."""
    loop = asyncio.get_running_loop()
    for _ in range(_TURNS_MAX):
        await asyncio.sleep(0)
        # asyncio's own list of what is ready: this coroutine has just been taken out of it.
        if not loop._ready:  # type: ignore[attr-defined]
            return
    raise AssertionError("something goes on and on without time going by")
