"""A page of several partitions (shell): what comes after a cursor, each partition having its share."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import NamedTuple

from bridge.clock import Deadline
from bridge.errors import BadRequest, PartitionNotFound
from bridge.flow.following.catch_up import caught_up, checked, positions_at
from bridge.flow.following.entries import Entry, Gap, Positions, Start, moved
from bridge.limits import CURSOR_PARTITIONS_MAX, PAGE_BYTES_MAX
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    MessageLog,
    Page,
    Position,
    Records,
    TopicRef,
)

__all__ = ("CursorPage", "CursorReads", "shares")


class CursorPage(NamedTuple):
    """
    What one read gave.

    Attributes:
        runs: partition and messages, in order within each partition.
        gaps: what is missing before them.
        begin: where it began, after gaps that mean that a partition has begun anew.
        positions: where a reader stands after it, over all partitions it asked for.
        is_full: there may be more, but not in this page.
    """

    runs: tuple[tuple[int, Records], ...]
    gaps: tuple[Gap, ...]
    begin: Positions
    positions: Positions
    is_full: bool

    @property
    def messages_count(self) -> int:
        """Of all partitions."""
        return sum(len(records) for _, records in self.runs)


def shares(available: Mapping[int, int], count: int, *, first: int) -> dict[int, int]:
    """
    How many messages to take from each partition, *count* together where there are so many.

    Each gets as many as any other, or all it has. Of what cannot be divided, the partitions from the *first* one on (by
    their order, around) get one more each.
    """
    wanting = [partition_id for partition_id, have in available.items() if have > 0]
    if wanting:
        turn = first % len(wanting)
        wanting = wanting[turn:] + wanting[:turn]
    found = dict.fromkeys(wanting, 0)
    while wanting and count > 0:
        each = max(1, count // len(wanting))
        for partition_id in tuple(wanting):
            taken = min(each, available[partition_id] - found[partition_id], count)
            found[partition_id] += taken
            count -= taken
            if found[partition_id] == available[partition_id]:
                wanting.remove(partition_id)
    return {partition_id: taken for partition_id, taken in found.items() if taken}


class CursorReads:
    """
    Reads of one topic for one request.

    Args:
        partitions: None for all.
        deadline: makes that of each read.
    """

    def __init__(
        self,
        log: MessageLog,
        topic: TopicRef,
        partitions: Sequence[int] | None,
        *,
        deadline: Callable[[], Deadline],
    ) -> None:
        self._log = log
        self._topic = topic
        self._partitions = partitions
        self._deadline = deadline

    async def ends(self) -> Positions:
        """Where a reader stands who has everything there is now; raises as `page`."""
        return tuple((await self._ends()).items())

    async def positions(self, start: Start) -> Positions:
        """
        Where *start* is; see `page` for what it raises.

        Positions may lack partitions, which are then read from their beginning.
        """
        ends = await self._ends()
        if isinstance(start, Last):
            return tuple(ends.items())
        if isinstance(start, First | FromTimestamp):
            return await positions_at(self._read, tuple(ends), start)
        given = dict(start)
        return tuple((partition_id, given.get(partition_id, 0)) for partition_id in ends)

    async def page(self, positions: Positions, *, count: int) -> CursorPage:
        """
        At most *count* messages after *positions*, as of now, and at most about `PAGE_BYTES_MAX` bytes.

        Partitions that were added since are read too, where all are asked for.

        Raises:
            BadRequest: if that is more partitions than a cursor holds.
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log cannot be read.
        """
        ends = await self._ends()
        given = dict(positions)
        positions = tuple((partition_id, given.get(partition_id, 0)) for partition_id in ends)
        gaps: list[Gap] = []
        async for entry in checked(self._read, positions, ends):
            positions = entry.positions_after
            if entry.gap is not None:
                gaps.append(entry.gap)
        begin = positions
        offsets = dict(positions)
        runs: list[tuple[int, Records]] = []
        left_bytes = PAGE_BYTES_MAX
        available = {each: end - offsets[each] for each, end in ends.items()}
        taken = shares(available, count, first=sum(offsets.values()))
        for partition_id, messages_max in taken.items():
            if left_bytes <= 0:
                break
            asked = offsets[partition_id]
            page = await self._read(partition_id, FromOffset(asked), messages_max)
            records = page.messages
            if not records:
                continue
            if records.offsets[0] > asked:
                gaps.append(Gap(partition_id, asked, records.offsets[0]))
            runs.append((partition_id, records))
            left_bytes -= records.payload_bytes
            positions = moved(positions, partition_id, records.offsets[-1] + 1)
        is_full = left_bytes <= 0 or sum(taken.values()) >= count
        return CursorPage(tuple(runs), tuple(gaps), begin, positions, is_full)

    async def entries(self, positions: Positions, targets: Positions) -> AsyncGenerator[Entry, None]:
        """Everything from *positions* up to *targets*, a page of one partition after the other; raises as `page`."""
        ends = dict(targets)
        async for entry in checked(self._read, positions, ends):
            positions = entry.positions_after
            yield entry
        # Of what began anew there may be less than was thought, and more than that is for another time.
        async for entry in caught_up(self._read, positions, ends):
            yield entry

    async def _ends(self) -> dict[int, int]:
        info = await self._log.topic(self._topic, deadline=self._deadline())
        found = {partition.id: partition.end_offset for partition in info.partitions}
        wanted = found if self._partitions is None else sorted(set(self._partitions))
        if len(wanted) > CURSOR_PARTITIONS_MAX:
            raise BadRequest(
                f"A cursor holds at most {CURSOR_PARTITIONS_MAX} partitions: name some of them.",
                path="partitions",
                limit=CURSOR_PARTITIONS_MAX,
            )
        if not found.keys() >= set(wanted):
            raise PartitionNotFound
        return {partition_id: found[partition_id] for partition_id in wanted}

    async def _read(self, partition_id: int, position: Position, count: int) -> Page:
        return await self._log.read(
            self._topic, partition_id, position, count=count, deadline=self._deadline()
        )
