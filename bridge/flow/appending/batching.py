"""Concurrent appends, sent to the log in batches (shell over `queues.py`).

While one batch of a queue is in flight the next one fills; when nothing is in flight an append leaves at once. There is a
queue for each partition of a topic, and one for a topic whose messages may go anywhere; its batches follow each other, so
order per partition is order of arrival.
"""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import (
    BridgeError,
    ConnectionFailed,
    DeadlineExceeded,
    Disconnected,
    LogError,
    NotFound,
    Outcome,
    Overloaded,
    PartitionNotFound,
    RequestError,
    SendError,
)
from bridge.flow.appending.queues import Backlog, PartitionQueue, PendingAppend, QueueKey, fail, receipts
from bridge.flow.kept_topic import MISSING, KeptTopic
from bridge.messagelog import (
    ByKey,
    HealthProbe,
    Messages,
    NewMessage,
    NewRecords,
    Placement,
    Receipt,
    StoredNews,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from bridge.messagelog.bounds import check_append, check_placement
from bridge.messagelog.deadline_alarm import DeadlineAlarm

_log = structlog.get_logger("bridge.flow")

_COUNT_OF: Final = attrgetter("messages_count")


class BatchLog(Protocol):
    """What a batching appender needs of a `MessageLog`."""

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt: ...
    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int: ...


class BatchingAppender:
    """The write half of a `MessageLog`, for many callers at once.

    A caller that is cancelled, or whose deadline passes, while its messages still wait withdraws them: nothing was written.
    They wait until the log seals their batch: a log that waits for its connection has none of them yet. From then on they
    are stored all the same, and a deadline says UNKNOWN. A batch has the latest deadline of its members; each member
    leaves at its own.

    Args:
        news: told of every batch that was acknowledged; for a log that does not tell by itself.
        kept: the default topic, which is never missing here; what was sent to it while it was keeps its order.
    """

    def __init__(
        self,
        log: BatchLog,
        *,
        probe: HealthProbe,
        news: StoredNews | None = None,
        kept: KeptTopic | None = None,
    ) -> None:
        self._log = log
        self._news = news or StoredNews()
        self._probe = probe
        self._kept = kept
        self._queues: dict[QueueKey, PartitionQueue] = {}
        self._backlog = Backlog()
        self._closed = False
        # Of all that append.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emptied = asyncio.Event()
        self._alarm = DeadlineAlarm(self._look_at_deadlines)

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`; all messages of one call stay together, one after the other."""
        records = NewRecords.of(messages)
        size_bytes = check_append(records)
        check_placement(placement)
        partition_id = placement.partition_id if isinstance(placement, ToPartition) else None
        # One coroutine for all of it: each more took 1,500 instructions of every POST.
        looks_left, kept, times_missing = 2, self._kept, 0
        if kept is not None and kept.waiting and topic == kept.topic:
            await kept.until_there(deadline, Outcome.NOT_WRITTEN)
        while True:
            try:
                if isinstance(placement, ByKey):
                    looks_left -= 1
                    try:
                        count = await self._log.partitions_count(topic, deadline=deadline)
                    except LogError as error:
                        error.outcome = Outcome.NOT_WRITTEN
                        raise
                    partition_id = partition_of_key(placement.key, count)
                append = self._accept((topic, partition_id), records, size_bytes, deadline)
                try:
                    return await append.receipt
                except asyncio.CancelledError:
                    _leave(append)
                    raise
            except PartitionNotFound:
                # Partitions were taken away since their number was last looked at; nothing was written.
                if not isinstance(placement, ByKey) or not looks_left:
                    raise
            except MISSING as error:
                if kept is None or not kept.keeps(topic):
                    raise
                await kept.until_made(error, deadline, Outcome.NOT_WRITTEN, times=times_missing)
                looks_left, times_missing = 2, times_missing + 1

    async def close(self) -> None:
        """Refuse new appends, and end when those accepted have their answer."""
        self._closed = True
        if self._queues:
            await self._emptied.wait()
        self._alarm.stop()

    # --- callers ------------------------------------------------------------------------------------------------

    def _accept(
        self, key: QueueKey, records: NewRecords, size_bytes: int, deadline: Deadline
    ) -> PendingAppend:
        if not deadline.remaining_s():
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        if self._closed:
            raise ConnectionFailed("The bridge is shutting down.", outcome=Outcome.NOT_WRITTEN)
        queue = self._queues.get(key)
        if not self._backlog.takes(size_bytes) or (
            queue is None and len(self._queues) >= limits.GATHER_LANES_MAX
        ):
            raise Overloaded(outcome=Outcome.NOT_WRITTEN, retry_after_ms=1000)
        loop = self._loop
        if loop is None:
            # Once: to ask which loop is running asks the system which process this is.
            loop = self._loop = asyncio.get_running_loop()
        if queue is None:
            queue = self._queues[key] = PartitionQueue(key, self._backlog)
            # It begins after whoever else is ready in this turn of the loop.
            queue.task = loop.create_task(self._drain(queue), name="appends")
        append = PendingAppend(
            queue, records, len(records.payloads), size_bytes, deadline, loop.create_future()
        )
        queue.add(append)
        self._alarm.watch(deadline)
        return append

    # --- deadlines ----------------------------------------------------------------------------------------------

    def _look_at_deadlines(self) -> tuple[Deadline | None, int]:
        first: Deadline | None = None
        for queue in self._queues.values():
            for append in tuple(queue):
                if append.receipt.done():
                    continue
                if not append.deadline.remaining_s():
                    self._expire(append)
                elif first is None or append.deadline.at_s < first.at_s:
                    first = append.deadline
        return first, self._backlog.appends_count

    def _expire(self, append: PendingAppend) -> None:
        if append.queue is None:
            append.receipt.set_exception(DeadlineExceeded(outcome=Outcome.UNKNOWN))
            return
        # At once: the batch may be sealed before the caller has his turn.
        append.queue.withdraw(append)
        health = self._probe.health()
        # Why it was not sealed: for want of time, or of a log.
        append.receipt.set_exception(
            DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
            if health.ready
            else Disconnected(health.detail, outcome=Outcome.NOT_WRITTEN)
        )

    # --- batches ------------------------------------------------------------------------------------------------

    async def _drain(self, queue: PartitionQueue) -> None:
        """Store what waits in *queue*, batch by batch, until nothing does; then there is no such queue any more."""
        try:
            while queue.waiting:
                await self._store(queue)
                queue.finish()
        finally:
            if queue.batch or queue.waiting:
                # Only where this task was cancelled; else no errors are made of which nobody is told, 20,000 instructions.
                fail(queue.batch, SendError(outcome=Outcome.UNKNOWN))
                queue.finish()
                _refuse(queue.waiting, SendError(outcome=Outcome.NOT_WRITTEN))
            del self._queues[queue.key]
            if self._closed and not self._queues:
                self._emptied.set()

    async def _store(self, queue: PartitionQueue) -> None:
        """Hand one batch to the log; every append of it has its answer afterwards."""
        deadline = queue.latest_deadline()
        try:
            receipt = await self._log.append(queue.topic, queue.placement, queue, deadline=deadline)
            if not queue.batch:
                raise RuntimeError("a log acknowledged what it never took")  # noqa: TRY301 (as any other fault of it)
            self._acknowledge(queue.topic, queue.batch, receipt)
        except Exception as error:  # noqa: BLE001 (the callers must hear of it, and the queue must go on)
            batch = queue.batch
            if not batch:
                # Who came meanwhile and has more time waits on.
                late = [append for append in queue.waiting if append.deadline.at_s <= deadline.at_s]
                _refuse(late, _explained(error, Outcome.NOT_WRITTEN))
            elif len(batch) > 1 and isinstance(error, RequestError) and not isinstance(error, NotFound):
                # The log refuses something that no rule here forbids: only its owner shall hear of it.
                for append in batch:
                    await self._store_alone(queue, append)
            else:
                fail(batch, _explained(error, Outcome.UNKNOWN))

    async def _store_alone(self, queue: PartitionQueue, append: PendingAppend) -> None:
        try:
            receipt = await self._log.append(
                queue.topic, queue.placement, append.messages, deadline=append.deadline
            )
            self._acknowledge(queue.topic, [append], receipt)
        except Exception as error:  # noqa: BLE001 (as above)
            fail([append], _explained(error, Outcome.UNKNOWN))

    def _acknowledge(self, topic: TopicRef, batch: Sequence[PendingAppend], receipt: Receipt) -> None:
        """The one place where callers learn that their messages are stored."""
        self._news.stored(topic, receipt)
        for append, share in zip(batch, receipts(receipt, map(_COUNT_OF, batch)), strict=True):
            if not append.receipt.done():
                append.receipt.set_result(share)


def _leave(append: PendingAppend) -> None:
    """Its caller was cancelled."""
    if append.queue is not None:
        append.queue.withdraw(append)
    if append.receipt.done() and not append.receipt.cancelled():
        # Looked at even where the caller was cancelled in the same moment, so that nothing warns of it.
        append.receipt.exception()


def _refuse(waiting: Sequence[PendingAppend], error: BridgeError) -> None:
    """None of *waiting* was handed over, nor will be."""
    if isinstance(error, LogError) and error.outcome is None:
        error.outcome = Outcome.NOT_WRITTEN
    refused = tuple(waiting)
    for append in refused:
        if append.queue is not None:
            append.queue.withdraw(append)
    fail(refused, error)


def _explained(error: Exception, outcome: Outcome) -> BridgeError:
    """*error*, or if it is none that a log may raise what callers are told of it."""
    if isinstance(error, BridgeError):
        return error
    _log.error("append_failed_unexpectedly", exc_info=error)
    return SendError(outcome=outcome)
