"""The one reader of a topic (shell over the port): from a position on, a page at a time, within a bound."""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, TypeAlias

from bridge.clock import Deadline
from bridge.errors import BadRequest, LogError, PartitionNotFound
from bridge.flow.following.batches import Gap, Positions, RecordBatch, Start, moved, parts_for
from bridge.flow.timers import Timers, pause, some_at_once
from bridge.limits import (
    CURSOR_PARTITIONS_MAX,
    PAGE_BYTES_MAX,
    PAGE_LIGHT_BYTES,
    PARTITIONS_AT_ONCE,
    READ_PAGE_MESSAGES,
    TAIL_RETRY_S_MAX,
    TAIL_RETRY_S_MIN,
)
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

MadeReady: TypeAlias = Callable[[Records], Awaitable[object]]
"""Does what takes long of heavy messages, in turns with all else, and leaves it with them."""

_LET_END_S: Final = 1.0


class PartitionPage(NamedTuple):
    """Messages of one partition.

    Attributes:
        asked_offset, begin_offset: what lies between the two is no longer there.
        records: from *begin_offset* on; none if there are none before the end that was wanted.
    """

    partition_id: int
    asked_offset: int
    begin_offset: int
    records: Records


class TopicPage(NamedTuple):
    """A page of several partitions.

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
        return sum(len(records) for _, records in self.runs)


class TopicReader:
    """Reads of one topic for one client.

    Args:
        deadline: makes that of each read.
        timers: with them an outage of the log is waited out; without, it is raised.
        made_ready: awaited with pages of more than `PAGE_LIGHT_BYTES`.
    """

    __slots__ = ("_deadline", "_log", "_made_ready", "_timers", "_topic")

    def __init__(
        self,
        log: MessageLog,
        topic: TopicRef,
        *,
        deadline: Callable[[], Deadline],
        timers: Timers | None = None,
        made_ready: MadeReady | None = None,
    ) -> None:
        self._log = log
        self._topic = topic
        self._deadline = deadline
        self._timers = timers
        self._made_ready = made_ready

    async def read(self, partition_id: int, position: Position, count: int) -> Page:
        """As `MessageLog.read`, which also says what this and all others here raise.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log cannot be read, and that is not waited out.
        """
        delay_s = TAIL_RETRY_S_MIN
        while True:
            try:
                page = await self._log.read(
                    self._topic, partition_id, position, count=count, deadline=self._deadline()
                )
            except LogError:
                if self._timers is None:
                    raise
                await pause(self._timers, delay_s)
                delay_s = min(delay_s * 2, TAIL_RETRY_S_MAX)
            else:
                if self._made_ready is not None and page.messages.payload_bytes > PAGE_LIGHT_BYTES:
                    await self._made_ready(page.messages)
                return page

    # --- where --------------------------------------------------------------------------------------------------

    async def ends(self, partitions: Sequence[int] | None) -> Positions:
        """Where a reader stands who has everything there is now.

        Args:
            partitions: None for all.

        Raises:
            BadRequest: if that is more partitions than a cursor holds.
        """
        info = await self._log.topic(self._topic, deadline=self._deadline())
        found = {partition.id: partition.end_offset for partition in info.partitions}
        wanted = found if partitions is None else sorted(set(partitions))
        if len(wanted) > CURSOR_PARTITIONS_MAX:
            raise BadRequest(
                f"A cursor holds at most {CURSOR_PARTITIONS_MAX} partitions: name some of them.",
                path="partitions",
                limit=CURSOR_PARTITIONS_MAX,
            )
        if not found.keys() >= set(wanted):
            raise PartitionNotFound
        return tuple((partition_id, found[partition_id]) for partition_id in wanted)

    async def located(self, start: Start, ends: Positions, *, seen: Positions = ()) -> Positions:
        """Where *start* is in each partition of *ends*: the oldest kept, the end, or the first message at or after a time.

        Args:
            start: positions may lack partitions, which are then read from their beginning.
            seen: where the reader has been; it begins there in partitions in which that is further.
        """
        if isinstance(start, First | FromTimestamp):

            async def begin(end: tuple[int, int]) -> tuple[int, int]:
                page = await self.read(end[0], start, 1)
                return end[0], page.messages[0].offset if page.messages else page.end_offset

            found = dict(await some_at_once(begin, ends, PARTITIONS_AT_ONCE))
        else:
            found = dict(ends if isinstance(start, Last) else start)
        been = dict(seen)
        return tuple((each, max(found.get(each, 0), been.get(each, 0))) for each, _ in ends)

    async def gaps(
        self, positions: Positions, ends: Mapping[int, int], anew: Collection[int] = ()
    ) -> list[RecordBatch]:
        """A gap for each of *positions* that means nothing any more: its partition is then read from its oldest message.

        Args:
            ends: what is believed of the ends; those that a position is beyond are looked at again.
            anew: partitions that have begun anew since they were at these positions.
        """
        found: list[RecordBatch] = []
        for partition_id, offset in positions:
            if not offset:
                continue
            if partition_id not in anew and (
                offset <= ends.get(partition_id, offset)
                or offset <= (await self.read(partition_id, Last(), 1)).end_offset
            ):
                continue
            oldest = await self.read(partition_id, First(), 1)
            begin = oldest.messages[0].offset if oldest.messages else oldest.end_offset
            after = moved(positions, partition_id, begin)
            found.append(RecordBatch.of_gap(Gap(partition_id, offset, begin), positions, after))
            positions = after
        return found

    # --- what ---------------------------------------------------------------------------------------------------

    async def pages(
        self, positions: Positions, ends: Mapping[int, int], *, messages_max: int | None = None
    ) -> AsyncGenerator[PartitionPage, None]:
        """Everything from *positions* up to *ends*, which do not belong to it: partitions take turns, a page each."""
        offsets = dict(positions)
        # The longest way first: who reads a page and then comes again reads all of them in turn.
        behind = deque(
            sorted(
                (each for each, offset in positions if offset < ends[each]),
                key=lambda partition_id: offsets[partition_id] - ends[partition_id],
            )
        )
        while behind:
            partition_id = behind.popleft()
            asked, end = offsets[partition_id], ends[partition_id]
            page = await self.read(
                partition_id, FromOffset(asked), min(messages_max or READ_PAGE_MESSAGES, end - asked)
            )
            records = page.messages.part(0, bisect_left(page.messages.offsets, end))
            offsets[partition_id] = records.offsets[-1] + 1 if records else end
            if offsets[partition_id] < end:
                behind.append(partition_id)
            del page
            yield PartitionPage(partition_id, asked, records.offsets[0] if records else end, records)
            del records

    async def pages_ahead(
        self, positions: Positions, ends: Mapping[int, int]
    ) -> AsyncGenerator[PartitionPage, None]:
        """As `pages`; the next one is being read while one is used. To be closed when left early."""
        async with aclosing(self.pages(positions, ends)) as pages:
            coming = asyncio.create_task(_next(pages))
            try:
                while (page := await coming) is not None:
                    coming = asyncio.create_task(_next(pages))
                    # The log is asked before the page is used, not when that first waits for something.
                    await asyncio.sleep(0)
                    yield page
                    del page
            finally:
                await _let_end(coming)

    async def page(self, positions: Positions, ends: Positions, *, count: int) -> TopicPage:
        """At most *count* messages from *positions* on, and at most about `PAGE_BYTES_MAX` bytes: each partition has its share."""
        believed = dict(ends)
        positions = await self.located(positions, ends)
        missing = await self.gaps(positions, believed)
        gaps = [batch.gap for batch in missing if batch.gap is not None]
        begin = positions = missing[-1].positions_after if missing else positions
        offsets = dict(positions)
        runs: list[tuple[int, Records]] = []
        left_bytes = PAGE_BYTES_MAX
        available = {each: end - offsets[each] for each, end in ends}
        taken = shares(available, count, first=sum(offsets.values()))
        for partition_id, messages_max in taken.items():
            if left_bytes <= 0:
                break
            asked = offsets[partition_id]
            page = await self.read(partition_id, FromOffset(asked), messages_max)
            records = page.messages
            if not records:
                continue
            if records.offsets[0] > asked:
                gaps.append(Gap(partition_id, asked, records.offsets[0]))
            runs.append((partition_id, records))
            left_bytes -= records.payload_bytes
            positions = moved(positions, partition_id, records.offsets[-1] + 1)
        is_full = left_bytes <= 0 or sum(taken.values()) >= count
        return TopicPage(tuple(runs), tuple(gaps), begin, positions, is_full)


async def batched(
    pages: AsyncGenerator[PartitionPage, None], positions: Positions
) -> AsyncGenerator[RecordBatch, None]:
    """*pages* from *positions* on, in batches that say where a reader stands; what is missing on the way is a gap."""
    async with aclosing(pages):
        async for partition_id, asked, begin, records in pages:
            if begin > asked:
                after = moved(positions, partition_id, begin)
                yield RecordBatch.of_gap(Gap(partition_id, asked, begin), positions, after)
                positions = after
            for part in parts_for(positions, records):
                after = moved(positions, partition_id, part.offsets[-1] + 1)
                yield RecordBatch(partition_id, part, positions, after)
                positions = after
            # While the next page is read this one would be held here.
            del records


def shares(available: Mapping[int, int], count: int, *, first: int) -> dict[int, int]:
    """How many messages to take from each partition, *count* together where there are so many.

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


async def _next(pages: AsyncGenerator[PartitionPage, None]) -> PartitionPage | None:
    return await anext(pages, None)


async def _let_end(coming: "asyncio.Task[PartitionPage | None]") -> None:
    """A read that nobody needs mostly ends by itself, soon: one that is cancelled costs Iggy's client its connection."""
    if not coming.done():
        await asyncio.wait({coming}, timeout=_LET_END_S)
        coming.cancel()
        await asyncio.wait({coming})
    if not coming.cancelled():
        # Nobody asks for it any more; without this the event loop would complain.
        coming.exception()
