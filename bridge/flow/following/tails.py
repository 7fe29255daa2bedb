"""The ends of all partitions that somebody watches (shell over `partition_tail`)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bridge.clock import Clock
from bridge.errors import Overloaded
from bridge.flow.following.partition_tail import PartitionTail
from bridge.flow.following.topic_reader import MadeReady
from bridge.flow.timers import Timers, loop_timers
from bridge.limits import TAILS_MAX
from bridge.messagelog import MessageLog, TopicRef

#: After this a read that is still on its way is cancelled.
_CLOSE_TIMEOUT_S: Final = 1.0


class Tails:
    """One `PartitionTail` for each partition that somebody watches.

    Args:
        pushes: every append to the log is told to `stored`, so that polling is a safety net only.

    Attributes:
        made_ready: awaited with messages of more than `PAGE_LIGHT_BYTES` before listeners are told of them.
        waits_ended: nobody shall wait any more.
    """

    def __init__(self, log: MessageLog, *, clock: Clock, pushes: bool, timers: Timers = loop_timers) -> None:
        self.log = log
        self.clock = clock
        self.timers = timers
        self.pushes = pushes
        self.made_ready: MadeReady | None = None
        self._tails: dict[tuple[TopicRef, int], PartitionTail] = {}
        self.waits_ended = False

    @property
    def tails_count(self) -> int:
        """How many partitions are watched, or were a moment ago."""
        return len(self._tails)

    @contextmanager
    def watch(self, topic: TopicRef, partition_id: int) -> Iterator[PartitionTail]:
        """The tail of a partition, which is read until the block is left, and a little longer.

        Raises:
            Overloaded: if `TAILS_MAX` partitions are watched.
        """
        key = topic, partition_id
        tail = self._tails.get(key)
        if tail is None or tail.ended:
            if len(self._tails) >= TAILS_MAX:
                raise Overloaded("Too many partitions are being watched.", retry_after_ms=1000)
            tail = self._tails[key] = PartitionTail(self, topic, partition_id)
        tail.use()
        try:
            yield tail
        finally:
            tail.release()

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
        """Every `PartitionTail.beyond` returns False, now and from now on; for the end of the process."""
        self.waits_ended = True
        for tail in self._tails.values():
            tail.end_waits()

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
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.shield(ends)
        except TimeoutError:
            for tail in tails:
                tail.cancel()
            await ends

    def tail_ended(self, tail: PartitionTail) -> None:
        """Called by a tail whose last read is done."""
        key = tail.topic, tail.partition_id
        if self._tails.get(key) is tail:
            del self._tails[key]
