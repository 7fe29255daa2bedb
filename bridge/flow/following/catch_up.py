"""Reading from where a reader stands up to where it joins others (shell): page by page, fair between partitions."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from bridge.flow.following.entries import Entry, Gap, Positions, moved, parts_for
from bridge.limits import PARTITIONS_AT_ONCE, TAIL_PAGE_MESSAGES
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, Page, Position

__all__ = ("ReadPage", "caught_up", "checked", "positions_at")

ReadPage: TypeAlias = Callable[[int, Position, int], Awaitable[Page]]
"""Reads a page: of a partition, from a position, so many messages."""


async def checked(
    read: ReadPage, positions: Positions, ends: Mapping[int, int], anew: Collection[int] = ()
) -> AsyncGenerator[Entry, None]:
    """
    A gap for each of *positions* that means nothing any more: its partition is then read from its oldest message.

    Args:
        ends: what is believed of the ends; those that a position is beyond are looked at again.
        anew: partitions that have begun anew since they were at these positions.
    """
    for partition_id, next_offset in positions:
        if not next_offset:
            continue
        if partition_id not in anew and (
            next_offset <= ends.get(partition_id, next_offset)
            or next_offset <= (await read(partition_id, Last(), 1)).end_offset
        ):
            continue
        oldest = await read(partition_id, First(), 1)
        begin = oldest.messages[0].offset if oldest.messages else oldest.end_offset
        after = moved(positions, partition_id, begin)
        yield Entry.of_gap(Gap(partition_id, next_offset, begin), positions, after)
        positions = after


async def caught_up(
    read: ReadPage, positions: Positions, targets: Mapping[int, int]
) -> AsyncGenerator[Entry, None]:
    """
    Everything from *positions* up to *targets*, which do not belong to it, a page of one partition after the other.

    What is missing on the way is a gap.
    """
    offsets = dict(positions)
    behind = [partition_id for partition_id, offset in positions if offset < targets[partition_id]]
    # The longest way first: who reads a page and then comes again reads all of them in turn.
    behind.sort(key=lambda partition_id: offsets[partition_id] - targets[partition_id])
    while behind:
        for partition_id in tuple(behind):
            target, asked = targets[partition_id], offsets[partition_id]
            page = await read(partition_id, FromOffset(asked), min(TAIL_PAGE_MESSAGES, target - asked))
            records = page.messages
            records = records.part(0, bisect_left(records.offsets, target))
            first = records.offsets[0] if records else target
            if first > asked:
                after = moved(positions, partition_id, first)
                yield Entry.of_gap(Gap(partition_id, asked, first), positions, after)
                positions = after
            for part in parts_for(positions, records):
                after = moved(positions, partition_id, part.offsets[-1] + 1)
                yield Entry(partition_id, part, positions, after)
                positions = after
            offsets[partition_id] = records.offsets[-1] + 1 if records else target
            if offsets[partition_id] >= target:
                behind.remove(partition_id)


async def positions_at(
    read: ReadPage, partitions: Sequence[int], start: First | Last | FromTimestamp
) -> Positions:
    """Where *start* is in each of *partitions*: the oldest kept, the end, or the first message at or after a time."""

    async def found(partition_id: int) -> tuple[int, int]:
        page = await read(partition_id, start, 1)
        if page.messages and not isinstance(start, Last):
            return partition_id, page.messages[0].offset
        return partition_id, page.end_offset

    positions: list[tuple[int, int]] = []
    ordered = sorted(partitions)
    for begin in range(0, len(ordered), PARTITIONS_AT_ONCE):
        positions += await asyncio.gather(*map(found, ordered[begin : begin + PARTITIONS_AT_ONCE]))
    return tuple(positions)
