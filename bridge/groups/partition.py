"""
What one group did with one partition, as a fold (pure).

Every offset is in one of five places: below the low-water mark or acknowledged (settled for ever), given out and not
settled (`_held`), passed over (`_free`), or at the frontier and beyond, where nobody was yet. The acknowledged ones need
no memory: they are what is below the frontier and neither held nor free.
"""

import heapq
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from bridge import limits
from bridge.groups.free_ranges import FreeRanges
from bridge.groups.records import OffsetRange

__all__ = ("AckOutcome", "Granted", "GroupPartitionState", "HeldState", "Partition")

# A heap is made anew when it has so many times the entries that count; below so many nobody minds.
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


class _Held(Struct, gc=False):
    lease_id: int
    until_us: int
    deliveries: int


class Partition:
    """
    Leases and acknowledgements of one partition; times are the ledger's.

    Attributes:
        epoch: goes up whenever the partition is taken up anew at another offset.
        frontier: no offset from here on was ever given out.
    """

    __slots__ = ("_came_back", "_ends", "_free", "_held", "_lowest", "epoch", "frontier")

    def __init__(self, state: GroupPartitionState) -> None:
        self.epoch = state.epoch
        self.frontier = state.frontier
        self._free = FreeRanges(state.free)
        self._held = {each.offset: _Held(*each[1:]) for each in state.held}
        # Derived, never told: the lowest offsets held, their ends, and those seen to have ended.
        self._lowest = sorted(self._held)
        self._ends = sorted((held.until_us, offset) for offset, held in self._held.items())
        self._came_back: dict[int, None] = {}

    @classmethod
    def starting(cls, offset: int, *, epoch: int = 0) -> "Partition":
        """One of which everything before *offset* is settled."""
        return cls(GroupPartitionState(epoch, offset, (), ()))

    def state(self) -> GroupPartitionState:
        """All of it; two that folded the same records are equal."""
        held = tuple(
            HeldState(offset, each.lease_id, each.until_us, each.deliveries)
            for offset, each in sorted(self._held.items())
        )
        return GroupPartitionState(self.epoch, self.frontier, tuple(self._free), held)

    @property
    def low(self) -> int:
        """The low-water mark: everything before it is settled."""
        lowest = self._lowest
        while lowest and lowest[0] not in self._held:
            heapq.heappop(lowest)
        low = lowest[0] if lowest else self.frontier
        first = self._free.first
        return low if first is None else min(low, first)

    @property
    def held_count(self) -> int:
        """Messages given out or come back, and not settled."""
        return len(self._held)

    @property
    def unacked_count(self) -> int:
        """Messages below the frontier that are not settled."""
        return len(self._held) + self._free.messages_count

    def in_flight(self, now_us: int) -> int:
        """Messages that are out at this time."""
        return sum(each.until_us > now_us and each.lease_id != _NOBODY for each in self._held.values())

    def delayed(self, now_us: int) -> int:
        """Messages that came back and are not to be given out before a later time."""
        return sum(each.until_us > now_us and each.lease_id == _NOBODY for each in self._held.values())

    def deliveries(self, offset: int) -> int:
        """How often a message that is not settled was given out."""
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
        """
        Give out those of *ranges* that are free at *now_us*, until *until_us*.

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
                    held = self._held[offset] = _Held(_NOBODY, 0, 0)
                    heapq.heappush(self._lowest, offset)
                elif held.until_us > now_us:
                    continue
                held.deliveries += counted
                self._out(offset, held, lease_id, until_us)
                granted.append(Granted(offset, held.deliveries))
        self._sweep()
        return tuple(granted)

    def settle(
        self, ranges: Iterable[OffsetRange], lease_id: int, *, verb: int, until_us: int
    ) -> list[tuple[int, AckOutcome]]:
        """
        Ack (0), nack (1), extend (2) or give back (3) messages of a lease.

        A lease counts until another one, or a nack, took its place: who is late and was not overtaken is in time.

        Args:
            until_us: when what is extended ends, and when what is not acked comes back.

        Returns:
            What became of each offset; EXPIRED as well where it was never given to this group.
        """
        found: list[tuple[int, AckOutcome]] = []
        for start, stop in ranges:
            for offset in range(start, stop):
                held = self._held.get(offset)
                if held is None:
                    settled = offset < self.frontier and offset not in self._free
                    found.append((offset, AckOutcome.SETTLED if settled else AckOutcome.EXPIRED))
                elif held.lease_id != lease_id:
                    found.append((offset, AckOutcome.EXPIRED))
                else:
                    if verb == 0:
                        del self._held[offset]
                        self._came_back.pop(offset, None)
                    else:
                        held.deliveries -= verb == 3 and held.deliveries > 0  # noqa: PLR2004 (as in `Verb`)
                        self._out(offset, held, lease_id if verb == 2 else _NOBODY, until_us)  # noqa: PLR2004
                    found.append((offset, AckOutcome.DONE))
        self._sweep()
        return found

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
        ends = self._ends
        while ends and ends[0][0] <= now_us:
            until_us, offset = heapq.heappop(ends)
            held = self._held.get(offset)
            if held is not None and held.until_us == until_us:
                self._came_back[offset] = None
        return self._came_back

    @property
    def free(self) -> Iterable[OffsetRange]:
        """What was passed over, in order."""
        return self._free

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

    # ------------------------------------------------------------------------------------------------------------

    def _take(self, offset: int) -> bool:
        """Whether *offset*, which is not held, could be taken: it is free, or at the frontier or beyond."""
        if offset < self.frontier:
            return self._free.take(offset)
        if offset > self.frontier:
            if len(self._free) >= limits.GROUP_FREE_RANGES_MAX:
                return False
            self._free.append(OffsetRange(self.frontier, offset))
        self.frontier = offset + 1
        return True

    def _out(self, offset: int, held: _Held, lease_id: int, until_us: int) -> None:
        held.lease_id = lease_id
        held.until_us = until_us
        self._came_back.pop(offset, None)
        heapq.heappush(self._ends, (until_us, offset))

    def _sweep(self) -> None:
        """Make the heaps anew where most of them is stale, so that one stuck message keeps no others in memory."""
        bound = _STALE_TIMES * len(self._held) + _STALE_FREE
        if len(self._lowest) > bound:
            self._lowest = sorted(self._held)
        if len(self._ends) > bound:
            self._ends = sorted(
                (held.until_us, offset)
                for offset, held in self._held.items()
                if offset not in self._came_back
            )
