"""A reader of a feed, wherever it stands (shell): from the log, from the ring, live, and back again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from bridge.clock import Deadline
from bridge.errors import Overloaded
from bridge.flow.following.batches import Positions, RecordBatch, Run, Start
from bridge.flow.following.feed_in_use import FeedInUse
from bridge.flow.following.feeds import Feed, FeedsBudget
from bridge.flow.following.live_lanes import LiveLane, Manner
from bridge.flow.following.tails import Tails
from bridge.flow.following.topic_reader import TopicReader, batched
from bridge.limits import (
    FEEDS_MAX,
    READ_PAGE_MESSAGES,
    TAIL_READ_TIMEOUT_S,
    WS_KEEPS_MAX,
)
from bridge.messagelog import Last, TopicRef

__all__ = ("Drain", "Feeds", "Follower", "Sink")

Sink: TypeAlias = Callable[[Run], bool]
"""
Takes a run at once; False if the reader wants no more for now.

It is called in the event loop, many times in a row for many readers: it must neither wait nor take long. The run counts as
delivered either way.
"""

Drain: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when the reader can take more."""


class Follower:
    """
    One reader; made by `Feeds.follow`.

    Attributes:
        every: it follows all partitions, those added later too: what its cursors say.
    """

    __slots__ = (
        "_close",
        "_feed",
        "_lane",
        "_out",
        "_positions",
        "_reader",
        "_sequence",
        "_since",
        "_sink",
        "_stopped",
        "every",
    )

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
        self._sink: Sink | None = None
        self._lane: LiveLane | None = None
        self._stopped = False
        self.every = feed.every
        self._positions = feed.positions if positions is None else positions
        #: None: it stands elsewhere than the feed did at any entry in its ring.
        self._sequence: int | None = feed.sequence if self._positions == feed.positions else None
        #: What it stands at was right when the feed was here.
        self._since = feed.sequence

    @property
    def positions(self) -> Positions:
        """Where it stands after everything it was given."""
        return self._positions if self._lane is None else self._lane.place_of(self)[1]

    async def runs(
        self, *, sink: Sink | None = None, drain: Drain | None = None, manner: Manner | None = None
    ) -> AsyncGenerator[Run, None]:
        """
        What follows, without end: each message once, in order within its partition; what is missing is told as a gap.

        The next run is made when the last one was taken, so a slow reader waits for itself alone. A reader that has
        everything goes live if it has a *sink*: from then on its runs go there, until *sink* says False; then *drain* is
        awaited, and runs come here again. Instead of a sink it may have a *manner*, which shares more work with others
        (`live_lanes.LiveLane`), and by which it is also given what it lacks; only what others have just been given comes
        here then. To be closed when left early (`contextlib.aclosing`).

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if what it follows is no more.
            Exception: whatever *sink* raised.
        """
        feed = self._feed
        while not self._stopped:
            if self._sequence is None or feed.has_lost(self._sequence):
                if manner is not None:
                    if await self._catch_up(manner) and drain is not None:
                        await drain()
                    continue
                async with aclosing(self._joining()) as runs:
                    async for run in runs:
                        yield run
                        if self._stopped:
                            return
                        # Live for hours it would be held here.
                        del run
                continue
            run_after = feed.run_after(self._sequence)
            if run_after is not None:
                self._took(run_after)
                yield run_after
            elif feed.error is not None:
                raise feed.error
            else:
                await (self._wait(sink) if manner is None else self._wait_in_lane(manner))
                if drain is not None and not self._stopped:
                    await drain()

    def rewind(self, entry: RecordBatch, positions: Positions) -> None:
        """
        Let the next `runs` begin before the end of *entry*, at *positions*; those that there are must have been closed.

        Args:
            entry: one of what was given.
        """
        if not entry.sequence:
            self._since = self._since if self._sequence is None else self._sequence
            self._sequence = None
        elif positions == entry.positions_before:
            self._sequence = entry.sequence - 1
        else:
            self._since, self._sequence = entry.sequence - 1, None
        self._positions = positions

    def stop(self) -> None:
        """Let `runs` end as soon as what it gave last is taken; for a farewell."""
        self._stopped = True
        if self._out is not None and not self._out.done():
            self._out.set_result(None)

    def close(self) -> None:
        """It reads no more; called once or more."""
        self.stop()
        if self._close is not None:
            self._close()
            self._close = None

    def serve(self) -> None:
        """Called by the feed while the reader is live."""
        feed, sink, out = self._feed, self._sink, self._out
        if sink is None or out is None or out.done():
            return
        try:
            while self._sequence is not None and not feed.has_lost(self._sequence):
                run = feed.run_after(self._sequence)
                if run is None:
                    if feed.error is None:
                        return
                    break
                self._took(run)
                if not sink(run):
                    break
        except Exception as error:  # noqa: BLE001 (for the owner of the sink; other readers must be served)
            feed.leave(self)
            out.set_exception(error)
            return
        feed.leave(self)
        out.set_result(None)

    def _took(self, run: Run) -> None:
        self._sequence = run.entries[-1].sequence
        self._positions = run.positions

    def dropped(self, sequence: int, positions: Positions, error: BaseException | None) -> None:
        """Called by the lane that it was in."""
        self._lane = None
        self._sequence, self._positions = sequence, positions
        out = self._out
        if out is None or out.done():
            return
        if error is None:
            out.set_result(None)
        else:
            out.set_exception(error)

    async def _catch_up(self, manner: Manner) -> bool:
        """
        Write a page of what is between the reader and the feed, or less if it is full; whether it is.

        In between others have their turn, and of a page that its reader does not take nothing is kept.
        """
        messages = 0
        async with self._feed.catch_ups, aclosing(self._joining()) as runs:
            async for run in runs:
                data = run.encoded(manner.form, manner.make)
                if data and not manner.write(data):
                    return True
                messages += sum(len(entry.records) for entry in run.entries)
                if self._stopped or messages >= READ_PAGE_MESSAGES:
                    return False
                await asyncio.sleep(0)
        return False

    async def _wait_in_lane(self, manner: Manner) -> None:
        self._out = asyncio.get_running_loop().create_future()
        lane = self._feed.lane(manner)
        lane.join(self, manner.write)
        self._lane = lane
        try:
            await self._out
        finally:
            self._out = None
            if self._lane is not None:
                self._lane = None
                self._sequence, self._positions = lane.leave(self)

    async def _wait(self, sink: Sink | None) -> None:
        if sink is None:
            out = self._out = self._feed.news()
            try:
                await out
            finally:
                self._feed.forget(out)
                self._out = None
            return
        self._out = asyncio.get_running_loop().create_future()
        self._sink = sink
        self._feed.join(self)
        try:
            await self._out
        finally:
            self._feed.leave(self)
            self._out = self._sink = None

    async def _joining(self) -> AsyncGenerator[Run, None]:
        """What is between the reader and the feed, as it is now; then it stands at an entry of the feed, or tries again."""
        feed = self._feed
        sequence, targets = feed.sequence, feed.positions
        ends = dict(targets)
        # Partitions that were added since are read from their beginning.
        self._positions = await self._reader.located(self._positions, targets)
        since = self._since if self._sequence is None else self._sequence
        anew = {each for each, begun in feed.beginnings.items() if begun > since}
        for batch in await self._reader.gaps(self._positions, ends, anew):
            self._positions = batch.positions_after
            yield Run((batch,))
        self._sequence, self._since = None, sequence
        async with aclosing(batched(self._reader.pages(self._positions, ends), self._positions)) as batches:
            async for batch in batches:
                self._positions = batch.positions_after
                yield Run((batch,))
        ahead = [(each, offset) for each, offset in self._positions if offset > ends[each]]
        if not ahead:
            self._sequence, self._positions = sequence, targets
            return
        # Read elsewhere before the tail came to it: soon it will.
        for partition_id, next_offset in ahead:
            feed.expect(partition_id, next_offset)
        if feed.positions == targets:
            await self._wait(None)


class Feeds:
    """
    The feeds that somebody follows: one for each topic and list of partitions.

    Attributes:
        keeps: places for readers that keep what they were given while they cannot take it.
    """

    def __init__(self, tails: Tails) -> None:
        self.keeps = asyncio.Semaphore(WS_KEEPS_MAX)
        self._tails = tails
        self._budget = FeedsBudget()
        self._feeds: dict[tuple[TopicRef, tuple[int, ...] | None], FeedInUse] = {}

    async def follow(
        self,
        topic: TopicRef,
        start: Start,
        *,
        partitions: Sequence[int] | None = None,
        seen: Positions = (),
        deadline: Deadline,
    ) -> Follower:
        """
        A reader that begins at *start*; to be closed (`Follower.close`).

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
        used = self._used(*key)
        used.users += 1

        def release() -> None:
            used.users -= 1
            if not used.users and self._feeds.get(key) is used:
                del self._feeds[key]
            if not used.users:
                used.close()

        try:
            feed = await used.opened(deadline)
            if isinstance(start, Last):
                return Follower(feed, self._tails, None, release)
            reader = TopicReader(self._tails.log, topic, deadline=lambda: deadline)
            positions = await reader.located(start, feed.positions, seen=seen)
            return Follower(feed, self._tails, positions, release)
        except BaseException:
            if used.failed and self._feeds.get(key) is used:
                # The next one tries again.
                del self._feeds[key]
            release()
            raise

    def _used(self, topic: TopicRef, partitions: tuple[int, ...] | None) -> FeedInUse:
        used = self._feeds.get((topic, partitions))
        if used is None or used.failed:
            # The topic of one that failed may be there again.
            if len(self._feeds) >= FEEDS_MAX:
                raise Overloaded("Too many topics are being followed.", retry_after_ms=1000)
            used = FeedInUse(Feed(self._tails, topic, partitions, self._budget))
            self._feeds[topic, partitions] = used
        return used

    def look(self, topic: TopicRef) -> None:
        """Partitions were added to the topic."""
        for (found, _), used in self._feeds.items():
            if found == topic:
                used.feed.look()

    @property
    def feeds_count(self) -> int:
        """How many there are."""
        return len(self._feeds)

    @property
    def held_bytes(self) -> int:
        """What the rings of all feeds hold."""
        return self._budget.held_bytes
