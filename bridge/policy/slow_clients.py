"""Clients that send or take too slowly (pure): a minimum rate, what is held for them, and who goes when it is too much."""

from typing import Generic, TypeVar


class MinimumRate:
    """Patience with one sender or reader: waiting spends it, bytes earn it back.

    Over any time that is a least rate, with *patience_s* of it in advance: a pause that long is nobody's fault, and who
    moves a byte now and then gains nothing by it.

    Args:
        patience_s: how long it may move nothing, to begin with and at most.
        bytes_per_s_min: what earns a second.

    Attributes:
        left_s: how long it may move nothing from now on.
    """

    __slots__ = ("_bytes_per_s_min", "_patience_s", "left_s")

    def __init__(self, *, patience_s: float, bytes_per_s_min: float) -> None:
        self._patience_s = patience_s
        self._bytes_per_s_min = bytes_per_s_min
        self.left_s = patience_s

    def spend(self, waited_s: float, moved_bytes: int) -> bool:
        """It was waited for so long and moved so much meanwhile; False once it is too slow."""
        earned_s = moved_bytes / self._bytes_per_s_min
        self.left_s = min(self._patience_s, self.left_s - waited_s + earned_s)
        return self.left_s > 0


Reader = TypeVar("Reader")


class _Waiting:
    """What is known of one."""

    __slots__ = ("held_bytes", "looked_s", "pace", "waiting_bytes")

    def __init__(self, pace: MinimumRate, now_s: float, waiting_bytes: int, held_bytes: int) -> None:
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
    """Those for whom bytes wait beyond what their connection takes by itself.

    Args:
        bytes_max: of all of them; one alone may hold more.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._waiting: dict[Reader, _Waiting] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def began(
        self, reader: Reader, pace: MinimumRate, now_s: float, *, waiting_bytes: int, held_bytes: int
    ) -> None:
        """*reader* takes no more for now.

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
