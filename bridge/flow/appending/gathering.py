"""
Concurrent appends to one place, gathered into one (shell over `batches.py`).

While one batch of a lane is in flight the next one fills; when nothing is in flight an append leaves at once. A lane is
one partition of a topic, or a topic whose messages may go anywhere; its batches follow each other, so order per
partition is order of arrival.
"""

import asyncio
import copy
import functools
import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

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
from bridge.flow.appending.batches import shares
from bridge.flow.appending.lanes import Departure, Entry, Lane, Place, latest_deadline, messages_of
from bridge.messagelog import (
    Balanced,
    ByKey,
    HealthProbe,
    MessageLog,
    NewMessage,
    Placement,
    Receipt,
    StoredNews,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from bridge.messagelog.bounds import check_append, check_placement
from bridge.messagelog.ready import Ending, ReadyLog

__all__ = ("GatheredAppender",)

_log = structlog.get_logger("bridge.flow")

_COUNT_OF: Final = attrgetter("messages_count")
# A look at one entry's deadline takes 0.2 us: so much is waited for each between two looks at all.
_LOOK_PAUSE_S: Final = 4e-6


class GatheredAppender:
    """
    The write half of a `MessageLog`, for many callers at once.

    A caller that is cancelled, or whose deadline passes, while its messages still wait takes them out again: nothing
    was written. They wait until the log hands them over: a log that waits for its connection has none of them yet. From
    then on they are stored all the same, and a deadline says UNKNOWN. A batch has the latest deadline of its members;
    each member leaves at its own.

    This runs for every message in. It takes 3.8 us of CPU a message with 64 callers and 12.5 with one; a task for each
    batch, a timer for each caller and tuples for weights took 8.2 and 24.5 (measured, over a log that costs nothing).

    Args:
        ready: the log's own way to begin an append, where it has one.
        news: told of every batch that was acknowledged; for a log that does not tell by itself.
    """

    def __init__(
        self,
        log: MessageLog,
        *,
        probe: HealthProbe,
        ready: ReadyLog | None = None,
        news: StoredNews | None = None,
    ) -> None:
        self._log = log
        self._ready = ready
        self._news = news or StoredNews()
        self._probe = probe
        self._lanes: dict[Place, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self._held_bytes = 0
        self._closed = False
        self._emptied = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = math.inf

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`; all messages of one call stay together, one after the other."""
        size_bytes = check_append(messages)
        if not isinstance(placement, ByKey):
            return await self._receipt(self._enter(topic, placement, messages, size_bytes, deadline))
        check_placement(placement)
        place = await self._partition(topic, placement, deadline)
        try:
            return await self._receipt(self._enter(topic, place, messages, size_bytes, deadline))
        except PartitionNotFound:
            # Partitions were taken away since their number was last looked at; nothing was written.
            place = await self._partition(topic, placement, deadline)
            return await self._receipt(self._enter(topic, place, messages, size_bytes, deadline))

    async def close(self) -> None:
        """Refuse new appends, and end when those accepted have their answer."""
        self._closed = True
        if self._lanes:
            await self._emptied.wait()
        if self._alarm is not None:
            self._alarm.cancel()

    async def _partition(self, topic: TopicRef, placement: ByKey, deadline: Deadline) -> ToPartition:
        count = self._ready.partitions_now(topic) if self._ready is not None else None
        if count is None:
            try:
                count = await self._log.partitions_count(topic, deadline=deadline)
            except LogError as error:
                error.outcome = Outcome.NOT_WRITTEN
                raise
        return ToPartition(partition_of_key(placement.key, count))

    # --- callers ------------------------------------------------------------------------------------------------

    def _enter(
        self,
        topic: TopicRef,
        placement: Balanced | ToPartition,
        messages: Sequence[NewMessage],
        size_bytes: int,
        deadline: Deadline,
    ) -> Entry:
        remaining_s = deadline.remaining_s()
        if not remaining_s:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        if self._closed:
            raise ConnectionFailed("The bridge is shutting down.", outcome=Outcome.NOT_WRITTEN)
        place: Place = (topic, placement.partition_id if isinstance(placement, ToPartition) else None)
        lane = self._lanes.get(place)
        if (
            self._held >= limits.GATHER_WAITING_MAX
            or self._held_bytes + size_bytes > limits.GATHER_WAITING_BYTES_MAX
            or (lane is None and len(self._lanes) >= limits.GATHER_LANES_MAX)
        ):
            raise Overloaded(outcome=Outcome.NOT_WRITTEN, retry_after_ms=1000)
        loop = asyncio.get_running_loop()
        if lane is None:
            lane = self._lanes[place] = Lane(place)
            # After whoever else is ready in this turn of the loop.
            loop.call_soon(self._turn, lane)
        entry = Entry(lane, messages, len(messages), size_bytes, deadline, loop.create_future())
        lane.join(entry)
        self._held += 1
        self._held_bytes += size_bytes
        if deadline.at_s < self._alarm_at_s:
            self._set_alarm(deadline.at_s, remaining_s)
        return entry

    async def _receipt(self, entry: Entry) -> Receipt:
        try:
            return await entry.receipt
        except asyncio.CancelledError:
            self._withdraw(entry)
            if entry.receipt.done() and not entry.receipt.cancelled():
                # Looked at even where the caller was cancelled in the same moment, so that nothing warns of it.
                entry.receipt.exception()
            raise

    def _withdraw(self, entry: Entry) -> bool:
        """Take *entry* out of its lane, whose turn it then was not; whether it was still there."""
        lane = entry.lane
        if lane is None:
            return False
        lane.leave(entry)
        self._held -= 1
        self._held_bytes -= entry.size_bytes
        return True

    # --- deadlines ----------------------------------------------------------------------------------------------

    def _set_alarm(self, at_s: float, remaining_s: float) -> None:
        # One timer, at the first deadline of all: one for each caller takes 1.5 us with uvloop.
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at_s = at_s
        self._alarm = asyncio.get_running_loop().call_later(remaining_s, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        self._alarm, self._alarm_at_s = None, math.inf
        first: Deadline | None = None
        for lane in tuple(self._lanes.values()):
            for entry in (*lane.storing, *lane.waiting):
                if entry.receipt.done():
                    continue
                if not entry.deadline.remaining_s():
                    self._expire(entry)
                elif first is None or entry.deadline.at_s < first.at_s:
                    first = entry.deadline
        if first is not None:
            self._set_alarm(first.at_s, max(first.remaining_s(), self._held * _LOOK_PAUSE_S))

    def _expire(self, entry: Entry) -> None:
        # Taken out at once: the lane may have its turn before the caller has his.
        if not self._withdraw(entry):
            entry.receipt.set_exception(DeadlineExceeded(outcome=Outcome.UNKNOWN))
            return
        health = self._probe.health()
        # Why the turn did not come: for want of time, or of a log.
        entry.receipt.set_exception(
            DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
            if health.ready
            else Disconnected(health.detail, outcome=Outcome.NOT_WRITTEN)
        )

    # --- lanes --------------------------------------------------------------------------------------------------

    def _turn(self, lane: Lane) -> None:
        """Nothing of *lane* is in flight: hand over what waits there, or drop it."""
        if not lane.waiting:
            del self._lanes[lane.place]
            if self._closed and not self._lanes:
                self._emptied.set()
        elif self._ready is None or not self._begun(lane, self._ready):
            self._store_in_task(lane)

    def _begun(self, lane: Lane, ready: ReadyLog) -> bool:
        lane.take()
        ended = functools.partial(self._ended, lane, lane.storing)
        try:
            begun = ready.begin_append(
                lane.topic,
                lane.placement,
                messages_of(lane.storing),
                size_bytes=lane.storing_bytes,
                deadline=latest_deadline(lane.storing),
                ended=ended,
            )
        except Exception:  # noqa: BLE001 (the callers must hear of it, and the lane must go on)
            _log.exception("append_failed_unexpectedly", messages=len(lane.storing))
            asyncio.get_running_loop().call_soon(ended, SendError(outcome=Outcome.UNKNOWN))
            return True
        if not begun:
            self._forget(lane.put_back())
        return begun

    def _ended(self, lane: Lane, batch: list[Entry], ending: Ending) -> None:
        if lane.storing is not batch:
            # The lane's next batch is none of this one's.
            _log.error("append_ended_twice", messages=len(batch))
            return
        if ending is None:
            self._forget(lane.put_back())
            self._store_in_task(lane)
        elif isinstance(ending, BridgeError):
            _fail(batch, ending)
            self._next(lane)
        else:
            self._acknowledge(lane, batch, ending)
            self._next(lane)

    def _next(self, lane: Lane) -> None:
        """Every entry of the batch has its answer."""
        batch, lane.storing, lane.storing_bytes = lane.storing, [], 0
        self._forget(batch)
        self._turn(lane)

    def _forget(self, entries: list[Entry]) -> None:
        """*entries* are held no more."""
        self._held -= len(entries)
        self._held_bytes -= sum(entry.size_bytes for entry in entries)

    def _store_in_task(self, lane: Lane) -> None:
        task = asyncio.get_running_loop().create_task(self._store_all(lane), name="gathered append")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store_all(self, lane: Lane) -> None:
        try:
            await self._store(lane)
        finally:
            _fail(lane.storing, SendError(outcome=Outcome.UNKNOWN))
            self._next(lane)

    async def _store(self, lane: Lane) -> None:
        """Store what waits in *lane* when its turn comes; every entry that left has its answer afterwards."""
        if not lane.waiting:
            # All have gone away since the task was made.
            return
        deadline = latest_deadline(lane.waiting)
        try:
            receipt = await self._log.append(
                lane.topic, lane.placement, Departure(lane, self._forget), deadline=deadline
            )
            if not lane.storing:
                raise RuntimeError("a log acknowledged what it never took")  # noqa: TRY301 (as any other fault of it)
        except BridgeError as error:
            batch = lane.storing
            if not batch:
                self._refuse(lane, error, deadline)
            elif len(batch) > 1 and isinstance(error, RequestError) and not isinstance(error, NotFound):
                # The log refuses something that no rule here forbids: only its owner shall hear of it.
                for entry in batch:
                    await self._store_alone(lane, entry)
            else:
                _fail(batch, error)
        except Exception:  # noqa: BLE001 (the callers must hear of it, and the lane must go on)
            _log.exception("append_failed_unexpectedly", messages=len(lane.storing))
            if not lane.storing:
                self._refuse(lane, SendError(outcome=Outcome.NOT_WRITTEN), deadline)
        else:
            self._acknowledge(lane, lane.storing, receipt)

    async def _store_alone(self, lane: Lane, entry: Entry) -> None:
        try:
            receipt = await self._log.append(
                lane.topic, lane.placement, entry.messages, deadline=entry.deadline
            )
        except BridgeError as error:
            _fail([entry], error)
        else:
            self._acknowledge(lane, [entry], receipt)

    def _refuse(self, lane: Lane, error: BridgeError, deadline: Deadline) -> None:
        """Nothing of *lane* was handed over before *deadline*; who came meanwhile and has more time waits on."""
        if isinstance(error, LogError) and error.outcome is None:
            error.outcome = Outcome.NOT_WRITTEN
        for entry in tuple(lane.waiting):
            if entry.deadline.at_s <= deadline.at_s:
                self._withdraw(entry)
                _fail([entry], error)

    def _acknowledge(self, lane: Lane, batch: list[Entry], receipt: Receipt) -> None:
        """The one place where callers learn that their messages are stored."""
        self._news.stored(lane.topic, receipt)
        for entry, share in zip(batch, shares(receipt, list(map(_COUNT_OF, batch))), strict=True):
            if not entry.receipt.done():
                entry.receipt.set_result(share)


def _fail(batch: list[Entry], error: BridgeError) -> None:
    for entry in batch:
        if not entry.receipt.done():
            # Each caller raises its own: a shared one would grow a traceback for every caller.
            entry.receipt.set_exception(copy.copy(error))
