"""What a process asks the ledger for (pure): messages that are free as far as it knows, and asked for by none of its own."""

from collections.abc import Sequence
from itertools import islice

from bridge import limits
from bridge.groups.partition import Partition
from bridge.groups.records import OffsetRange

__all__ = ("Reservations", "ranges_of")


class Reservations:
    """
    Offsets of one partition that receivers of this process are asking for right now.

    Without it all of them would ask for the same ones. What lies between the frontier and `_edge` was asked for from
    there, and is asked for again only when the ledger knows of it or nobody asks any more.
    """

    __slots__ = ("_asking", "_edge", "_taken")

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._edge = 0
        self._asking = 0

    def pick(self, partition: Partition, *, end: int, now_us: int, count: int) -> tuple[int, ...]:
        """
        Up to *count* offsets, in order, which are then reserved until `release`; nothing is reserved where none are.

        Args:
            end: the partition has messages before it.
            now_us: the ledger's time, not ahead of it.
        """
        taken = self._taken
        picked = list(islice((each for each in partition.came_back(now_us) if each not in taken), count))
        if partition.held_count < limits.GROUP_UNACKED_MAX:
            for start, stop in partition.free:
                if len(picked) >= count:
                    break
                fresh = (each for each in range(start, stop) if each not in taken)
                picked += islice(fresh, count - len(picked))
            edge = max(partition.frontier, self._edge)
            beyond = range(edge, min(end, edge + count - len(picked)))
            if beyond:
                picked += beyond
                self._edge = beyond.stop
        if not picked:
            return ()
        self._asking += 1
        taken.update(picked)
        return tuple(sorted(picked))

    def has_any(self, partition: Partition, *, end: int, now_us: int) -> bool:
        """Whether `pick` would find something."""
        taken = self._taken
        if any(each not in taken for each in partition.came_back(now_us)):
            return True
        return partition.held_count < limits.GROUP_UNACKED_MAX and (
            max(partition.frontier, self._edge) < end
            or any(each not in taken for start, stop in partition.free for each in range(start, stop))
        )

    def release(self, picked: Sequence[int]) -> None:
        """Nobody asks for these any more: the ledger has answered, or was not asked."""
        self._taken.difference_update(picked)
        self._asking -= 1
        if not self._asking:
            self._edge = 0

    def next_offset(self, partition: Partition) -> int:
        """The first offset that was neither given out nor is asked for."""
        return max(partition.frontier, self._edge)


def ranges_of(offsets: Sequence[int]) -> tuple[OffsetRange, ...]:
    """*offsets*, in order and each once, as ranges."""
    ranges: list[OffsetRange] = []
    start = stop = -1
    for offset in offsets:
        if offset == stop:
            stop += 1
            continue
        if stop > 0:
            ranges.append(OffsetRange(start, stop))
        start, stop = offset, offset + 1
    if stop > 0:
        ranges.append(OffsetRange(start, stop))
    return tuple(ranges)
