"""
The default topic, which is there for whoever asks (shell).

Between the open port and the first look at the log it may be missing, and later somebody may delete it or its stream. Whoever
meets that waits until it has been made (again), or until his time is up; nothing of what he asked was done so far, so that
asking once more repeats nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from bridge.clock import Deadline
from bridge.errors import BridgeError, Outcome, StreamNotFound, TopicNotFound, TopicNotReady
from bridge.limits import DEFAULT_TOPIC_TRIES_MAX, RETRY_AFTER_DEFAULT_MS
from bridge.messagelog import (
    ConsumerKey,
    Durability,
    MessageLog,
    Messages,
    NewMessage,
    Page,
    Placement,
    Position,
    Receipt,
    Retention,
    StoredOffset,
    StreamInfo,
    TopicInfo,
    TopicRef,
)

__all__ = ("KeptAppender", "KeptLog", "KeptTopic")

_MISSING: Final = (StreamNotFound, TopicNotFound)
_T = TypeVar("_T")


class KeptTopic:
    """
    Whether the default topic is there, between those who miss it and the task that makes it.

    Attributes:
        waiting: how many wait for it.
    """

    __slots__ = ("_missed", "_there", "topic", "waiting")

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
        try:
            async with asyncio.timeout(seconds):
                await self._missed.wait()
        except TimeoutError:
            return

    async def until_there(self, deadline: Deadline, outcome: Outcome | None) -> None:
        """
        Return once it is there, behind all who waited before.

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

    async def guarded(
        self,
        place: TopicRef | str,
        call: Callable[[], Awaitable[_T]],
        deadline: Deadline,
        outcome: Outcome | None = None,
    ) -> _T:
        """
        What *call* gives; where it misses *place* and that is the default topic or its stream, once that is there.

        Raises:
            TopicNotReady: with *outcome*, if it is not there in time, or is missing again and again.
        """
        try:
            return await call()
        except _MISSING as error:
            return await self.recovered(place, call, error, deadline, outcome)

    async def recovered(
        self,
        place: TopicRef | str,
        call: Callable[[], Awaitable[_T]],
        missing: BridgeError,
        deadline: Deadline,
        outcome: Outcome | None = None,
    ) -> _T:
        """
        As `guarded`, after *call* raised *missing*.

        Raises:
            BridgeError: *missing*, if *place* is another one.
            TopicNotReady: as `guarded`.
        """
        if place not in (self.topic, self.topic.stream):
            raise missing
        for _ in range(DEFAULT_TOPIC_TRIES_MAX):
            self.missed()
            await self.until_there(deadline, outcome)
            try:
                return await call()
            except _MISSING as error:
                missing = error
        raise _not_ready(outcome) from missing


def _not_ready(outcome: Outcome | None) -> TopicNotReady:
    return TopicNotReady(outcome=outcome, retry_after_ms=RETRY_AFTER_DEFAULT_MS)


class _Appends(Protocol):
    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt: ...


class KeptAppender:
    """The write half of a `MessageLog` in which the default topic is never missing."""

    __slots__ = ("_appender", "_kept")

    def __init__(self, appender: _Appends, kept: KeptTopic) -> None:
        self._appender = appender
        self._kept = kept

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`; what was sent to the default topic while it was missing keeps its order."""
        kept = self._kept
        if kept.waiting and topic == kept.topic:
            await kept.until_there(deadline, Outcome.NOT_WRITTEN)
        # Not `guarded`, whose call within a call took 1 % of a POST.
        try:
            return await self._appender.append(topic, placement, messages, deadline=deadline)
        except _MISSING as error:
            return await kept.recovered(
                topic,
                lambda: self._appender.append(topic, placement, messages, deadline=deadline),
                error,
                deadline,
                Outcome.NOT_WRITTEN,
            )


class KeptLog:
    """A `MessageLog` in which the default topic is never missing, but to those who delete it."""

    __slots__ = ("_kept", "_log")

    def __init__(self, log: MessageLog, kept: KeptTopic) -> None:
        self._log = log
        self._kept = kept

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        return await self._log.create_stream(name, deadline=deadline)

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        return await self._log.streams(deadline=deadline)

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        return await self._kept.guarded(name, lambda: self._log.stream(name, deadline=deadline), deadline)

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        await self._log.delete_stream(name, deadline=deadline)
        if name == self._kept.topic.stream:
            self._kept.missed()

    async def create_topic(
        self,
        topic: TopicRef,
        *,
        partitions_count: int,
        durability: Durability | None = None,
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        deadline: Deadline,
    ) -> TopicInfo:
        return await self._kept.guarded(
            topic.stream,
            lambda: self._log.create_topic(
                topic,
                partitions_count=partitions_count,
                durability=durability,
                retention=retention,
                deadline=deadline,
            ),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        return await self._kept.guarded(stream, lambda: self._log.topics(stream, deadline=deadline), deadline)

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        return await self._kept.guarded(topic, lambda: self._log.topic(topic, deadline=deadline), deadline)

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        await self._log.delete_topic(topic, deadline=deadline)
        if topic == self._kept.topic:
            self._kept.missed()

    async def purge_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        await self._kept.guarded(
            topic, lambda: self._log.purge_topic(topic, deadline=deadline), deadline, Outcome.NOT_WRITTEN
        )

    async def update_retention(
        self, topic: TopicRef, retention: Retention, *, deadline: Deadline
    ) -> TopicInfo:
        return await self._kept.guarded(
            topic,
            lambda: self._log.update_retention(topic, retention, deadline=deadline),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def add_partitions(self, topic: TopicRef, count: int, *, deadline: Deadline) -> TopicInfo:
        return await self._kept.guarded(
            topic,
            lambda: self._log.add_partitions(topic, count, deadline=deadline),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        return await self._kept.guarded(
            topic, lambda: self._log.partitions_count(topic, deadline=deadline), deadline
        )

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        return await self._kept.guarded(
            topic,
            lambda: self._log.append(topic, placement, messages, deadline=deadline),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        return await self._kept.guarded(
            topic,
            lambda: self._log.read(topic, partition_id, position, count=count, deadline=deadline),
            deadline,
        )

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        return await self._kept.guarded(
            topic,
            lambda: self._log.stored_offset(topic, partition_id, consumer, deadline=deadline),
            deadline,
        )

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        await self._kept.guarded(
            topic,
            lambda: self._log.store_offset(topic, partition_id, consumer, offset, deadline=deadline),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        await self._kept.guarded(
            topic,
            lambda: self._log.delete_offset(topic, partition_id, consumer, deadline=deadline),
            deadline,
            Outcome.NOT_WRITTEN,
        )

    async def close(self) -> None:
        await self._log.close()
