"""Where readers stand in a topic (pure)."""

from bisect import bisect_left
from typing import NamedTuple, TypeAlias

from bridge.messagelog import First, FromTimestamp, Last

__all__ = ("Gap", "Positions", "Start", "furthest", "moved")

Positions: TypeAlias = tuple[tuple[int, int], ...]
"""For each partition, in order of id, its id and the offset of the message to be read next."""

Start: TypeAlias = Positions | First | Last | FromTimestamp
"""Where a reader begins: positions of before, the oldest kept, the end as it is now, or a time."""


class Gap(NamedTuple):
    """
    Messages that a reader will not get.

    Those from *from_offset* up to *to_offset*, which does not belong to them, were removed; where *to_offset* is less,
    the partition has begun anew (purged, or its topic made again) and is read from there.
    """

    partition_id: int
    from_offset: int
    to_offset: int

    @property
    def begins_anew(self) -> bool:
        """Whether offsets of before mean nothing any more."""
        return self.to_offset < self.from_offset


def moved(positions: Positions, partition_id: int, next_offset: int) -> Positions:
    """*positions* with one of them moved, or added."""
    index = bisect_left(positions, (partition_id,))
    found = index < len(positions) and positions[index][0] == partition_id
    return (*positions[:index], (partition_id, next_offset), *positions[index + found :])


def furthest(one: Positions, other: Positions) -> Positions:
    """For each partition of either, the position of those two that is further."""
    found = dict(one)
    for partition_id, next_offset in other:
        found[partition_id] = max(next_offset, found.get(partition_id, 0))
    return tuple(sorted(found.items()))
