"""Streams and topics on an Iggy server: the half of `IggyMessageLog` that is no traffic (shell)."""

import copy
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from apache_iggy import IggyClient

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.errors import (
    AlreadyExists,
    BadRequest,
    LogError,
    NotFound,
    Outcome,
    PartitionNotFound,
    StreamNotFound,
    TopicNotFound,
)
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation
from bridge.iggy.session import IggySession
from bridge.iggy.shared_reads import SharedReads
from bridge.iggy.topics import KnownTopic, TopicCache, stream_info, topic_info, topic_options
from bridge.messagelog import Durability, Retention, StreamInfo, TopicInfo, TopicRef

__all__ = ("IggyCatalogue", "check_names")

_T = TypeVar("_T")
_log = structlog.get_logger("bridge.iggy")

#: The SDK takes text that Rust reads as a number for a numeric id, and ids are given away again after a deletion.
_READS_AS_ID: Final = re.compile(r"\+?[0-9]+")
#: Topics named in `LogHealth.warnings`; more say nothing new.
_WEAK_TOPICS_MAX: Final = 16


def check_names(*names: str) -> None:
    """
    Refuse names that Iggy would take for something else.

    Raises:
        BadRequest: if one is made of digits only.
    """
    for name in names:
        if _READS_AS_ID.fullmatch(name):
            raise BadRequest("On Iggy a name of digits only cannot be used.")


class IggyCatalogue:
    """Streams and topics, and what is believed of topics between two looks."""

    def __init__(self, connection: IggyConnection, *, durability: Durability, clock: Clock) -> None:
        self._connection = connection
        self._session = IggySession(connection)
        self._durability = durability
        self._clock = clock
        self._topics = TopicCache()
        self._looks: SharedReads[KnownTopic | NotFound] = SharedReads(self._session.too_late)
        self._weak: dict[TopicRef, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each topic seen lately whose acknowledgements promise less than configured."""
        return tuple(self._weak.values())

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        check_names(name)
        try:
            await self._admin(
                lambda client: client.create_stream(name), Operation.STREAM, write=True, deadline=deadline
            )
        except AlreadyExists:
            await self._agreed(lambda: self.stream(name, deadline=deadline))
            raise
        return await self._written(lambda: self.stream(name, deadline=deadline))

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        found = await self._admin(
            lambda client: client.get_streams(), Operation.STREAM, write=False, deadline=deadline
        )
        return tuple(sorted(map(stream_info, found), key=lambda stream: stream.name))

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        check_names(name)
        found = await self._admin(
            lambda client: client.get_stream(name), Operation.STREAM, write=False, deadline=deadline
        )
        if found is None:
            raise StreamNotFound
        return stream_info(found)

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        check_names(name)
        self._topics.drop_stream(name)
        await self._admin(
            lambda client: client.delete_stream(name), Operation.STREAM, write=True, deadline=deadline
        )
        self._topics.drop_stream(name)

    async def create_topic(
        self,
        topic: TopicRef,
        *,
        partitions_count: int,
        durability: Durability | None = None,
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        deadline: Deadline,
    ) -> TopicInfo:
        check_names(*topic)
        if not 1 <= partitions_count <= limits.PARTITIONS_MAX:
            raise BadRequest(
                f"A topic has 1 to {limits.PARTITIONS_MAX} partitions.", limit=limits.PARTITIONS_MAX
            )
        options = topic_options(durability or self._durability, retention, partitions_count)
        try:
            await self._admin(
                lambda client: client.create_topic(topic.stream, topic.topic, partitions_count, **options),
                Operation.TOPIC,
                write=True,
                deadline=deadline,
            )
        except AlreadyExists:
            await self._agreed(lambda: self.topic(topic, deadline=deadline))
            raise
        return await self._written(lambda: self.topic(topic, deadline=deadline))

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        in_stream = await self.stream(stream, deadline=deadline)
        found = await self._admin(
            lambda client: client.get_topics(stream), Operation.TOPIC, write=False, deadline=deadline
        )
        infos = (topic_info(topic, stream_id=in_stream.id) for topic in found)
        return tuple(sorted(infos, key=lambda topic: topic.name))

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        in_stream = await self.stream(topic.stream, deadline=deadline)
        check_names(topic.topic)
        found = await self._admin(
            lambda client: client.get_topic(*topic), Operation.TOPIC, write=False, deadline=deadline
        )
        if found is None:
            self._topics.drop(topic)
            raise TopicNotFound
        info = topic_info(found, stream_id=in_stream.id)
        self._topics.put(topic, info, self._clock.monotonic_s())
        self._note_durability(topic, info.durability)
        return info

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        check_names(*topic)
        await self._admin(
            lambda client: client.delete_topic(*topic), Operation.TOPIC, write=True, deadline=deadline
        )
        self._topics.drop(topic)
        self._weak.pop(topic, None)

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        return (await self.known(topic, deadline=deadline)).partitions_count

    async def known(self, topic: TopicRef, *, deadline: Deadline, write: bool = False) -> KnownTopic:
        """
        What is believed of *topic*, asked for again after `TOPIC_CACHE_TTL_S`.

        Args:
            write: it is asked for a write that was not begun; its errors say so.

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """
        known = self._topics.get(topic, self._clock.monotonic_s())
        if known is not None:
            return known
        try:
            # Many miss it at the same moment: all who write to the topic, whenever it was not looked at for a while.
            found = await self._looks.read(topic, lambda: self._look(topic, deadline), deadline=deadline)
        except LogError as error:
            if write:
                error.outcome = Outcome.NOT_WRITTEN
            raise
        if isinstance(found, NotFound):
            # Each raises its own: a shared one would grow a traceback for every caller.
            raise copy.copy(found)
        return found

    async def _look(self, topic: TopicRef, deadline: Deadline) -> KnownTopic | NotFound:
        """What is believed by now, or else is found; that there is nothing is an answer too, for all who share it."""
        known = self._topics.get(topic, self._clock.monotonic_s())
        if known is not None:
            return known
        try:
            info = await self.topic(topic, deadline=deadline)
        except NotFound as error:
            return error
        now_s = self._clock.monotonic_s()
        return self._topics.get(topic, now_s) or self._topics.put(topic, info, now_s)

    def forget(self, topic: TopicRef) -> None:
        """Look again before *topic* is used next."""
        self._topics.drop(topic)

    async def name_missing(self, topic: TopicRef, partition_id: int, *, deadline: Deadline) -> None:
        """
        Find out which part of a place is missing; returns if none is.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: the part that is missing.
        """
        info = await self.topic(topic, deadline=deadline)
        if partition_id >= info.partitions_count:
            raise PartitionNotFound

    async def _written(self, look: Callable[[], Awaitable[_T]]) -> _T:
        """What was made, looked at; if that fails, it was made all the same."""
        try:
            return await look()
        except LogError as error:
            error.outcome = Outcome.UNKNOWN
            raise

    async def _agreed(self, look: Callable[[], Awaitable[object]]) -> None:
        """What exists is to be seen as well; a node that says otherwise lags, and another one is asked then."""
        try:
            await look()
        except NotFound:
            connection = self._connection
            connection.lost(connection.generation, "The Iggy server contradicts itself.", silent=True)

    def _note_durability(self, topic: TopicRef, durability: Durability) -> None:
        if self._durability is Durability.REPLICATED or durability is Durability.PERSISTED:
            self._weak.pop(topic, None)
        elif topic not in self._weak and len(self._weak) < _WEAK_TOPICS_MAX:
            self._weak[topic] = (
                f"Topic {topic.stream}/{topic.topic} is replicated, not persisted as configured: "
                "acknowledged messages are lost if the server is killed."
            )
            _log.warning("iggy_topic_weaker_than_configured", stream=topic.stream, topic=topic.topic)

    async def _admin(
        self,
        request: Callable[[IggyClient], Awaitable[_T]],
        operation: Operation,
        *,
        write: bool,
        deadline: Deadline,
    ) -> _T:
        return await self._session.call(
            self._connection.admin_lane, request, operation, write=write, deadline=deadline
        )
