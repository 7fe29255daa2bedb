"""Offsets below a partition's frontier that nobody was given yet (pure)."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from bridge import limits
from bridge.groups.records import OffsetRange

__all__ = ("FreeRanges",)


class FreeRanges:
    """Runs in order, apart from each other; they come at the end and go from anywhere."""

    __slots__ = ("_starts", "_stops")

    def __init__(self, ranges: Iterable[OffsetRange] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            self._starts.append(start)
            self._stops.append(stop)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[OffsetRange]:
        return map(OffsetRange, self._starts, self._stops)

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset < self._stops[at]

    @property
    def messages_count(self) -> int:
        """How many offsets are free."""
        return sum(self._stops) - sum(self._starts)

    @property
    def first(self) -> int | None:
        """The lowest free offset."""
        return self._starts[0] if self._starts else None

    def append(self, run: OffsetRange) -> None:
        """Add *run*, which lies beyond all others."""
        self._starts.append(run.start)
        self._stops.append(run.stop)

    def take(self, offset: int) -> bool:
        """Take out *offset* if it is in here and `GROUP_FREE_RANGES_MAX` allows it; whether it was taken."""
        at = bisect_right(self._starts, offset) - 1
        if at < 0 or offset >= self._stops[at]:
            return False
        stop = self._stops[at]
        if self._starts[at] == offset:
            if stop == offset + 1:
                del self._starts[at], self._stops[at]
            else:
                self._starts[at] = offset + 1
            return True
        if offset + 1 < stop:
            if len(self._starts) >= limits.GROUP_FREE_RANGES_MAX:
                return False
            self._starts.insert(at + 1, offset + 1)
            self._stops.insert(at + 1, stop)
        self._stops[at] = offset
        return True

    def drop_below(self, offset: int) -> None:
        """Forget what is before *offset*."""
        at = bisect_left(self._starts, offset)
        if at:
            at -= self._stops[at - 1] > offset
            del self._starts[:at], self._stops[:at]
            if self._starts:
                self._starts[0] = max(self._starts[0], offset)
