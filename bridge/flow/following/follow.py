"""A reader of a feed, wherever it stands (shell): from the log, from the ring, live, and back again."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from bridge.clock import Deadline
from bridge.errors import Overloaded
from bridge.flow.following.batches import Positions, RecordBatch, Start, moved
from bridge.flow.following.fan_out import FanOut, Sink
from bridge.flow.following.feeds import Feed, FeedsBudget
from bridge.flow.following.tails import Tails
from bridge.flow.following.topic_reader import TopicReader, batched
from bridge.limits import FEEDS_MAX, TAIL_READ_TIMEOUT_S
from bridge.messagelog import Last, TopicRef

_Data = TypeVar("_Data")


class Follower:
    """One reader; made by `Feeds.follow`.

    Attributes:
        every: it follows all partitions, those added later too: what its cursors say.
    """

    __slots__ = (
        "_close", "_cut", "_fan_out", "_feed", "_out", "_positions", "_reader", "_sequence", "_since", "_stopped", "_taken",
        "every",
    )  # fmt: skip

    def __init__(
        self, feed: Feed, tails: Tails, positions: Positions | None, close: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._reader = TopicReader(
            tails.log,
            feed.topic,
            deadline=lambda: Deadline.after(TAIL_READ_TIMEOUT_S, tails.clock),
            timers=tails.timers,
            made_ready=tails.made_ready,
        )
        self._close: Callable[[], None] | None = close
        self._out: asyncio.Future[None] | None = None
        self._fan_out: FanOut[Any] | None = None
        self._stopped = False
        self.every = feed.every
        self._positions = feed.positions if positions is None else positions
        #: None: it stands elsewhere than the feed did at any batch in its ring.
        self._sequence: int | None = feed.sequence if self._positions == feed.positions else None
        #: Of the batch behind `_sequence` it has what is before this offset.
        self._taken = 0
        #: What it stands at was right when the feed was here.
        self._since = feed.sequence
        self._cut: tuple[RecordBatch, int] | None = None

    @property
    def positions(self) -> Positions:
        """Where it stands after everything it was given."""
        return self._positions if self._fan_out is None else self._fan_out.position_of(self)[1]

    async def run(self, sink: Sink[_Data]) -> None:
        """Give *sink* what follows until `stop`: each message once, in order within its partition; what is missing is a gap.

        A slow reader waits for itself alone: of what it does not take nothing is kept but what the feed has in its ring.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if what it follows is no more.
            Exception: whatever *sink* raised.
        """
        feed = self._feed
        while not self._stopped:
            if self._sequence is None or feed.has_lost(self._sequence):
                has_room = await self._catch_up(sink)
            elif batches := feed.batches_after(self._sequence):
                if self._taken:
                    batches = [batches[0].rest(self._taken), *batches[1:]]
                has_room = self._give(sink, batches)
            elif feed.error is not None:
                raise feed.error
            else:
                await self._wait_live(sink)
                has_room = False
            if not has_room and not self._stopped:
                await sink.drain()

    def cut(self, batch: RecordBatch, next_offset: int) -> None:
        """Called within a `write` that then says False: only what is before this message of *batch* was taken."""
        self._cut = batch, next_offset

    def stop(self) -> None:
        """Let `run` end as soon as what it gave last is taken; for a farewell."""
        self._stopped = True
        self._wake()

    def close(self) -> None:
        """It reads no more; called once or more."""
        self.stop()
        if self._close is not None:
            self._close()
            self._close = None

    def dropped(self, sequence: int, positions: Positions, error: BaseException | None) -> None:
        """Called by the fan-out that it was in."""
        self._fan_out = None
        self._stand(sequence, positions)
        if error is not None and self._out is not None and not self._out.done():
            self._out.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._out is not None and not self._out.done():
            self._out.set_result(None)

    def _stand(self, sequence: int | None, positions: Positions) -> None:
        """It was given everything up to here, but for what it has cut off."""
        cut, self._cut = self._cut, None
        self._sequence, self._positions, self._taken = sequence, positions, 0
        if cut is not None:
            batch, next_offset = cut
            self._positions = moved(batch.positions_before, batch.partition_id, next_offset)
            self._sequence = batch.sequence - 1 if batch.sequence else None
            self._taken = next_offset

    def _give(self, sink: Sink[_Data], batches: Sequence[RecordBatch]) -> bool:
        """Whether the reader wants more."""
        data = sink.encode(batches)
        has_room = not data or sink.write(data)
        self._stand(batches[-1].sequence or None, batches[-1].positions_after)
        return has_room

    async def _catch_up(self, sink: Sink[_Data]) -> bool:
        """Give a page of what is between the reader and the feed, or less; whether the reader wants more.

        Once it has everything up to where the feed was at the beginning, it stands at a batch of it. In between others
        have their turn.
        """
        feed, reader = self._feed, self._reader
        sequence, targets = feed.sequence, feed.positions
        ends, wanted = dict(targets), sink.wanted()
        async with feed.catch_ups:
            # Partitions that were added since are read from their beginning.
            self._positions = await reader.located(self._positions, targets)
            since = self._since if self._sequence is None else self._sequence
            anew = {each for each, begun in feed.beginnings.items() if begun > since}
            gaps = await reader.gaps(self._positions, ends, anew)
            # All of them whether or not there is room: nobody would tell of them again.
            rooms = [self._give(sink, (gap,)) for gap in gaps]
            self._sequence, self._since = None, sequence
            if not all(rooms):
                return False
            pages = reader.pages(self._positions, ends, messages_max=wanted)
            async with aclosing(batched(pages, self._positions)) as batches:
                async for batch in batches:
                    if not self._give(sink, (batch,)):
                        return False
                    wanted -= len(batch.records)
                    if self._stopped or wanted <= 0:
                        return True
                    await asyncio.sleep(0)
        ahead = [(each, offset) for each, offset in self._positions if offset > ends[each]]
        if not ahead:
            self._stand(sequence, targets)
            return True
        # Read elsewhere before the tail came to it: soon it will.
        for partition_id, next_offset in ahead:
            feed.expect(partition_id, next_offset)
        if feed.positions == targets:
            await self._wait_for_news()
        return True

    async def _wait_for_news(self) -> None:
        out = self._out = self._feed.news()
        try:
            await out
        finally:
            self._feed.forget(out)
            self._out = None

    async def _wait_live(self, sink: Sink[_Data]) -> None:
        """Until it is put out of the fan-out, or stopped."""
        self._out = asyncio.get_running_loop().create_future()
        fan_out = self._feed.fan_out(sink)
        fan_out.join(self, sink.write)
        self._fan_out = fan_out
        try:
            await self._out
        finally:
            self._out = None
            if self._fan_out is not None:
                self._fan_out = None
                self._stand(*fan_out.leave(self))


class Feeds:
    """The feeds that somebody follows: one for each topic and list of partitions."""

    def __init__(self, tails: Tails) -> None:
        self._tails = tails
        self._budget = FeedsBudget()
        self._feeds: dict[tuple[TopicRef, tuple[int, ...] | None], Feed] = {}

    async def follow(
        self,
        topic: TopicRef,
        start: Start,
        *,
        partitions: Sequence[int] | None = None,
        seen: Positions = (),
        deadline: Deadline,
    ) -> Follower:
        """A reader that begins at *start*; to be closed (`Follower.close`).

        Args:
            start: `Last` is the end as it is now. Positions may lack partitions, which are then read from their
                beginning; those of other partitions than *partitions* are not looked at.
            partitions: None for all, those added later too.
            seen: where the reader has been; it begins there in partitions in which that is further than *start*.

        Raises:
            BadRequest: if that is more partitions than a cursor holds.
            Overloaded: if there are `FEEDS_MAX` feeds, or `TAILS_MAX` partitions watched.
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log does not tell in time.
        """
        key = topic, None if partitions is None else tuple(sorted(set(partitions)))
        feed = self._used(*key)
        feed.users += 1

        def release() -> None:
            feed.users -= 1
            if not feed.users and self._feeds.get(key) is feed:
                del self._feeds[key]
            if not feed.users:
                feed.close()

        try:
            await feed.opened(deadline)
            if isinstance(start, Last):
                return Follower(feed, self._tails, None, release)
            reader = TopicReader(self._tails.log, topic, deadline=lambda: deadline)
            positions = await reader.located(start, feed.positions, seen=seen)
            return Follower(feed, self._tails, positions, release)
        except BaseException:
            if feed.failed and self._feeds.get(key) is feed:
                # The next one tries again.
                del self._feeds[key]
            release()
            raise

    def _used(self, topic: TopicRef, partitions: tuple[int, ...] | None) -> Feed:
        feed = self._feeds.get((topic, partitions))
        if feed is None or feed.failed:
            # The topic of one that failed may be there again.
            if len(self._feeds) >= FEEDS_MAX:
                raise Overloaded("Too many topics are being followed.", retry_after_ms=1000)
            feed = Feed(self._tails, topic, partitions, self._budget)
            self._feeds[topic, partitions] = feed
        return feed

    def look(self, topic: TopicRef) -> None:
        """Partitions were added to the topic."""
        for (found, _), feed in self._feeds.items():
            if found == topic:
                feed.look()

    @property
    def feeds_count(self) -> int:
        """How many there are."""
        return len(self._feeds)

    @property
    def held_bytes(self) -> int:
        """What the rings of all feeds hold."""
        return self._budget.held_bytes
