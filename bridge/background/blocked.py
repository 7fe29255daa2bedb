"""What the event loop's thread does while it should be somewhere else (shell)."""

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.clock import Clock
from bridge.limits import LOOP_LAG_INTERVAL_S


class Blocked:
    """Looks from a thread of its own whether the loop came back in time, and where it is if not.

    What holds the interpreter's lock all the while, as some C code does, is seen as soon as it lets go of it.

    Args:
        thread_id: of the thread to look at.
        late_s: how late it may be.
    """

    def __init__(self, clock: Clock, thread_id: int, *, late_s: float) -> None:
        self._clock = clock
        self._thread_id = thread_id
        self._late_s = late_s
        self._due_s: float | None = None
        self._stack: list[str] = []

    def expect(self, seconds: float) -> None:
        """The loop will be back after *seconds*; called by it."""
        self._stack = []
        self._due_s = self._clock.monotonic_s() + seconds + self._late_s

    def look(self) -> None:
        """Note where the loop's thread is, once, if it is late."""
        if self._due_s is None or self._clock.monotonic_s() < self._due_s:
            return
        self._due_s = None
        # Places alone: neither source nor values of variables.
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 (documented, and the only way)
        self._stack = [
            f"{each.f_code.co_filename}:{line} {each.f_code.co_name}"
            for each, line in traceback.walk_stack(frame)
        ]

    def stack(self) -> list[str]:
        """Where it was, `file:line function` of each frame from the inside out; empty if nobody looked in time."""
        return self._stack


@contextmanager
def looking(blocked: Blocked) -> Iterator[None]:
    """Within it, a thread looks twice in a second and more often."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOP_LAG_INTERVAL_S):
            blocked.look()

    threading.Thread(target=look, name="loop-watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
