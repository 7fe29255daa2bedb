"""Whether anybody is still at the other end of a socket, and wants something of it (pure)."""

from enum import Enum, auto


class Sign(Enum):
    """What a look at a socket says."""

    FINE = auto()
    #: Nothing was heard for a while: ask.
    ASK = auto()
    #: It was asked and did not answer.
    SILENT = auto()
    #: It takes nothing of what waits for it.
    STALLED = auto()
    #: It is there, and has wanted nothing for long.
    IDLE = auto()


class SocketLife:
    """What was heard of one socket, and when. Times are seconds of one monotonic clock.

    Args:
        ask_after_s: of silence; after as long again without a word it is `SILENT`.
        stalled_after_s: in which it took not one byte of what waits for it.
        idle_after_s: without a use.
    """

    def __init__(
        self, now_s: float, *, ask_after_s: float, stalled_after_s: float, idle_after_s: float
    ) -> None:
        self._ask_after_s = ask_after_s
        self._stalled_after_s = stalled_after_s
        self._idle_after_s = idle_after_s
        self._heard_s = self._taken_s = self._used_s = now_s
        self._asked = False
        self._waiting_bytes = 0

    def heard(self, now_s: float) -> None:
        """Anything came from it."""
        self._heard_s = now_s
        self._asked = False

    def used(self, now_s: float) -> None:
        """Somebody asked something of the bridge."""
        self._used_s = now_s

    def look(self, now_s: float, *, listening: bool, in_use: bool, waiting_bytes: int) -> Sign:
        """What is to be done about it, once; look a few times in each of the three periods.

        Args:
            listening: False where the bridge itself has stopped reading, and so cannot have heard anything.
            in_use: it has a subscription or waits for an answer.
            waiting_bytes: that wait for it; 0 while there is room for more.
        """
        if waiting_bytes < self._waiting_bytes or not waiting_bytes:
            self._taken_s = now_s
        self._waiting_bytes = waiting_bytes
        if now_s - self._taken_s >= self._stalled_after_s:
            return Sign.STALLED
        if not listening:
            self.heard(now_s)
        if in_use:
            self.used(now_s)
        if now_s - self._used_s >= self._idle_after_s:
            return Sign.IDLE
        silent_s = now_s - self._heard_s
        if silent_s >= 2 * self._ask_after_s and self._asked:
            return Sign.SILENT
        if silent_s >= self._ask_after_s and not self._asked:
            self._asked = True
            return Sign.ASK
        return Sign.FINE
