"""How many requests are begun in one turn of the event loop (shell).

All that can be read is read in one turn: two thousand callers at once made one of half a second, in which no probe was
answered. Here they queue, and between two turns everything else has its own.
"""

import asyncio
from collections import deque
from typing import Final

from bridge.limits import REQUESTS_PER_TURN

__all__ = ("LoopTurns",)

# Answered from what is known: they cost less than waiting would, and must not wait for others.
_PROBES: Final = frozenset({"/health", "/ready"})


class LoopTurns:
    """Lets requests begin, first come, first served."""

    __slots__ = ("_left", "_loop", "_turn_s", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = 0
        self._turn_s = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def begin(self, path: str) -> bool:
        """Whether a request to *path* may begin now; else `wait` first."""
        # uvloop reads the clock once a turn, so this is the name of the turn; turns within a millisecond share one.
        now_s = self._loop.time()
        if now_s != self._turn_s:
            self._turn_s, self._left = now_s, REQUESTS_PER_TURN
        if (self._left <= 0 or self._waiting) and path not in _PROBES:
            return False
        self._left -= 1
        return True

    async def wait(self) -> None:
        """Until those who came before have begun."""
        if not self._waiting:
            self._loop.call_soon(self._let_in)
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _let_in(self) -> None:
        for _ in range(min(REQUESTS_PER_TURN, len(self._waiting))):
            waiter = self._waiting.popleft()
            # A connection may have ended meanwhile.
            if not waiter.done():
                waiter.set_result(None)
        if self._waiting:
            self._loop.call_soon(self._let_in)
