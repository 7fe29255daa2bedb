"""Streams and topics of the embedded log (shell)."""

from bridge.clock import Deadline
from bridge.errors import ConnectionFailed, DeadlineExceeded, Outcome
from bridge.locallog.catalog import Catalog
from bridge.locallog.changes import (
    AddPartitions,
    CreateStream,
    CreateTopic,
    DeleteStream,
    DeleteTopic,
    PurgeTopic,
    TopicChange,
    UpdateRetention,
)
from bridge.locallog.writer import Writer
from bridge.messagelog import Durability, Retention, StreamInfo, TopicInfo, TopicRef
from bridge.messagelog.bounds import check_partitions


class Lifetime:
    """Whether the log is still open."""

    def __init__(self) -> None:
        self.closed = False

    def check(self, deadline: Deadline, *, write: bool) -> None:
        """Refuse what comes too late.

        Raises:
            ConnectionFailed: if the log is closed.
            DeadlineExceeded: if the time is up.
        """
        if self.closed:
            raise ConnectionFailed("The log is closed.", outcome=_outcome(write=write))
        if deadline.remaining_s() <= 0:
            raise DeadlineExceeded(outcome=_outcome(write=write))


def _outcome(*, write: bool) -> Outcome | None:
    """Of what comes too late."""
    return Outcome.NOT_WRITTEN if write else None


class LocalAdmin:
    """What `MessageLog` tells and changes of streams and topics: looked up in memory, changed by the writer."""

    def __init__(self, catalog: Catalog, writer: Writer, lifetime: Lifetime) -> None:
        self._catalog = catalog
        self._writer = writer
        self._lifetime = lifetime

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        self._lifetime.check(deadline, write=True)
        info: StreamInfo = await self._writer.perform(CreateStream(name), deadline=deadline)
        return info

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        self._lifetime.check(deadline, write=False)
        streams = self._catalog.streams
        return tuple(streams[name].info() for name in sorted(streams))

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        self._lifetime.check(deadline, write=False)
        return self._catalog.stream(name).info()

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        self._lifetime.check(deadline, write=True)
        await self._writer.perform(DeleteStream(name), deadline=deadline)

    async def create_topic(
        self,
        topic: TopicRef,
        *,
        partitions_count: int,
        durability: Durability | None = None,  # noqa: ARG002 (always persisted)
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        deadline: Deadline,
    ) -> TopicInfo:
        self._lifetime.check(deadline, write=True)
        check_partitions(partitions_count)
        change = CreateTopic(topic, partitions_count=partitions_count, retention=retention)
        return await self._changed(change, deadline)

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        self._lifetime.check(deadline, write=False)
        topics = self._catalog.stream(stream).topics
        return tuple(topics[name].info(with_partitions=False) for name in sorted(topics))

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        self._lifetime.check(deadline, write=False)
        return self._catalog.topic(topic).info(with_partitions=True)

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        self._lifetime.check(deadline, write=True)
        await self._writer.perform(DeleteTopic(topic), deadline=deadline)

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        self._lifetime.check(deadline, write=False)
        return len(self._catalog.topic(topic).partitions)

    async def purge_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        self._lifetime.check(deadline, write=True)
        await self._writer.perform(PurgeTopic(topic), deadline=deadline)

    async def update_retention(
        self, topic: TopicRef, retention: Retention, *, deadline: Deadline
    ) -> TopicInfo:
        return await self._changed(UpdateRetention(topic, retention), deadline)

    async def add_partitions(self, topic: TopicRef, count: int, *, deadline: Deadline) -> TopicInfo:
        return await self._changed(AddPartitions(topic, count), deadline)

    async def _changed(self, change: TopicChange, deadline: Deadline) -> TopicInfo:
        self._lifetime.check(deadline, write=True)
        await self._writer.perform(change, deadline=deadline)
        return change.topic.info(with_partitions=True)
