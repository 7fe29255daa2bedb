"""One timer for all that wait until deadlines of their own (shell)."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from bridge.clock import Deadline

#: A look at one deadline takes 0.2 us: so much is waited for each between two looks at all.
LOOK_PAUSE_S: Final = 4e-6
#: And so much at least, since timers are not finer: one that rings early would be set again and again until it is time.
LOOK_PAUSE_MIN_S: Final = 1e-3


class DeadlineAlarm:
    """Has a look taken at what waits when the first of its deadlines has come.

    One timer for all: one for each takes 1.5 us with uvloop, 6,000 instructions (measured).

    Args:
        look: ends what is late, and gives the first deadline of what waits on, None where nothing does, with how many it looked
            at. The next is `LOOK_PAUSE_MIN_S` later at least, and `LOOK_PAUSE_S` for each of them.
    """

    def __init__(self, look: Callable[[], tuple[Deadline | None, int]]) -> None:
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._at_s = math.inf

    def watch(self, deadline: Deadline) -> None:
        """Something waits until *deadline*."""
        if deadline.at_s < self._at_s:
            self._set(deadline, deadline.remaining_s())

    def stop(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, deadline: Deadline, delay_s: float) -> None:
        self.stop()
        self._at_s = deadline.at_s
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer, self._at_s = None, math.inf
        first, count = self._look()
        if first is not None:
            self._set(first, max(first.remaining_s(), LOOK_PAUSE_MIN_S, count * LOOK_PAUSE_S))
