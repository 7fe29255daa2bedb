"""The default topic, which is there for whoever asks (shell).

Between the open port and the first look at the log it may be missing, and later somebody may delete it or its stream. Whoever
meets that waits until it has been made (again), or until his time is up; nothing of what he asked was done so far, so that
asking once more repeats nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from bridge.clock import Deadline
from bridge.errors import BridgeError, Outcome, StreamNotFound, TopicNotFound, TopicNotReady
from bridge.flow.timers import is_set_within
from bridge.limits import DEFAULT_TOPIC_TRIES_MAX, RETRY_AFTER_DEFAULT_MS
from bridge.messagelog import MessageLog, Page, TopicRef

#: What tells that it may be missing.
MISSING: Final = (StreamNotFound, TopicNotFound)
_Call = TypeVar("_Call", bound=Callable[..., Awaitable[Any]])


class KeptTopic:
    """Whether the default topic is there, between those who miss it and the task that makes it.

    Attributes:
        waiting: how many wait for it.
    """

    def __init__(self, topic: TopicRef) -> None:
        self.topic = topic
        self.waiting = 0
        self._there = asyncio.Event()
        self._missed = asyncio.Event()

    @property
    def is_there(self) -> bool:
        """As far as is known."""
        return self._there.is_set()

    def made(self) -> None:
        """It is there: all who wait go on, in the order in which they came."""
        self._missed.clear()
        self._there.set()

    def missed(self) -> None:
        """It is not. Only the first to say so wakes who makes it: what cannot be made is not tried at every request."""
        if self._there.is_set():
            self._there.clear()
            self._missed.set()

    async def until_missed(self, seconds: float) -> None:
        """Return once somebody misses it, after *seconds* at the latest."""
        await is_set_within(self._missed, seconds)

    async def until_there(self, deadline: Deadline, outcome: Outcome | None) -> None:
        """Return once it is there, behind all who waited before.

        Raises:
            TopicNotReady: with *outcome*, if the time is up before.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                if self._there.is_set():
                    # Those who waited before have been woken, and have their turn now.
                    await asyncio.sleep(0)
                else:
                    await self._there.wait()
        except TimeoutError:
            raise _not_ready(outcome) from None
        finally:
            self.waiting -= 1

    def keeps(self, place: TopicRef | str) -> bool:
        """Whether *place* is the default topic, or its stream."""
        return place in (self.topic, self.topic.stream)

    def guarding(self, call: _Call, outcome: Outcome | None = None, *, makes_it: bool = False) -> _Call:
        """*call*, a method of `MessageLog` about a topic or a stream: where that is the default one and missing, once it is there.

        Args:
            makes_it: it makes the topic, so that only the stream may be missing.

        Raises (besides what *call* raises):
            TopicNotReady: with *outcome*, if it is not there in time, or is missing again and again.
        """

        async def guarded(place: Any, *args: Any, deadline: Deadline, **options: Any) -> Any:
            times = 0
            while True:
                try:
                    return await call(place, *args, deadline=deadline, **options)
                except MISSING as error:
                    if not self.keeps(place.stream if makes_it else place):
                        # Here: raised further in it would be in a frame of its own traceback, which nobody frees at once.
                        raise
                    await self.until_made(error, deadline, outcome, times=times)
                times += 1

        return cast("_Call", guarded)

    async def until_made(
        self, missing: BridgeError, deadline: Deadline, outcome: Outcome | None, *, times: int
    ) -> None:
        """Return once the default topic is there again, which was *missing*, and was so many *times* before.

        Raises:
            TopicNotReady: with *outcome*, if it is not there in time, or was missing too often.
        """
        if times >= DEFAULT_TOPIC_TRIES_MAX:
            raise _not_ready(outcome) from missing
        self.missed()
        await self.until_there(deadline, outcome)


def _not_ready(outcome: Outcome | None) -> TopicNotReady:
    return TopicNotReady(outcome=outcome, retry_after_ms=RETRY_AFTER_DEFAULT_MS)


class KeptLog:
    """A `MessageLog` in which the default topic is never missing, but to those who delete it.

    Args:
        read: in the place of the log's own.
    """

    def __init__(
        self,
        log: MessageLog,
        kept: KeptTopic,
        *,
        read: Callable[..., Coroutine[Any, Any, Page]] | None = None,
    ) -> None:
        self._log = log
        self._kept = kept
        self.create_stream = log.create_stream
        self.streams = log.streams
        self.stream = kept.guarding(log.stream)
        self.topics = kept.guarding(log.topics)
        self.topic = kept.guarding(log.topic)
        self.partitions_count = kept.guarding(log.partitions_count)
        self.read = kept.guarding(read or log.read)
        self.stored_offset = kept.guarding(log.stored_offset)
        self.create_topic = kept.guarding(log.create_topic, Outcome.NOT_WRITTEN, makes_it=True)
        self.purge_topic = kept.guarding(log.purge_topic, Outcome.NOT_WRITTEN)
        self.update_retention = kept.guarding(log.update_retention, Outcome.NOT_WRITTEN)
        self.add_partitions = kept.guarding(log.add_partitions, Outcome.NOT_WRITTEN)
        self.append = kept.guarding(log.append, Outcome.NOT_WRITTEN)
        self.store_offset = kept.guarding(log.store_offset, Outcome.NOT_WRITTEN)
        self.delete_offset = kept.guarding(log.delete_offset, Outcome.NOT_WRITTEN)
        self.close = log.close

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        await self._log.delete_stream(name, deadline=deadline)
        if name == self._kept.topic.stream:
            self._kept.missed()

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        await self._log.delete_topic(topic, deadline=deadline)
        if topic == self._kept.topic:
            self._kept.missed()
