"""The ends of all partitions that somebody watches (shell over `partition_tail`)."""

import asyncio
from types import TracebackType
from typing import Final, Self

from bridge.clock import Clock, Deadline
from bridge.errors import DeadlineExceeded, Overloaded
from bridge.flow.following.partition_tail import PartitionTail, TailListener
from bridge.flow.following.topic_reader import MadeReady
from bridge.flow.timers import Timers, loop_timers
from bridge.limits import TAILS_MAX
from bridge.messagelog import MessageLog, TopicRef

__all__ = ("Tails", "Watch")

#: After this a read that is still on its way is cancelled.
_CLOSE_TIMEOUT_S: Final = 1.0


class Tails:
    """
    One `PartitionTail` for each partition that somebody watches.

    Args:
        pushes: every append to the log is told to `stored`, so that polling is a safety net only.

    Attributes:
        made_ready: awaited with messages of more than `PAGE_LIGHT_BYTES` before listeners are told of them.
    """

    def __init__(self, log: MessageLog, *, clock: Clock, pushes: bool, timers: Timers = loop_timers) -> None:
        self.log = log
        self.clock = clock
        self.timers = timers
        self.pushes = pushes
        self.made_ready: MadeReady | None = None
        self._tails: dict[tuple[TopicRef, int], PartitionTail] = {}
        self._waits_ended = False

    @property
    def tails_count(self) -> int:
        """How many partitions are watched, or were a moment ago."""
        return len(self._tails)

    def watch(self, topic: TopicRef, partition_id: int) -> "Watch":
        """
        The end of a partition, for a `with` block.

        Raises (on entering the block):
            Overloaded: if `TAILS_MAX` partitions are watched.
        """
        return Watch(self, topic, partition_id)

    def stored(self, topic: TopicRef, partition_id: int, next_offset: int | None) -> None:
        """As `StoredListener`: whoever waits for these messages is woken now."""
        if self._tails:
            tail = self._tails.get((topic, partition_id))
            if tail is not None:
                tail.stored(next_offset)

    def suspect(self, topic: TopicRef) -> None:
        """The topic was purged, deleted or changed: its tails look at once."""
        for (found, _), tail in self._tails.items():
            if found == topic:
                tail.suspect()

    def end_waits(self) -> None:
        """Every `Watch.beyond` returns False, now and from now on; for the end of the process."""
        self._waits_ended = True
        for tail in self._tails.values():
            tail.end_waits()

    @property
    def waits_ended(self) -> bool:
        """Whether nobody shall wait any more."""
        return self._waits_ended

    async def close(self) -> None:
        """Stop reading; reads on their way end by themselves, or are cancelled after a second."""
        self.end_waits()
        tails = set(self._tails.values())
        for tail in tails:
            tail.stop()
        if not tails:
            return
        ends = asyncio.gather(*(tail.stopped() for tail in tails))
        try:
            await asyncio.wait_for(asyncio.shield(ends), _CLOSE_TIMEOUT_S)
        except TimeoutError:
            for tail in tails:
                tail.cancel()
            await ends

    def acquire(self, topic: TopicRef, partition_id: int) -> PartitionTail:
        """The tail of a partition, for one more who then calls `PartitionTail.release`; for `Watch`."""
        key = topic, partition_id
        tail = self._tails.get(key)
        if tail is None or tail.ended:
            if len(self._tails) >= TAILS_MAX:
                raise Overloaded("Too many partitions are being watched.", retry_after_ms=1000)
            tail = self._tails[key] = PartitionTail(self, topic, partition_id)
        tail.use()
        return tail

    def tail_ended(self, tail: PartitionTail) -> None:
        """Called by a tail whose last read is done."""
        key = tail.topic, tail.partition_id
        if self._tails.get(key) is tail:
            del self._tails[key]


class Watch:
    """A partition that somebody watches; made by `Tails.watch`."""

    __slots__ = ("_listener", "_partition_id", "_tail", "_tails", "_topic")

    def __init__(self, tails: Tails, topic: TopicRef, partition_id: int) -> None:
        self._tails = tails
        self._topic = topic
        self._partition_id = partition_id
        self._tail: PartitionTail | None = None
        self._listener: TailListener | None = None

    def __enter__(self) -> Self:
        self._tail = self._tails.acquire(self._topic, self._partition_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tail = self._entered()
        if self._listener is not None:
            tail.unlisten(self._listener)
            self._listener = None
        tail.release()
        self._tail = None

    @property
    def end_offset(self) -> int | None:
        """Messages before it can be read; None until that is known (see `opened`)."""
        return self._entered().end_offset

    async def opened(self, deadline: Deadline) -> int:
        """
        `end_offset`, once it is known.

        Raises:
            DeadlineExceeded: if the log did not tell in time.
            StreamNotFound, TopicNotFound, PartitionNotFound: if there is no such partition.
        """
        if self.end_offset is None:
            await self.beyond(-1, deadline)
        if self.end_offset is None:
            raise DeadlineExceeded
        return self.end_offset

    async def beyond(self, offset: int, deadline: Deadline) -> bool:
        """
        Wait until a message at or after *offset* can be read; False if there is none by the deadline.

        True as well where the partition began anew, since offsets then mean something else: read again, and see. An
        outage of the log is waited out.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if the partition is no more.
        """
        tail = self._entered()
        future = tail.beyond(offset)
        if future.done():
            return future.result()
        if self._tails.waits_ended:
            tail.forget(future)
            return False
        timer = self._tails.timers(deadline.remaining_s(), lambda: _expire(future))
        try:
            return await future
        finally:
            timer.cancel()
            tail.forget(future)

    def listen(self, listener: TailListener) -> int:
        """Tell *listener* every message from now on, until the block is left; the offset of the first of them."""
        if self._listener is not None:
            raise RuntimeError("a watch has one listener")
        next_offset = self._entered().listen(listener)
        self._listener = listener
        return next_offset

    def _entered(self) -> PartitionTail:
        if self._tail is None:
            raise RuntimeError("a watch is used in its `with` block")
        return self._tail


def _expire(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(False)
