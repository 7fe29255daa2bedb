"""Streams and topics on an Iggy server, looked at, and what is believed of topics between two looks (shell)."""

import copy
import re
from typing import Final

import structlog

from bridge.clock import Clock, Deadline
from bridge.errors import BadRequest, NotFound, Outcome, PartitionNotFound, StreamNotFound, TopicNotFound
from bridge.iggy.faults import Operation, Telling
from bridge.iggy.session import IggySession
from bridge.iggy.shared_reads import SharedReads
from bridge.iggy.topics import KnownTopic, TopicCache, stream_info, topic_info
from bridge.messagelog import Durability, StreamInfo, TopicInfo, TopicRef

_log = structlog.get_logger("bridge.iggy")

#: The SDK takes text that Rust reads as a number for a numeric id, and ids are given away again after a deletion.
_READS_AS_ID: Final = re.compile(r"\+?[0-9]+")
#: Topics named in `LogHealth.warnings`; more say nothing new.
_WEAK_TOPICS_MAX: Final = 16


def check_names(*names: str) -> None:
    """Refuse names that Iggy would take for something else.

    Raises:
        BadRequest: if one is made of digits only.
    """
    for name in names:
        if _READS_AS_ID.fullmatch(name):
            raise BadRequest("On Iggy a name of digits only cannot be used.")


class TopicCatalogue:
    """The looks of `MessageLog` at streams and topics, and what they found.

    Args:
        durability: what topics are to have; those that have less are named in `warnings`.
    """

    def __init__(self, session: IggySession, *, durability: Durability, clock: Clock) -> None:
        self._session = session
        self._durability = durability
        self._clock = clock
        self._topics = TopicCache()
        self._looks: SharedReads[KnownTopic | NotFound] = SharedReads(session.too_late)
        self._weak: dict[TopicRef, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each topic seen lately whose acknowledgements promise less than configured."""
        return tuple(self._weak.values())

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        found = await self._session.look(lambda client: client.get_streams(), Operation.STREAM, deadline)
        return tuple(sorted(map(stream_info, found), key=lambda stream: stream.name))

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        check_names(name)
        found = await self._session.look(lambda client: client.get_stream(name), Operation.STREAM, deadline)
        if found is None:
            raise StreamNotFound
        return stream_info(found)

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        in_stream = await self.stream(stream, deadline=deadline)
        found = await self._session.look(lambda client: client.get_topics(stream), Operation.TOPIC, deadline)
        infos = (topic_info(topic, stream_id=in_stream.id) for topic in found)
        return tuple(sorted(infos, key=lambda topic: topic.name))

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        in_stream = await self.stream(topic.stream, deadline=deadline)
        check_names(topic.topic)
        found = await self._session.look(lambda client: client.get_topic(*topic), Operation.TOPIC, deadline)
        if found is None:
            self._topics.drop(topic)
            raise TopicNotFound
        info = topic_info(found, stream_id=in_stream.id)
        self._topics.put(topic, info, self._clock.monotonic_s())
        self._note_durability(topic, info.durability)
        return info

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        return (await self.known(topic, deadline=deadline)).partitions_count

    async def known(self, topic: TopicRef, *, deadline: Deadline) -> KnownTopic:
        """What is believed of *topic*, asked for again after `TOPIC_CACHE_TTL_S`.

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """
        known = self._topics.get(topic, self._clock.monotonic_s())
        if known is not None:
            return known
        # Many miss it at the same moment: all who write to the topic, whenever it was not looked at for a while.
        found = await self._looks.read(topic, lambda: self._look(topic, deadline), deadline=deadline)
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

    def forget(self, topic: TopicRef, *, deleted: bool = False) -> None:
        """Look again before *topic* is used next."""
        self._topics.drop(topic)
        if deleted:
            self._weak.pop(topic, None)

    def forget_stream(self, name: str) -> None:
        """Look again before any topic of the stream is used next."""
        self._topics.drop_stream(name)

    async def name_missing(self, topic: TopicRef, partition_id: int, *, deadline: Deadline) -> None:
        """Find out which part of a partition's path is missing; returns if none is.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: the part that is missing.
        """
        info = await self.topic(topic, deadline=deadline)
        if partition_id >= info.partitions_count:
            raise PartitionNotFound

    async def partition_request(
        self, topic: TopicRef, partition_id: int, code: int, body: bytes, *, write: bool, deadline: Deadline
    ) -> bytes:
        """The reply to a request about one partition.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: the part that is missing.
            NotFound: where all three are there.
        """
        try:
            return await self._session.request(code, body, Operation.POLL, write=write, deadline=deadline)
        except NotFound as error:
            self.forget(topic)
            if type(error) is NotFound:
                with Telling(Outcome.NOT_WRITTEN if write else None):
                    await self.name_missing(topic, partition_id, deadline=deadline)
            raise

    def _note_durability(self, topic: TopicRef, durability: Durability) -> None:
        if self._durability is Durability.REPLICATED or durability is Durability.PERSISTED:
            self._weak.pop(topic, None)
        elif topic not in self._weak and len(self._weak) < _WEAK_TOPICS_MAX:
            self._weak[topic] = (
                f"Topic {topic.stream}/{topic.topic} is replicated, not persisted as configured: "
                "acknowledged messages are lost if the server is killed."
            )
            _log.warning("iggy_topic_weaker_than_configured", stream=topic.stream, topic=topic.topic)
