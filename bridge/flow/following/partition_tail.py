"""The end of one partition, read by one task however many wait for it (shell)."""

import asyncio
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from bridge.clock import Deadline
from bridge.errors import BridgeError, DeadlineExceeded, InternalError, LogError, NotFound
from bridge.flow.following.batches import Gap
from bridge.flow.following.tail_state import SingleMessage, TailWaits
from bridge.flow.following.topic_reader import TopicReader
from bridge.flow.timers import Timer, in_background
from bridge.limits import (
    READ_PAGE_MESSAGES,
    TAIL_LINGER_S,
    TAIL_POLL_MS_MAX,
    TAIL_POLL_MS_MIN,
    TAIL_POLLS_PER_S_MAX,
    TAIL_READ_TIMEOUT_S,
    TAIL_RETRY_S_MAX,
    TAIL_RETRY_S_MIN,
    TAIL_SAFETY_S,
)
from bridge.messagelog import FromOffset, Last, Records, TopicRef

if TYPE_CHECKING:
    from bridge.flow.following.tails import Tails

_log = structlog.get_logger("bridge.flow")
_POLL_S_MIN: Final = TAIL_POLL_MS_MIN / 1000
_POLL_S_MAX: Final = TAIL_POLL_MS_MAX / 1000
#: Each empty poll makes the next one so much later: 2 ms become 20 after 6.
_SLOWER: Final = 1.5
#: To wait for a message at or after it is to wait for the end to be known.
_ANY_END: Final = -1


class TailListener(Protocol):
    """Who is told of a partition's messages; called from the tail's task, and must neither wait nor raise."""

    def on_records(self, partition_id: int, records: Records) -> None:
        """Messages that follow what was told before."""

    def on_gap(self, gap: Gap) -> None:
        """What comes next does not follow what was told before."""

    def on_gone(self, partition_id: int, error: BridgeError) -> None:
        """The partition is no more (`NotFound`), or cannot be read any more; nothing else will be told."""


class PartitionTail:
    """One partition's end.

    It is read as long as somebody uses it, and a little longer. With listeners every message is read, once; without,
    only where the end is. There is never more than one read at a time.

    Attributes:
        end_offset: messages before it can be read; None until that is known.
        next_offset: listeners were told everything before it; meaningful while there are listeners.
        ended: it reads no more; whoever needs a tail takes a new one.
        beginnings: how often the partition has begun anew.
    """

    def __init__(self, tails: "Tails", topic: TopicRef, partition_id: int) -> None:
        self._tails = tails
        self.topic = topic
        self.partition_id = partition_id
        # Listeners are told in one go: what takes long of a heavy message is done before.
        self._reader = TopicReader(
            tails.log,
            topic,
            deadline=lambda: Deadline.after(TAIL_READ_TIMEOUT_S, tails.clock),
            made_ready=tails.made_ready,
        )
        self._listeners: list[TailListener] = []
        self._waits = TailWaits()
        self._users = 0
        self._lingering: Timer | None = None
        self._rest: asyncio.Future[None] | None = None
        self._poked = False
        #: The last read has given something; or has failed.
        self._found = False
        self._interval_s = _POLL_S_MAX
        self._retry_s = TAIL_RETRY_S_MIN
        self._single = SingleMessage()
        self._task: asyncio.Task[None] | None = None
        self._error: BridgeError | None = None
        self._stopping = False
        self.end_offset: int | None = None
        self.next_offset = 0
        self.ended = False
        self.beginnings = 0

    # --- use ----------------------------------------------------------------------------------------------------

    def use(self) -> None:
        """One more needs it."""
        self._users += 1
        self._stopping = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._task is None:
            self._task = in_background(self._run(), name=f"tail {self.partition_id}")

    def release(self) -> None:
        """One less."""
        self._users -= 1
        if not self._users and not self.ended:
            self._lingering = self._tails.timers(TAIL_LINGER_S, self.stop)

    def stop(self) -> None:
        """Read no more, unless somebody uses it again.

        A read that is on its way ends by itself: one that is cancelled costs Iggy's client its connection.
        """
        self._stopping = True
        if self._lingering is not None:
            self._lingering.cancel()
        self._wake()

    async def stopped(self) -> None:
        """Return when nothing of it runs any more."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def cancel(self) -> None:
        """End even a read that is on its way."""
        if self._task is not None:
            self._task.cancel()

    def listen(self, listener: TailListener) -> int:
        """Tell *listener* every message from now on; the offset of the first of them.

        Raises:
            RuntimeError: if the end is not known yet.
        """
        if self.end_offset is None:
            raise RuntimeError("listened to before it was opened")
        if not self._listeners:
            self.next_offset = self.end_offset
        self._listeners.append(listener)
        return self.next_offset

    def unlisten(self, listener: TailListener) -> None:
        self._listeners.remove(listener)

    def stored(self, next_offset: int | None) -> None:
        """Messages before *next_offset* were acknowledged; None where the log did not say."""
        if next_offset is None:
            self._poked = True
            self._wake()
        elif self.end_offset is None:
            # The read that is on its way may have left before.
            self._poked = True
        elif next_offset > self.end_offset:
            self._reached(next_offset)
            if self._listeners:
                self._poked = True
                self._wake()

    def suspect(self) -> None:
        """Something was done to the partition: look at once."""
        self._poked = self._single.suspected = True
        self._wake()

    async def opened(self, deadline: Deadline) -> int:
        """`end_offset`, once it is known.

        Raises:
            DeadlineExceeded: if the log did not tell in time.
            StreamNotFound, TopicNotFound, PartitionNotFound: if there is no such partition.
        """
        if self.end_offset is None:
            await self.beyond(_ANY_END, deadline)
        if self.end_offset is None:
            raise DeadlineExceeded
        return self.end_offset

    async def beyond(self, offset: int, deadline: Deadline) -> bool:
        """Wait until a message at or after *offset* can be read; False if there is none by the deadline.

        True as well where the partition began anew, since offsets then mean something else: read again, and see. An
        outage of the log is waited out.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if the partition is no more.
        """
        future = self.wait(offset)
        timer = None
        try:
            if not future.done():
                timer = self._tails.timers(deadline.remaining_s(), lambda: _expire(future))
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            self.forget(future)

    def wait(self, offset: int | None) -> "asyncio.Future[bool]":
        """Done when a message at or after *offset* can be read, or the partition began anew; None: when its end is known.

        The result is True; or False where no more is read, or nobody shall wait any more. The exception is that for which
        there is no more to read. Whoever waits no more says so with `forget`.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        offset = _ANY_END if offset is None else offset
        if self._error is not None:
            future.set_exception(self._error)
        elif self.end_offset is not None and offset < self.end_offset and not self.ended:
            future.set_result(True)
        elif self.ended or self._tails.waits_ended:
            future.set_result(False)
        else:
            self._waits.add(future, offset)
        return future

    def forget(self, future: "asyncio.Future[bool]") -> None:
        """Nobody waits for it any more, nor asks what came of it."""
        self._waits.forget(future)
        if future.done() and not future.cancelled():
            future.exception()

    def end_waits(self) -> None:
        """Whoever waits hears False now."""
        self._waits.resolve_all(answer=False)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        looked_s = -_POLL_S_MIN
        clock = self._tails.clock
        try:
            while not self._stopping:
                early_s = looked_s + _POLL_S_MIN - clock.monotonic_s()
                if early_s > 0:
                    await self._sleep(early_s)
                    continue
                looked_s = clock.monotonic_s()
                rest_s = await self._look()
                if not self._found:
                    # What is acknowledged after a look for nothing is not held up by it.
                    looked_s -= _POLL_S_MIN
                # What was acknowledged meanwhile is told at once.
                if rest_s and not self._poked:
                    await self._sleep(rest_s)
        except NotFound as error:
            self._gone(error)
        except Exception:  # noqa: BLE001 (those who wait must hear of it)
            _log.exception("tail_failed")
            self._gone(InternalError("The log could not be read."))
        finally:
            self.ended = True
            self._waits.resolve_all(answer=False)
            self._tails.tail_ended(self)

    async def _look(self) -> float:
        """Read once; how long to rest then, if nobody pokes."""
        tails = self._tails
        self._poked, self._found = False, True
        listening = bool(self._listeners)
        asked = self.next_offset if listening or self.end_offset is None else self.end_offset
        position: FromOffset | Last = FromOffset(asked)
        messages_max = READ_PAGE_MESSAGES if listening else 1
        if self.end_offset is None:
            position, messages_max = Last(), 1
        elif asked == 1 and self._single.look_is_due(tails.clock.monotonic_s()):
            position, messages_max = FromOffset(0), messages_max + 1
        try:
            page = await self._reader.read(self.partition_id, position, messages_max)
        except LogError as error:
            _log.debug("tail_put_off", reason=error.code, again_in_s=self._retry_s)
            await self._sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, TAIL_RETRY_S_MAX)
            return 0.0
        self._retry_s = TAIL_RETRY_S_MIN
        records, end_offset = page.messages, page.end_offset
        if isinstance(position, Last):
            self._single.note(records)
            self._reached(end_offset)
            return self._pace(found=True)
        if position.offset < asked:
            if not records or not self._single.is_in(records):
                self._begin_anew(asked)
                return 0.0
            records = records.part(bisect_left(records.offsets, asked), len(records))
        return self._heed(records, end_offset, asked, listening=listening)

    def _heed(self, records: Records, end_offset: int, asked: int, *, listening: bool) -> float:
        """What a read from *asked* on has given; how long to rest."""
        if end_offset < asked:
            self._begin_anew(asked)
            return 0.0
        before = self.end_offset or 0
        if listening and self.next_offset != asked:
            # The listeners have changed meanwhile, and begin elsewhere.
            self._reached(end_offset)
            return 0.0
        self._single.note(records)
        if listening and records:
            self._tell(records)
            self._reached(max(end_offset, self.next_offset))
            if self.next_offset < end_offset:
                return 0.0
        else:
            self._reached(end_offset)
        return self._pace(found=bool(records) or end_offset > before)

    def _tell(self, records: Records) -> None:
        first = records.offsets[0]
        listeners = tuple(self._listeners)
        if first > self.next_offset:
            gap = Gap(self.partition_id, self.next_offset, first)
            for listener in listeners:
                listener.on_gap(gap)
        self.next_offset = records.offsets[-1] + 1
        for listener in listeners:
            listener.on_records(self.partition_id, records)

    def _begin_anew(self, asked: int) -> None:
        """The log ends before what was asked for: purged, or made again."""
        _log.info("partition_began_anew", partition=self.partition_id)
        gap = Gap(self.partition_id, asked, 0)
        self.end_offset = self.next_offset = 0
        self._single.forget()
        self.beginnings += 1
        for listener in tuple(self._listeners):
            listener.on_gap(gap)
        # Everybody has to look again, whatever offset was waited for.
        self._waits.resolve_all(answer=True)

    def _gone(self, error: BridgeError) -> None:
        self._error = error
        self._waits.fail(error)
        for listener in tuple(self._listeners):
            listener.on_gone(self.partition_id, error)

    # --- waiting ------------------------------------------------------------------------------------------------

    def _pace(self, *, found: bool) -> float:
        self._found = found
        # However many there are, together they look so often at most.
        shared_s = self._tails.tails_count / TAIL_POLLS_PER_S_MAX
        if self._tails.pushes:
            return max(TAIL_SAFETY_S, shared_s)
        self._interval_s = _POLL_S_MIN if found else min(self._interval_s * _SLOWER, _POLL_S_MAX)
        return max(self._interval_s, shared_s)

    async def _sleep(self, delay_s: float) -> None:
        self._rest = asyncio.get_running_loop().create_future()
        timer = self._tails.timers(delay_s, self._wake)
        try:
            await self._rest
        finally:
            self._rest = None
            timer.cancel()

    def _wake(self) -> None:
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    def _reached(self, end_offset: int) -> None:
        if self.end_offset is not None and end_offset <= self.end_offset:
            return
        self.end_offset = end_offset
        self._waits.reached(end_offset)


def _expire(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(False)
