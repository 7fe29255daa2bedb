"""Clients for whom something waits that they do not take (pure): what is held for them, and who goes when it is too much."""

from typing import Generic, TypeVar

from bridge.policy.pace import Pace

__all__ = ("SlowReaders",)

Reader = TypeVar("Reader")


class _Waiting:
    """What is known of one."""

    __slots__ = ("held_bytes", "looked_s", "pace", "waiting_bytes")

    def __init__(self, pace: Pace, now_s: float, waiting_bytes: int, held_bytes: int) -> None:
        self.pace = pace
        self.looked_s = now_s
        self.waiting_bytes = waiting_bytes
        self.held_bytes = held_bytes

    def looked(self, now_s: float, waiting_bytes: int) -> bool:
        waited_s, self.looked_s = now_s - self.looked_s, now_s
        # What was written meanwhile hides what was taken; who is behind is written little to.
        taken, self.waiting_bytes = max(0, self.waiting_bytes - waiting_bytes), waiting_bytes
        return self.pace.spend(waited_s, taken)


class SlowReaders(Generic[Reader]):
    """
    Those for whom bytes wait beyond what their connection takes by itself.

    Args:
        bytes_max: of all of them; one alone may hold more.

    Attributes:
        held_bytes: of all of them.
    """

    __slots__ = ("_bytes_max", "_waiting", "held_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._waiting: dict[Reader, _Waiting] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def began(self, reader: Reader, pace: Pace, now_s: float, *, waiting_bytes: int, held_bytes: int) -> None:
        """
        *reader* takes no more for now.

        Args:
            pace: of its connection, which goes on from one such time to the next.
            held_bytes: what is in memory until it has taken all of *waiting_bytes*, these included.
        """
        self.ended(reader, now_s, waiting_bytes=waiting_bytes)
        self._waiting[reader] = _Waiting(pace, now_s, waiting_bytes, held_bytes)
        self.held_bytes += held_bytes

    def ended(self, reader: Reader, now_s: float, *, waiting_bytes: int) -> None:
        """It has taken nearly all, or is gone."""
        known = self._waiting.pop(reader, None)
        if known is not None:
            self.held_bytes -= known.held_bytes
            known.looked(now_s, waiting_bytes)

    def readers(self) -> tuple[Reader, ...]:
        """All of them."""
        return tuple(self._waiting)

    def look(self, reader: Reader, now_s: float, *, waiting_bytes: int) -> bool:
        """Whether *reader* keeps up the least rate; of one that is not there, nothing is known."""
        known = self._waiting.get(reader)
        return known is None or known.looked(now_s, waiting_bytes)

    def surplus(self) -> list[Reader]:
        """Who is to be let go so that the rest keeps within the bound: the slowest first, of equals the heaviest."""
        if self.held_bytes <= self._bytes_max:
            return []
        order = sorted(self._waiting.items(), key=lambda each: (each[1].pace.left_s, -each[1].held_bytes))
        chosen: list[Reader] = []
        left_bytes = self.held_bytes
        for reader, known in order[:-1]:
            if left_bytes <= self._bytes_max:
                break
            chosen.append(reader)
            left_bytes -= known.held_bytes
        return chosen
