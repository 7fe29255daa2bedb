"""Changes to streams and topics on an Iggy server (shell)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from apache_iggy import IggyClient

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import AlreadyExists, BadRequest, DeadlineExceeded, NotFound, Outcome, TopicNotFound
from bridge.iggy.catalogue import TopicCatalogue, check_names
from bridge.iggy.encoding import GET_OFFSET, STORE_OFFSET, offset_request, store_offset_request
from bridge.iggy.faults import Operation, Telling
from bridge.iggy.session import IggySession
from bridge.iggy.topics import retention_options, topic_options
from bridge.messagelog import Durability, Retention, StreamInfo, TopicInfo, TopicRef
from bridge.messagelog.bounds import check_added_partitions, check_partitions

#: The consumer whose stored offset stands in a partition until it is emptied.
_MARK: Final = "bridge.purge"
_LOOK_S_MIN: Final = 0.002
_LOOK_S_MAX: Final = 0.05


class IggyAdmin:
    """What `MessageLog` changes beside messages and stored offsets.

    Args:
        durability: what topics get that are made without their own.
    """

    def __init__(self, session: IggySession, catalogue: TopicCatalogue, *, durability: Durability) -> None:
        self._session = session
        self._catalogue = catalogue
        self._durability = durability

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        check_names(name)
        try:
            await self._write(lambda client: client.create_stream(name), Operation.STREAM, deadline)
        except AlreadyExists:
            await self._agreed(lambda: self._catalogue.stream(name, deadline=deadline))
            raise
        # Made it is, whatever becomes of the look.
        with Telling(Outcome.UNKNOWN):
            return await self._catalogue.stream(name, deadline=deadline)

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        check_names(name)
        self._catalogue.forget_stream(name)
        await self._write(lambda client: client.delete_stream(name), Operation.STREAM, deadline)
        self._catalogue.forget_stream(name)

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
        check_partitions(partitions_count)
        options = topic_options(durability or self._durability, retention, partitions_count)
        try:
            await self._write(
                lambda client: client.create_topic(*topic, partitions_count, **options),
                Operation.TOPIC,
                deadline,
            )
        except AlreadyExists:
            await self._agreed(lambda: self._catalogue.topic(topic, deadline=deadline))
            raise
        return await self._changed(topic, deadline)

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        check_names(*topic)
        await self._write(lambda client: client.delete_topic(*topic), Operation.TOPIC, deadline)
        self._catalogue.forget(topic, deleted=True)

    async def purge_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        """As `MessageLog.purge_topic`.

        Iggy answers before it has emptied the partitions, one by one; what is appended in between is acknowledged and
        then lost (measured on 0.9.0-edge.5, eight topics purged at once: 20 of 320 messages). So a mark is set in each
        partition that takes one, an offset stored under a name of our own, and waited for until it is gone with all
        others. An empty partition takes no mark: it gets `IGGY_PURGE_SETTLE_S`. Of two purges of a topic at the same
        moment one may return when the other has emptied it.
        """
        with Telling(Outcome.NOT_WRITTEN):
            info = await self._catalogue.topic(topic, deadline=deadline)
            marked = await self._mark(info, topic, deadline)
        await self._write(lambda client: client.purge_topic(*topic), Operation.TOPIC, deadline)
        with Telling(Outcome.UNKNOWN):
            await _each(marked, lambda partition_id: self._emptied(topic, partition_id, deadline))
            if len(marked) < info.partitions_count:
                await _pause(limits.IGGY_PURGE_SETTLE_S, deadline)

    async def update_retention(
        self, topic: TopicRef, retention: Retention, *, deadline: Deadline
    ) -> TopicInfo:
        check_names(*topic)
        with Telling(Outcome.NOT_WRITTEN):
            found = await self._session.look(
                lambda client: client.get_topic(*topic), Operation.TOPIC, deadline
            )
            if found is None:
                await self._catalogue.stream(topic.stream, deadline=deadline)
                raise TopicNotFound
        options = retention_options(found, retention)
        await self._write(
            lambda client: client.update_topic(*topic, topic.topic, **options), Operation.TOPIC, deadline
        )
        return await self._changed(topic, deadline)

    async def add_partitions(self, topic: TopicRef, count: int, *, deadline: Deadline) -> TopicInfo:
        with Telling(Outcome.NOT_WRITTEN):
            info = await self._catalogue.topic(topic, deadline=deadline)
        # Iggy bounds what is added, not what there is then.
        check_added_partitions(info.partitions_count, count)
        await self._write(lambda client: client.create_partitions(*topic, count), Operation.TOPIC, deadline)
        self._catalogue.forget(topic)
        return await self._changed(topic, deadline)

    async def _write(
        self, request: Callable[[IggyClient], Awaitable[object]], operation: Operation, deadline: Deadline
    ) -> None:
        await self._session.call(self._session.admin_lane, request, operation, write=True, deadline=deadline)

    async def _changed(self, topic: TopicRef, deadline: Deadline) -> TopicInfo:
        """The topic after the change, which was made whatever becomes of the look."""
        with Telling(Outcome.UNKNOWN):
            return await self._catalogue.topic(topic, deadline=deadline)

    async def _agreed(self, look: Callable[[], Awaitable[object]]) -> None:
        """What exists is to be seen as well; a node that says otherwise lags, and another one is asked then."""
        try:
            await look()
        except NotFound:
            self._session.contradicted()

    async def _mark(self, info: TopicInfo, topic: TopicRef, deadline: Deadline) -> list[int]:
        """Set a mark in each partition that takes one; those that took it."""
        marked: list[int] = []

        async def mark(partition_id: int) -> None:
            body = store_offset_request(topic, partition_id, _MARK, 0)
            try:
                await self._session.request(
                    STORE_OFFSET, body, Operation.TOPIC, write=True, deadline=deadline
                )
            except BadRequest:
                # Empty by now.
                return
            except NotFound:
                await self._catalogue.name_missing(topic, partition_id, deadline=deadline)
                return
            marked.append(partition_id)

        await _each((part.id for part in info.partitions if part.end_offset), mark)
        return marked

    async def _emptied(self, topic: TopicRef, partition_id: int, deadline: Deadline) -> None:
        """Return once the mark is gone."""
        body = offset_request(topic, partition_id, _MARK)
        pause_s = _LOOK_S_MIN
        while await self._session.request(GET_OFFSET, body, Operation.TOPIC, write=False, deadline=deadline):
            await _pause(pause_s, deadline)
            pause_s = min(2 * pause_s, _LOOK_S_MAX)


async def _each(partition_ids: Iterable[int], work: Callable[[int], Awaitable[None]]) -> None:
    """Do *work* for all of them, as many at once as there are clients; the first error ends it."""
    left = iter(partition_ids)

    async def work_on() -> None:
        for partition_id in left:
            await work(partition_id)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limits.IGGY_READ_CLIENTS):
                group.create_task(work_on())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _pause(seconds: float, deadline: Deadline) -> None:
    left_s = deadline.remaining_s()
    if not left_s:
        raise DeadlineExceeded(outcome=Outcome.UNKNOWN)
    await asyncio.sleep(min(seconds, left_s))
