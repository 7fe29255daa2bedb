"""One sequence of a topic's messages, shared by all who follow it live (shell)."""

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from typing import Final, Protocol

import structlog

from bridge.clock import Deadline
from bridge.errors import BadRequest, BridgeError, LogError, NotFound, PartitionNotFound
from bridge.flow.following.batches import Gap, Positions, RecordBatch, Run, moved, parts_for
from bridge.flow.following.live_lanes import LiveLane, Manner
from bridge.flow.following.tails import Tails, Watch
from bridge.flow.timers import Timer, in_background
from bridge.limits import (
    CURSOR_PARTITIONS_MAX,
    FEED_BYTES_MAX,
    FEED_CATCH_UPS,
    FEED_DELIVERIES_PER_TURN,
    FEED_ENTRIES_MAX,
    FEED_PARTITIONS_LOOK_S,
    FEED_RUN_BYTES,
    FEED_RUNS_MAX,
    FEEDS_BYTES_MAX,
    PARTITIONS_AT_ONCE,
    TAIL_READ_TIMEOUT_S,
)
from bridge.messagelog import Records, TopicRef

__all__ = ("Feed", "FeedsBudget", "LiveReader")

_log = structlog.get_logger("bridge.flow")
#: What an entry weighs beside its messages, and for each partition in its positions.
_ENTRY_BYTES: Final = 512
_POSITION_BYTES: Final = 8


class LiveReader(Protocol):
    """Who has everything there is, and is called when there is more."""

    def serve(self) -> None:
        """There is more, or the feed has ended; must neither wait nor raise."""
        ...


class FeedsBudget:
    """
    What all feeds have together.

    Attributes:
        held_bytes: of their rings.
        catch_ups: places for readers that read the log by themselves.
    """

    __slots__ = ("catch_ups", "held_bytes")

    def __init__(self) -> None:
        self.held_bytes = 0
        self.catch_ups = asyncio.Semaphore(FEED_CATCH_UPS)


class Feed:
    """
    The messages of a topic, or of some of its partitions, merged into one sequence as they come.

    The newest entries are kept in a ring, bounded in number and bytes; who needs older ones reads the log.

    Attributes:
        every: it follows all partitions, those added later too.
        sequence: of the newest entry; 0 before the first.
        positions: where a reader stands who has them all. Known once `open` returned.
        beginnings: the sequence at which each partition last began anew, where it has.
        error: why there will be no more: the topic is gone.
    """

    def __init__(
        self, tails: Tails, topic: TopicRef, partitions: Sequence[int] | None, budget: FeedsBudget
    ) -> None:
        self._tails = tails
        self.topic = topic
        self._named = None if partitions is None else tuple(sorted(set(partitions)))
        self._budget = budget
        self._watches: dict[int, tuple[ExitStack, Watch]] = {}
        self._ring: deque[RecordBatch] = deque()
        self._ring_bytes = 0
        self._runs: dict[int, Run] = {}
        self._live: dict[LiveReader, None] = {}
        self._lanes: dict[Hashable, LiveLane] = {}
        self._round: deque[LiveReader] = deque()
        self._scheduled = False
        self._news: dict[asyncio.Future[None], None] = {}
        self._look_timer: Timer | None = None
        self._look_task: asyncio.Task[None] | None = None
        self.sequence = 0
        self.positions: Positions = ()
        self.beginnings: dict[int, int] = {}
        self.error: BridgeError | None = None
        self.every = partitions is None

    # --- life ---------------------------------------------------------------------------------------------------

    async def open(self, *, deadline: Deadline) -> None:
        """
        Begin at the end of each partition.

        Raises:
            BadRequest: if there are more partitions than a cursor holds.
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log does not tell in time.
        """
        wanted: Sequence[int]
        if self._named is None:
            wanted = range(await self._tails.log.partitions_count(self.topic, deadline=deadline))
        else:
            wanted = self._named
        _check_count(len(wanted))
        watches = [self._watch(partition_id) for partition_id in wanted]
        await asyncio.gather(*(watch.opened(deadline) for watch in watches))
        # From here on without a wait: nothing can come between the positions and the messages after them.
        self.positions = tuple(
            (partition_id, watch.listen(self)) for partition_id, watch in zip(wanted, watches, strict=True)
        )
        self._look_later()

    def close(self) -> None:
        """Nobody follows any more."""
        for stack, _ in self._watches.values():
            stack.close()
        self._watches.clear()
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        if self._look_task is not None:
            self._look_task.cancel()
        self._forget_ring()

    def _watch(self, partition_id: int) -> Watch:
        stack = ExitStack()
        watch = stack.enter_context(self._tails.watch(self.topic, partition_id))
        self._watches[partition_id] = stack, watch
        return watch

    # --- readers ------------------------------------------------------------------------------------------------

    def has_lost(self, sequence: int) -> bool:
        """Whether the entry after *sequence* is not in the ring any more."""
        return sequence < self.sequence and (not self._ring or self._ring[0].sequence > sequence + 1)

    def run_after(self, sequence: int) -> Run | None:
        """What follows *sequence*, about `FEED_RUN_BYTES` of it as written and at least an entry; None if nothing does."""
        missing = self.sequence - sequence
        if missing <= 0:
            return None
        run = self._runs.get(sequence)
        if run is None:
            ring = self._ring
            entries: list[RecordBatch] = []
            size_bytes = 0
            for index in range(len(ring) - missing, len(ring)):
                entry = ring[index]
                size_bytes += entry.written_bytes
                if entries and size_bytes > FEED_RUN_BYTES:
                    break
                entries.append(entry)
            if len(self._runs) >= FEED_RUNS_MAX:
                del self._runs[next(iter(self._runs))]
            run = self._runs[sequence] = Run(entries)
        return run

    @property
    def catch_ups(self) -> asyncio.Semaphore:
        """Places for readers that read the log by themselves."""
        return self._budget.catch_ups

    def join(self, reader: LiveReader) -> None:
        """Call *reader* whenever there is more than now."""
        self._live[reader] = None

    def leave(self, reader: LiveReader) -> None:
        """No more."""
        self._live.pop(reader, None)

    def lane(self, manner: Manner) -> LiveLane:
        """Where readers that are given the same bytes are; to be joined at once."""
        lane = self._lanes.get(manner.form)
        if lane is None:
            lane = self._lanes[manner.form] = LiveLane(self, manner)
            self._live[lane] = None
        return lane

    def lane_is_empty(self, form: Hashable) -> None:
        """Called by the lane when its last reader has left."""
        self.leave(self._lanes.pop(form))

    def news(self) -> "asyncio.Future[None]":
        """Done when there is more than now, or the feed has ended; who waits no more says so with `forget`."""
        future = asyncio.get_running_loop().create_future()
        if self.error is not None:
            future.set_result(None)
        else:
            self._news[future] = None
        return future

    def forget(self, future: "asyncio.Future[None]") -> None:
        """Nobody waits for that any more."""
        self._news.pop(future, None)

    def expect(self, partition_id: int, next_offset: int) -> None:
        """Messages before *next_offset* are known to be there."""
        self._tails.stored(self.topic, partition_id, next_offset)

    # --- what the tails tell --------------------------------------------------------------------------------------

    def on_records(self, partition_id: int, records: Records) -> None:
        for part in parts_for(self.positions, records):
            before = self.positions
            after = moved(before, partition_id, part.offsets[-1] + 1)
            self._add(
                RecordBatch(partition_id, part, before, after, sequence=self.sequence + 1, grew=self._grown)
            )

    def on_gap(self, gap: Gap) -> None:
        if gap.begins_anew:
            self.beginnings[gap.partition_id] = self.sequence + 1
        before = self.positions
        after = moved(before, gap.partition_id, gap.to_offset)
        self._add(RecordBatch.of_gap(gap, before, after, sequence=self.sequence + 1, grew=self._grown))

    def on_gone(self, partition_id: int, error: BridgeError) -> None:
        if self.every and isinstance(error, PartitionNotFound):
            self._watches.pop(partition_id)[0].close()
            self.positions = tuple(each for each in self.positions if each[0] != partition_id)
            return
        if self.error is None:
            self.error = error
            self._announce()

    def _add(self, entry: RecordBatch) -> None:
        self.sequence = entry.sequence
        self.positions = entry.positions_after
        self._ring.append(entry)
        self._hold(_weight(entry))
        while len(self._ring) > 1 and (
            len(self._ring) > FEED_ENTRIES_MAX
            or self._ring_bytes > FEED_BYTES_MAX
            or self._budget.held_bytes > FEEDS_BYTES_MAX
        ):
            oldest = self._ring.popleft()
            self._hold(-_weight(oldest) - oldest.forms_bytes)
        self._announce()

    def _grown(self, entry: RecordBatch, size_bytes: int) -> None:
        if self._ring and entry.sequence >= self._ring[0].sequence:
            self._hold(size_bytes)

    def _hold(self, size_bytes: int) -> None:
        self._ring_bytes += size_bytes
        self._budget.held_bytes += size_bytes

    def _forget_ring(self) -> None:
        self._ring.clear()
        self._hold(-self._ring_bytes)

    # --- handing out --------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        self._runs.clear()
        if not self._scheduled:
            self._scheduled = True
            # Once for all that is told in one turn of the loop.
            asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        news, self._news = self._news, {}
        for future in news:
            if not future.done():
                future.set_result(None)
        self._round.extend(self._live)
        self._scheduled = False
        self._serve_some()

    def _serve_some(self) -> None:
        waiting, live = self._round, self._live
        for _ in range(min(len(waiting), FEED_DELIVERIES_PER_TURN)):
            reader = waiting.popleft()
            if reader in live:
                reader.serve()
        if waiting:
            asyncio.get_running_loop().call_soon(self._serve_some)

    # --- partitions that are added ------------------------------------------------------------------------------

    def look(self) -> None:
        """The number of partitions may have changed: look at once."""
        if self.every and self._look_task is None and self.error is None:
            if self._look_timer is not None:
                self._look_timer.cancel()
                self._look_timer = None
            self._look_task = in_background(self._look(), name="feed partitions")

    def _look_later(self) -> None:
        if self.every:
            self._look_timer = self._tails.timers(FEED_PARTITIONS_LOOK_S, self.look)

    async def _look(self) -> None:
        deadline = Deadline.after(TAIL_READ_TIMEOUT_S, self._tails.clock)
        try:
            count = await self._tails.log.partitions_count(self.topic, deadline=deadline)
            _check_count(count)
            new = sorted(set(range(count)) - set(self._watches))
            for begin in range(0, len(new), PARTITIONS_AT_ONCE):
                await self._follow_too(new[begin : begin + PARTITIONS_AT_ONCE], deadline)
        except (LogError, PartitionNotFound):
            # Next time, then.
            pass
        except (NotFound, BadRequest) as error:
            self.on_gone(-1, error)
        finally:
            self._look_task = None
        self._look_later()

    async def _follow_too(self, partitions: Sequence[int], deadline: Deadline) -> None:
        try:
            watches = [self._watch(partition_id) for partition_id in partitions]
            await asyncio.gather(*(watch.opened(deadline) for watch in watches))
        except BaseException:
            for partition_id in partitions:
                if partition_id in self._watches:
                    self._watches.pop(partition_id)[0].close()
            raise
        next_offsets = [watch.listen(self) for watch in watches]
        for partition_id, next_offset in zip(partitions, next_offsets, strict=True):
            self.positions = moved(self.positions, partition_id, next_offset)
        _log.info("partitions_followed", first=partitions[0], count=len(partitions))
        if any(next_offsets):
            # What came before is not in the sequence: all readers go and read it from the log.
            self.sequence += 1
            self._forget_ring()
            self._announce()


def _check_count(count: int) -> None:
    if count > CURSOR_PARTITIONS_MAX:
        raise BadRequest(
            f"The topic has more than {CURSOR_PARTITIONS_MAX} partitions: name some of them.",
            path="partitions",
            limit=CURSOR_PARTITIONS_MAX,
        )


def _weight(entry: RecordBatch) -> int:
    return _ENTRY_BYTES + entry.records.weight_bytes + _POSITION_BYTES * len(entry.positions_after)
