"""One sequence of a topic's messages, shared by all who follow it live (shell)."""

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeVar

import structlog

from bridge.clock import Deadline
from bridge.errors import BadRequest, BridgeError, LogError, NotFound, PartitionNotFound
from bridge.flow.following.batches import Gap, Positions, RecordBatch, moved, parts_for
from bridge.flow.following.fan_out import FanOut, Sink
from bridge.flow.following.partition_tail import PartitionTail
from bridge.flow.following.tails import Tails
from bridge.flow.timers import Timer, in_background
from bridge.limits import (
    CURSOR_PARTITIONS_MAX,
    FEED_BATCHES_MAX,
    FEED_BYTES_MAX,
    FEED_CATCH_UPS,
    FEED_DELIVERIES_PER_TURN,
    FEED_PARTITIONS_LOOK_S,
    FEED_RUN_BYTES,
    FEEDS_BYTES_MAX,
    PARTITIONS_AT_ONCE,
    TAIL_READ_TIMEOUT_S,
)
from bridge.messagelog import Records, TopicRef

_Data = TypeVar("_Data")

_log = structlog.get_logger("bridge.flow")
#: What a batch weighs beside its messages, and for each partition in its positions.
_BATCH_BYTES: Final = 512
_POSITION_BYTES: Final = 8


class FeedsBudget:
    """What all feeds have together.

    Attributes:
        held_bytes: of their rings.
        catch_ups: places for readers that read the log by themselves.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self.catch_ups = asyncio.Semaphore(FEED_CATCH_UPS)


class Feed:
    """The messages of a topic, or of some of its partitions, merged into one sequence as they come.

    The newest entries are kept in a ring, bounded in number and bytes; who needs older ones reads the log.

    Attributes:
        every: it follows all partitions, those added later too.
        catch_ups: places for readers that read the log by themselves.
        users: how many need it.
        sequence: of the newest batch; 0 before the first.
        positions: where a reader stands who has them all. Known once `opened` returned.
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
        self.catch_ups = budget.catch_ups
        self._watches: dict[int, ExitStack] = {}
        self._ring: deque[RecordBatch] = deque()
        self._ring_bytes = 0
        self._fan_outs: dict[Hashable, FanOut[Any]] = {}
        self._round: deque[FanOut[Any]] = deque()
        self._scheduled = False
        self._news: dict[asyncio.Future[None], None] = {}
        self._opening: asyncio.Task[None] | None = None
        self._look_timer: Timer | None = None
        self._look_task: asyncio.Task[None] | None = None
        self.users = 0
        self.sequence = 0
        self.positions: Positions = ()
        self.beginnings: dict[int, int] = {}
        self.error: BridgeError | None = None
        self.every = partitions is None

    # --- life ---------------------------------------------------------------------------------------------------

    async def opened(self, deadline: Deadline) -> None:
        """Begin at the end of each partition; whoever comes first opens it, with its deadline, for all.

        Raises:
            BadRequest: if there are more partitions than a cursor holds.
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log does not tell in time.
        """
        if self._opening is None:
            self._opening = in_background(self._open(deadline), name="feed open")
        await asyncio.shield(self._opening)

    @property
    def failed(self) -> bool:
        """Whether it could not be opened, or has ended."""
        opening = self._opening
        return self.error is not None or (
            opening is not None
            and opening.done()
            and (opening.cancelled() or opening.exception() is not None)
        )

    async def _open(self, deadline: Deadline) -> None:
        count = 0 if self._named else await self._tails.log.partitions_count(self.topic, deadline=deadline)
        wanted = self._named or range(count)
        _check_count(len(wanted))
        await self._listen(wanted, deadline)
        self._look_later()

    def close(self) -> None:
        """Nobody follows any more."""
        if self._opening is not None:
            self._opening.cancel()
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        if self._look_task is not None:
            self._look_task.cancel()
        self._forget_ring()

    def _watch(self, partition_id: int) -> PartitionTail:
        watch = ExitStack()
        tail = watch.enter_context(self._tails.watch(self.topic, partition_id))
        self._watches[partition_id] = watch
        return tail

    # --- readers ------------------------------------------------------------------------------------------------

    def has_lost(self, sequence: int) -> bool:
        """Whether the batch after *sequence* is not in the ring any more."""
        return sequence < self.sequence and (not self._ring or self._ring[0].sequence > sequence + 1)

    def batches_after(self, sequence: int) -> Sequence[RecordBatch]:
        """What follows *sequence*, about `FEED_RUN_BYTES` of it as written and at least a batch; empty if nothing does."""
        ring, batches, size_bytes = self._ring, list[RecordBatch](), 0
        for index in range(len(ring) - (self.sequence - sequence), len(ring)):
            size_bytes += ring[index].written_bytes
            if batches and size_bytes > FEED_RUN_BYTES:
                break
            batches.append(ring[index])
        return batches

    def fan_out(self, sink: Sink[_Data]) -> FanOut[_Data]:
        """Where readers that are given the same data are; to be joined at once."""
        found = self._fan_outs.get(sink.form)
        if found is None:
            found = self._fan_outs[sink.form] = FanOut(self, sink)
        return found

    def fan_out_is_empty(self, form: Hashable) -> None:
        """Called by the fan-out when its last reader has left."""
        del self._fan_outs[form]

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
            self._watches.pop(partition_id).close()
            self.positions = tuple(each for each in self.positions if each[0] != partition_id)
            return
        if self.error is None:
            self.error = error
            self._announce()

    def _add(self, batch: RecordBatch) -> None:
        self.sequence = batch.sequence
        self.positions = batch.positions_after
        self._ring.append(batch)
        self._hold(_weight(batch))
        while len(self._ring) > 1 and (
            len(self._ring) > FEED_BATCHES_MAX
            or self._ring_bytes > FEED_BYTES_MAX
            or self._budget.held_bytes > FEEDS_BYTES_MAX
        ):
            oldest = self._ring.popleft()
            self._hold(-_weight(oldest) - oldest.forms_bytes)
        self._announce()

    def _grown(self, batch: RecordBatch, size_bytes: int) -> None:
        if self._ring and batch.sequence >= self._ring[0].sequence:
            self._hold(size_bytes)

    def _hold(self, size_bytes: int) -> None:
        self._ring_bytes += size_bytes
        self._budget.held_bytes += size_bytes

    def _forget_ring(self) -> None:
        self._ring.clear()
        self._hold(-self._ring_bytes)

    # --- handing out --------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            # Once for all that is told in one turn of the loop.
            asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        news, self._news = self._news, {}
        for future in news:
            if not future.done():
                future.set_result(None)
        self._round.extend(self._fan_outs.values())
        self._scheduled = False
        self._serve_some()

    def _serve_some(self) -> None:
        for _ in range(min(len(self._round), FEED_DELIVERIES_PER_TURN)):
            self._round.popleft().serve()
        if self._round:
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
                if await self._listen(new[begin : begin + PARTITIONS_AT_ONCE], deadline):
                    # What came before is not in the sequence: all readers go and read it from the log.
                    self.sequence += 1
                    self._forget_ring()
                    self._announce()
            if new:
                _log.info("partitions_followed", first=new[0], count=len(new))
        except (LogError, PartitionNotFound):
            # Next time, then.
            pass
        except (NotFound, BadRequest) as error:
            self.on_gone(-1, error)
        finally:
            self._look_task = None
        self._look_later()

    async def _listen(self, partitions: Sequence[int], deadline: Deadline) -> bool:
        """Follow these too, from their ends on; whether any of them has held a message."""
        try:
            tails = [self._watch(partition_id) for partition_id in partitions]
            await asyncio.gather(*(tail.opened(deadline) for tail in tails))
        except BaseException:
            for partition_id in partitions:
                if partition_id in self._watches:
                    self._watches.pop(partition_id).close()
            raise
        # From here on without a wait: nothing can come between the positions and the messages after them.
        next_offsets = [tail.listen(self) for tail in tails]
        for tail in tails:
            self._watches[tail.partition_id].callback(tail.unlisten, self)
        found = dict(self.positions) | dict(zip(partitions, next_offsets, strict=True))
        self.positions = tuple(sorted(found.items()))
        return any(next_offsets)


def _check_count(count: int) -> None:
    if count > CURSOR_PARTITIONS_MAX:
        raise BadRequest(
            f"The topic has more than {CURSOR_PARTITIONS_MAX} partitions: name some of them.",
            path="partitions",
            limit=CURSOR_PARTITIONS_MAX,
        )


def _weight(batch: RecordBatch) -> int:
    return _BATCH_BYTES + batch.records.weight_bytes + _POSITION_BYTES * len(batch.positions_after)
