"""What a member of a group asks for (pure): partitions of its own first, and messages that none of its receivers asks for."""

from collections.abc import Iterator, Sequence
from itertools import islice

import xxhash

from bridge import limits
from bridge.groups.partition import Partition
from bridge.groups.records import GroupRef


def assigned_partitions(
    member_id: int, members: Sequence[int], ref: GroupRef, partitions_count: int
) -> tuple[int, ...]:
    """The partitions whose offsets *member_id* commits and whose messages it offers first.

    Each partition has exactly one owner among *members* where all see the same members, and shares differ by one at
    most. It says nothing of who may give a message out: that is the ledger's.
    """
    if member_id not in members:
        return ()
    # Groups of one partition each should not all have the same owner.
    turn = xxhash.xxh32_intdigest("\0".join(ref).encode())
    place = (members.index(member_id) - turn) % len(members)
    return tuple(range(place, partitions_count, len(members)))


def is_leader(member_id: int, members: Sequence[int]) -> bool:
    """Whether *member_id* does what one process does for all."""
    return bool(members) and member_id == min(members)


class Reservations:
    """Offsets of one partition that receivers of this process are asking for right now.

    Without it all of them would ask for the same ones. What lies between the frontier and `_edge` was asked for from
    there, and is asked for again only when the ledger knows of it or nobody asks any more.
    """

    __slots__ = ("_asking", "_edge", "_taken")

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._edge = 0
        self._asking = 0

    def free(self, partition: Partition, *, end: int, now_us: int) -> Iterator[int]:
        """Messages to ask for, those that came back and those that were passed over before new ones.

        Args:
            end: the partition has messages before it.
            now_us: the ledger's time, not ahead of it.
        """
        taken = self._taken
        yield from (each for each in partition.came_back(now_us) if each not in taken)
        if partition.held_count < limits.GROUP_UNACKED_MAX:
            yield from (
                each for start, stop in partition.free for each in range(start, stop) if each not in taken
            )
            yield from range(self.next_offset(partition), end)

    def reserve(self, partition: Partition, *, end: int, now_us: int, count: int) -> tuple[int, ...]:
        """Up to *count* free offsets, in order, which are then reserved until `release`; nothing where none are."""
        reserved = sorted(islice(self.free(partition, end=end, now_us=now_us), count))
        if reserved:
            self._asking += 1
            self._taken.update(reserved)
            if reserved[-1] >= partition.frontier:
                self._edge = reserved[-1] + 1
        return tuple(reserved)

    def release(self, reserved: Sequence[int]) -> None:
        """Nobody asks for these any more: the ledger has answered, or was not asked."""
        self._taken.difference_update(reserved)
        self._asking -= 1
        if not self._asking:
            self._edge = 0

    def next_offset(self, partition: Partition) -> int:
        """The first offset that was neither given out nor is asked for."""
        return max(partition.frontier, self._edge)
