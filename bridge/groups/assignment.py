"""Which process looks after which partition (pure)."""

from collections.abc import Sequence

import xxhash

from bridge.groups.records import Scope

__all__ = ("assigned_partitions", "is_leader")


def assigned_partitions(
    member_id: int, members: Sequence[int], scope: Scope, partitions_count: int
) -> tuple[int, ...]:
    """
    The partitions whose marks *member_id* stores and whose messages it offers first.

    Each partition has exactly one owner among *members* where all see the same members, and shares differ by one at
    most. It says nothing of who may give a message out: that is the ledger's.
    """
    if member_id not in members:
        return ()
    # Groups of one partition each should not all have the same owner.
    turn = xxhash.xxh32_intdigest("\0".join(scope).encode())
    place = (members.index(member_id) - turn) % len(members)
    return tuple(range(place, partitions_count, len(members)))


def is_leader(member_id: int, members: Sequence[int]) -> bool:
    """Whether *member_id* does what one process does for all."""
    return bool(members) and member_id == min(members)
