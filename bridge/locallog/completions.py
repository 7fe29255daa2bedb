"""Results on their way from a thread to the event loop (shell)."""

import asyncio
from collections import deque
from collections.abc import Callable


class Completions:
    """Runs callbacks on the event loop, in order, with one wake-up for all that came in the meantime.

    A wake-up is a write to a pipe and a turn of the loop; with many results a second they would cost more than the
    results.

    Attributes:
        loop: theirs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, callback: Callable[[], None]) -> None:
        """Hand over from any thread."""
        self._waiting.append(callback)
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        # Cleared first: a thread that still saw it set has already put its callback into the queue.
        self._woken = False
        while self._waiting:
            self._waiting.popleft()()
