"""Changes to a topic on an Iggy server that stays: emptied, kept for longer or shorter, with more partitions (shell)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BadRequest, DeadlineExceeded, LogError, NotFound, Outcome, TopicNotFound
from bridge.iggy import wire
from bridge.iggy.catalogue import IggyCatalogue, check_names
from bridge.iggy.faults import Operation
from bridge.iggy.topics import retention_options
from bridge.messagelog import Retention, TopicInfo, TopicRef
from bridge.messagelog.bounds import check_added_partitions

__all__ = ("IggyAdministration",)

_T = TypeVar("_T")

#: The consumer whose stored offset stands in a partition until it is emptied.
_MARK: Final = "bridge.purge"
_LOOK_S_MIN: Final = 0.002
_LOOK_S_MAX: Final = 0.05


class IggyAdministration(IggyCatalogue):
    """The catalogue, and what changes a topic without making or removing it."""

    async def purge_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        """
        As `MessageLog.purge_topic`.

        Iggy answers before it has emptied the partitions, one by one; what is appended in between is acknowledged and
        then lost (measured on 0.9.0-edge.5, eight topics purged at once: 20 of 320 messages). So a mark is set in each
        partition that takes one, an offset stored under a name of our own, and waited for until it is gone with all
        others. An empty partition takes no mark: it gets `IGGY_PURGE_SETTLE_S`. Of two purges of a topic at the same
        moment one may return when the other has emptied it.
        """
        info = await self._looked(lambda: self.topic(topic, deadline=deadline))
        marked = await self._looked(lambda: self._mark(info, topic, deadline))
        await self._admin(
            lambda client: client.purge_topic(*topic), Operation.TOPIC, write=True, deadline=deadline
        )
        try:
            await _each(marked, lambda partition_id: self._emptied(topic, partition_id, deadline))
            if len(marked) < info.partitions_count:
                await _pause(limits.IGGY_PURGE_SETTLE_S, deadline)
        except LogError as error:
            error.outcome = Outcome.UNKNOWN
            raise

    async def update_retention(
        self, topic: TopicRef, retention: Retention, *, deadline: Deadline
    ) -> TopicInfo:
        check_names(*topic)
        found = await self._looked(
            lambda: self._admin(
                lambda client: client.get_topic(*topic), Operation.TOPIC, write=False, deadline=deadline
            )
        )
        if found is None:
            await self._looked(lambda: self.stream(topic.stream, deadline=deadline))
            raise TopicNotFound
        options = retention_options(found, retention)
        await self._admin(
            lambda client: client.update_topic(*topic, topic.topic, **options),
            Operation.TOPIC,
            write=True,
            deadline=deadline,
        )
        return await self._written(lambda: self.topic(topic, deadline=deadline))

    async def add_partitions(self, topic: TopicRef, count: int, *, deadline: Deadline) -> TopicInfo:
        info = await self._looked(lambda: self.topic(topic, deadline=deadline))
        # Iggy bounds what is added, not what there is then.
        check_added_partitions(info.partitions_count, count)
        await self._admin(
            lambda client: client.create_partitions(*topic, count),
            Operation.TOPIC,
            write=True,
            deadline=deadline,
        )
        self.forget(topic)
        return await self._written(lambda: self.topic(topic, deadline=deadline))

    async def _mark(self, info: TopicInfo, topic: TopicRef, deadline: Deadline) -> list[int]:
        """Set a mark in each partition that takes one; those that took it."""
        marked: list[int] = []

        async def mark(partition_id: int) -> None:
            body = wire.store_offset_request(topic, partition_id, _MARK, 0)
            try:
                await self._read_lane_call(
                    wire.STORE_OFFSET, body, Operation.TOPIC, write=True, deadline=deadline
                )
            except BadRequest:
                # Empty by now.
                return
            except NotFound:
                await self.name_missing(topic, partition_id, deadline=deadline)
                return
            marked.append(partition_id)

        await _each((part.id for part in info.partitions if part.end_offset), mark)
        return marked

    async def _emptied(self, topic: TopicRef, partition_id: int, deadline: Deadline) -> None:
        """Return once the mark is gone."""
        body = wire.offset_request(topic, partition_id, _MARK)
        pause_s = _LOOK_S_MIN
        while await self._read_lane_call(
            wire.GET_OFFSET, body, Operation.TOPIC, write=False, deadline=deadline
        ):
            await _pause(pause_s, deadline)
            pause_s = min(2 * pause_s, _LOOK_S_MAX)

    async def _read_lane_call(
        self, code: int, body: bytes, operation: Operation, *, write: bool, deadline: Deadline
    ) -> bytes:
        return await self._session.call(
            self._connection.read_lane,
            lambda client: client.send_binary_request(code, body),
            operation,
            write=write,
            deadline=deadline,
        )

    async def _looked(self, look: Callable[[], Awaitable[_T]]) -> _T:
        """What comes before a write; if it fails, nothing was written."""
        try:
            return await look()
        except LogError as error:
            error.outcome = Outcome.NOT_WRITTEN
            raise


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
