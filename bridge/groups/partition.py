"""What one group did with one partition, as the ledger's records say (pure).

Every offset is in one of five places: acknowledged (done for ever), given out and not
acknowledged (`_held`), passed over (`_free`), or at the frontier and beyond, where nobody was yet. The acknowledged ones need
no memory: they are what is below the frontier and neither held nor free.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from bridge import limits
from bridge.groups.records import AckKind, OffsetRange

# The heap of ends is made anew when it has so many times the entries that count; below so many nobody minds.
_STALE_TIMES: Final = 2
_STALE_FREE: Final = 64
#: No lease has it: what came back by a nack belongs to nobody.
_NOBODY: Final = 0


class AckOutcome(StrEnum):
    """What became of one token."""

    #: What was asked for.
    DONE = "done"
    #: The message was acked before, with this token or another: nobody gets it again.
    SETTLED = "settled"
    #: The lease was overtaken: the message was given to another, came back, or the group was moved.
    EXPIRED = "expired"


class Granted(NamedTuple):
    """One message of a lease; *deliveries* counts this one."""

    offset: int
    deliveries: int


class HeldState(NamedTuple):
    offset: int
    lease_id: int
    until_us: int
    deliveries: int


class GroupPartitionState(NamedTuple):
    """All of a `Partition`, for a snapshot."""

    epoch: int
    frontier: int
    free: tuple[OffsetRange, ...]
    held: tuple[HeldState, ...]


class _HeldLease(Struct, gc=False):
    lease_id: int
    until_us: int
    deliveries: int


class FreeRanges:
    """Offsets that were passed over, as ranges in order and apart from each other."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[OffsetRange] = ()) -> None:
        self.ranges = list(ranges)

    def __contains__(self, offset: int) -> bool:
        return self._index(offset) is not None

    def take(self, offset: int) -> bool:
        """Take out *offset* if it is in here and `GROUP_FREE_RANGES_MAX` allows it; whether it was taken."""
        index = self._index(offset)
        if index is None:
            return False
        start, stop = self.ranges[index]
        left = [
            each
            for each in (OffsetRange(start, offset), OffsetRange(offset + 1, stop))
            if each.start < each.stop
        ]
        if len(left) > 1 and len(self.ranges) >= limits.GROUP_FREE_RANGES_MAX:
            return False
        self.ranges[index : index + 1] = left
        return True

    def drop_below(self, offset: int) -> None:
        """Forget what is before *offset*."""
        self.ranges = [OffsetRange(max(start, offset), stop) for start, stop in self.ranges if stop > offset]

    def _index(self, offset: int) -> int | None:
        index = bisect_right(self.ranges, offset, key=lambda each: each.start) - 1
        return index if index >= 0 and offset < self.ranges[index].stop else None


class Partition:
    """Leases and acknowledgements of one partition; times are the ledger's.

    Attributes:
        epoch: goes up whenever the partition is taken up anew at another offset.
        frontier: no offset from here on was ever given out.
    """

    __slots__ = ("_came_back", "_ends", "_free", "_held", "epoch", "frontier")

    def __init__(self, state: GroupPartitionState) -> None:
        self.epoch = state.epoch
        self.frontier = state.frontier
        self._free = FreeRanges(state.free)
        self._held = {each.offset: _HeldLease(*each[1:]) for each in state.held}
        # Derived, never stored: a heap of the ends of those that are out, and those seen to have ended.
        self._ends = sorted((held.until_us, offset) for offset, held in self._held.items())
        self._came_back: dict[int, None] = {}

    @classmethod
    def starting(cls, offset: int, *, epoch: int = 0) -> "Partition":
        """One of which everything before *offset* is done."""
        return cls(GroupPartitionState(epoch, offset, (), ()))

    def state(self) -> GroupPartitionState:
        """All of it; two that applied the same records are equal."""
        held = tuple(
            HeldState(offset, each.lease_id, each.until_us, each.deliveries)
            for offset, each in sorted(self._held.items())
        )
        return GroupPartitionState(self.epoch, self.frontier, tuple(self._free.ranges), held)

    @property
    def low(self) -> int:
        """The low-water mark: everything before it is acknowledged."""
        first = self._free.ranges[0].start if self._free.ranges else self.frontier
        return min(first, min(self._held, default=self.frontier))

    @property
    def held_count(self) -> int:
        """Messages given out or come back, and not acknowledged."""
        return len(self._held)

    @property
    def unacked_count(self) -> int:
        """Messages below the frontier that are not acknowledged."""
        return len(self._held) + sum(stop - start for start, stop in self._free.ranges)

    def in_flight(self, now_us: int) -> int:
        """Messages that are out at this time."""
        return sum(each.until_us > now_us and each.lease_id != _NOBODY for each in self._held.values())

    def delayed(self, now_us: int) -> int:
        """Messages that came back and are not to be given out before a later time."""
        return sum(each.until_us > now_us and each.lease_id == _NOBODY for each in self._held.values())

    def deliveries(self, offset: int) -> int:
        """How often a message that is not acknowledged was given out."""
        held = self._held.get(offset)
        return 0 if held is None else held.deliveries

    # --- what records do ----------------------------------------------------------------------------------------

    def lease(
        self,
        ranges: Iterable[OffsetRange],
        lease_id: int,
        *,
        now_us: int,
        until_us: int,
        counted: bool,
        room: int,
    ) -> tuple[Granted, ...]:
        """Give out those of *ranges* that are free at *now_us*, until *until_us*.

        Args:
            room: how many messages may come to be held beyond those that are.
        """
        granted = []
        room = min(room, limits.GROUP_UNACKED_MAX - len(self._held))
        for start, stop in ranges:
            for offset in range(start, stop):
                held = self._held.get(offset)
                if held is None:
                    if room <= 0 or not self._take(offset):
                        continue
                    room -= 1
                    held = self._held[offset] = _HeldLease(_NOBODY, 0, 0)
                elif held.until_us > now_us:
                    continue
                held.deliveries += counted
                self._put_out(offset, held, lease_id, until_us)
                granted.append(Granted(offset, held.deliveries))
        self._sweep()
        return tuple(granted)

    def acknowledge(
        self, ranges: Iterable[OffsetRange], lease_id: int, *, kind: AckKind, until_us: int
    ) -> list[tuple[int, AckOutcome]]:
        """Ack, nack, extend or give back messages of a lease.

        A lease counts until another one, or a nack, took its place: who is late and was not overtaken is in time.

        Args:
            until_us: when what is extended ends, and when what is not acked comes back.

        Returns:
            What became of each offset; EXPIRED as well where it was never given to this group.
        """
        outcomes: list[tuple[int, AckOutcome]] = []
        for start, stop in ranges:
            for offset in range(start, stop):
                held = self._held.get(offset)
                outcome = AckOutcome.DONE
                if held is None:
                    is_done = offset < self.frontier and offset not in self._free
                    outcome = AckOutcome.SETTLED if is_done else AckOutcome.EXPIRED
                elif held.lease_id != lease_id:
                    outcome = AckOutcome.EXPIRED
                elif kind is AckKind.ACK:
                    del self._held[offset]
                    self._came_back.pop(offset, None)
                else:
                    held.deliveries -= kind is AckKind.RELEASE and held.deliveries > 0
                    self._put_out(offset, held, lease_id if kind is AckKind.EXTEND else _NOBODY, until_us)
                outcomes.append((offset, outcome))
        self._sweep()
        return outcomes

    def advance(self, offset: int) -> None:
        """Count everything before *offset* as acknowledged: it is not in the log any more."""
        self.frontier = max(self.frontier, offset)
        self._free.drop_below(offset)
        for each in [each for each in self._held if each < offset]:
            del self._held[each]
            self._came_back.pop(each, None)
        self._sweep()

    # --- what may be asked for ----------------------------------------------------------------------------------

    def came_back(self, now_us: int) -> Iterable[int]:
        """Messages held whose time is up at *now_us*, those that ended first before others."""
        while (end_us := self.next_end_us()) is not None and end_us <= now_us:
            self._came_back[heapq.heappop(self._ends)[1]] = None
        return self._came_back

    @property
    def free(self) -> Sequence[OffsetRange]:
        """What was passed over, in order."""
        return self._free.ranges

    def next_end_us(self) -> int | None:
        """When the next message comes back if nothing is done; None if none is out."""
        ends = self._ends
        while ends:
            until_us, offset = ends[0]
            held = self._held.get(offset)
            if held is not None and held.until_us == until_us:
                return until_us
            heapq.heappop(ends)
        return None

    def _take(self, offset: int) -> bool:
        """Whether *offset*, which is not held, could be taken: it is free, or at the frontier or beyond."""
        if offset < self.frontier:
            return self._free.take(offset)
        if offset > self.frontier:
            if len(self._free.ranges) >= limits.GROUP_FREE_RANGES_MAX:
                return False
            self._free.ranges.append(OffsetRange(self.frontier, offset))
        self.frontier = offset + 1
        return True

    def _put_out(self, offset: int, held: _HeldLease, lease_id: int, until_us: int) -> None:
        held.lease_id = lease_id
        held.until_us = until_us
        self._came_back.pop(offset, None)
        heapq.heappush(self._ends, (until_us, offset))

    def _sweep(self) -> None:
        """Make the heap anew where most of it is stale, so that one stuck message keeps no others in memory."""
        if len(self._ends) > _STALE_TIMES * len(self._held) + _STALE_FREE:
            self._ends = sorted(
                (held.until_us, offset)
                for offset, held in self._held.items()
                if offset not in self._came_back
            )
