"""
Concurrent appends to one place, gathered into one (shell over `batches.py`).

While one batch of a lane is in flight the next one fills; when nothing is in flight an append leaves at once. A lane is
one partition of a topic, or a topic whose messages may go anywhere; its batches follow each other, so order per
partition is order of arrival.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
from bridge.flow.batches import Weight, shares, taken
from bridge.messagelog import (
    Balanced,
    ByKey,
    HealthProbe,
    MessageLog,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from bridge.messagelog.bounds import check_append, check_placement

__all__ = ("GatheredAppender",)

_log = structlog.get_logger("bridge.flow")


class _Place(NamedTuple):
    topic: TopicRef
    #: None: wherever the log puts it next.
    partition_id: int | None


@dataclass(slots=True, eq=False)
class _Entry:
    """One caller's append."""

    messages: Sequence[NewMessage]
    weight: Weight
    deadline: Deadline
    receipt: asyncio.Future[Receipt]
    handed_over: bool = False
    withdrawn: bool = False


class GatheredAppender:
    """
    The write half of a `MessageLog`, for many callers at once.

    A caller that is cancelled, or whose deadline passes, while its messages still wait takes them out again: nothing
    was written. Once they are handed to the log they are stored all the same, and a deadline then says UNKNOWN.
    A batch has the latest deadline of its members; each member leaves at its own.
    """

    def __init__(self, log: MessageLog, *, probe: HealthProbe) -> None:
        self._log = log
        self._probe = probe
        self._lanes: dict[_Place, deque[_Entry]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self._held_bytes = 0
        self._closed = False

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`; all messages of one call stay together, one after the other."""
        weight = Weight(len(messages), check_append(messages))
        check_placement(placement)
        if isinstance(placement, ByKey):
            try:
                return await self._by_key(topic, placement, messages, weight, deadline)
            except PartitionNotFound:
                # Partitions were taken away since their number was last looked at; nothing was written.
                return await self._by_key(topic, placement, messages, weight, deadline)
        partition_id = placement.partition_id if isinstance(placement, ToPartition) else None
        return await self._append(_Place(topic, partition_id), messages, weight, deadline)

    async def close(self) -> None:
        """Refuse new appends, and end when those accepted have their answer."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _by_key(
        self,
        topic: TopicRef,
        placement: ByKey,
        messages: Sequence[NewMessage],
        weight: Weight,
        deadline: Deadline,
    ) -> Receipt:
        try:
            count = await self._log.partitions_count(topic, deadline=deadline)
        except LogError as error:
            error.outcome = Outcome.NOT_WRITTEN
            raise
        place = _Place(topic, partition_of_key(placement.key, count))
        return await self._append(place, messages, weight, deadline)

    async def _append(
        self, place: _Place, messages: Sequence[NewMessage], weight: Weight, deadline: Deadline
    ) -> Receipt:
        if not deadline.remaining_s():
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        lane = self._lane(place, weight)
        loop = asyncio.get_running_loop()
        entry = _Entry(messages, weight, deadline, loop.create_future())
        self._hold(weight, +1)
        lane.append(entry)
        # A timer that ends the wait: 1.5 us with uvloop, where an `asyncio.timeout`, which cancels the task, takes 4.7.
        timer = loop.call_later(deadline.remaining_s(), self._expire, lane, entry)
        try:
            return await entry.receipt
        finally:
            timer.cancel()
            self._withdraw(lane, entry)
            if entry.receipt.done() and not entry.receipt.cancelled():
                # Looked at even where the caller was cancelled in the same moment, so that nothing warns of it.
                entry.receipt.exception()

    def _expire(self, lane: deque[_Entry], entry: _Entry) -> None:
        # Taken out at once: the lane may have its turn before the caller has his.
        taken_out = self._withdraw(lane, entry)
        if not entry.receipt.done():
            entry.receipt.set_exception(
                self._never_handed_over() if taken_out else DeadlineExceeded(outcome=Outcome.UNKNOWN)
            )

    def _withdraw(self, lane: deque[_Entry], entry: _Entry) -> bool:
        """Take *entry* out of its lane, whose turn it then was not; whether it was still there."""
        if entry.handed_over or entry.withdrawn:
            return False
        entry.withdrawn = True
        lane.remove(entry)
        self._hold(entry.weight, -1)
        return True

    def _never_handed_over(self) -> LogError:
        """Why the turn did not come: for want of time, or of a log."""
        health = self._probe.health()
        if health.ready:
            return DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        return Disconnected(health.detail, outcome=Outcome.NOT_WRITTEN)

    def _lane(self, place: _Place, weight: Weight) -> deque[_Entry]:
        if self._closed:
            raise ConnectionFailed("The bridge is shutting down.", outcome=Outcome.NOT_WRITTEN)
        full = (
            self._held >= limits.GATHER_WAITING_MAX
            or self._held_bytes + weight.size_bytes > limits.GATHER_WAITING_BYTES_MAX
        )
        lane = self._lanes.get(place)
        if full or (lane is None and len(self._lanes) >= limits.GATHER_LANES_MAX):
            raise Overloaded(outcome=Outcome.NOT_WRITTEN, retry_after_ms=1000)
        if lane is None:
            lane = self._lanes[place] = deque()
            task = asyncio.create_task(self._drain(place, lane), name=f"gather {place.partition_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return lane

    def _hold(self, weight: Weight, sign: int) -> None:
        self._held += sign
        self._held_bytes += sign * weight.size_bytes

    async def _drain(self, place: _Place, lane: deque[_Entry]) -> None:
        try:
            while lane:
                batch = [lane.popleft() for _ in range(taken(entry.weight for entry in lane))]
                for entry in batch:
                    entry.handed_over = True
                try:
                    await self._store(place, batch)
                finally:
                    for entry in batch:
                        self._hold(entry.weight, -1)
                        if not entry.receipt.done():
                            entry.receipt.set_exception(SendError(outcome=Outcome.UNKNOWN))
        finally:
            # No await since the lane was seen empty: nobody can have joined it.
            del self._lanes[place]

    async def _store(self, place: _Place, batch: list[_Entry]) -> None:
        """Store *batch*; every entry has its answer afterwards."""
        placement = Balanced() if place.partition_id is None else ToPartition(place.partition_id)
        messages = [message for entry in batch for message in entry.messages]
        deadline = max((entry.deadline for entry in batch), key=lambda deadline: deadline.at_s)
        try:
            receipt = await self._log.append(place.topic, placement, messages, deadline=deadline)
        except BridgeError as error:
            if len(batch) > 1 and isinstance(error, RequestError) and not isinstance(error, NotFound):
                # The log refuses something that no rule here forbids: only its owner shall hear of it.
                for entry in batch:
                    await self._store(place, [entry])
                return
            for entry in batch:
                if not entry.receipt.done():
                    # Each caller raises its own: a shared one would grow a traceback for every caller.
                    entry.receipt.set_exception(copy.copy(error))
            return
        except Exception:  # noqa: BLE001 (the callers must hear of it, and the lane must go on)
            _log.exception("append_failed_unexpectedly", messages=len(messages))
            return
        for entry, share in zip(
            batch, shares(receipt, [e.weight.messages_count for e in batch]), strict=True
        ):
            if not entry.receipt.done():
                entry.receipt.set_result(share)
