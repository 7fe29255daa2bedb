"""How far groups came, and where they go on (shell)."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import NotFound, PartitionNotFound
from bridge.groups.assignment import assigned_partitions
from bridge.groups.dead_letters import dead_letter_topic
from bridge.groups.partition import Partition
from bridge.groups.records import Scope, Seek, Start
from bridge.groups.served_group import Context
from bridge.groups.values import GroupInfo, GroupPartition, SeekTo
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, PartitionInfo, TopicInfo, TopicRef
from bridge.telemetry.metrics import GroupStats

__all__ = ("GroupInspector",)


class GroupInspector:
    """Reads the ledger and the log for people."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def groups(self, topic: TopicRef, info: TopicInfo) -> tuple[GroupInfo, ...]:
        """All groups of *topic*, by name."""
        return tuple(self.group(each, info) for each in self._scopes(topic))

    def group(self, scope: Scope, info: TopicInfo) -> GroupInfo:
        """One group, which the ledger knows; *info* is its topic's."""
        replica = self._context.replica
        group = replica.ledger.groups[scope]
        now_us = replica.now_us()
        members = replica.ledger.members(scope, now_us=replica.ledger.now_us)
        owners = {
            partition_id: f"{member:016x}"
            for member in members
            for partition_id in assigned_partitions(member, members, scope, info.partitions_count)
        }
        return GroupInfo(
            scope.group,
            tuple(f"{member:016x}" for member in members),
            tuple(
                _progress(each, group.partitions.get(each.id), owners.get(each.id), now_us)
                for each in info.partitions
            ),
            group.used_us,
        )

    async def standing(self, *, deadline: Deadline) -> dict[Scope, GroupStats | None]:
        """
        Every group of the ledger and how it stands; None where its topic is not there any more.

        Raises:
            LogError: if the log could not be asked.
        """
        scopes = tuple(self._context.replica.ledger.groups)
        letters = {
            stream: await self._messages_by_topic(stream, deadline)
            for stream in sorted({scope.stream for scope in scopes})
        }
        infos = await self._infos(sorted({TopicRef(*scope[:2]) for scope in scopes}), deadline)
        standing: dict[Scope, GroupStats | None] = {}
        for scope in scopes:
            standing[scope] = self._stands(scope, infos.get(TopicRef(*scope[:2])), letters[scope.stream])
            # To count what is out of a large group takes a millisecond.
            await asyncio.sleep(0)
        return standing

    def _stands(self, scope: Scope, info: TopicInfo | None, messages: Mapping[str, int]) -> GroupStats | None:
        replica = self._context.replica
        group = replica.ledger.groups.get(scope)
        if group is None or info is None:
            return None
        now_us = replica.now_us()
        partitions = [
            _progress(each, group.partitions.get(each.id), None, now_us) for each in info.partitions
        ]
        return GroupStats(
            sum(each.lag for each in partitions),
            sum(each.in_flight for each in partitions),
            sum(each.waiting for each in partitions),
            sum(each.delayed(now_us) for each in group.partitions.values()),
            messages.get(dead_letter_topic(scope).topic, 0),
        )

    async def _messages_by_topic(self, stream: str, deadline: Deadline) -> dict[str, int]:
        try:
            topics = await self._context.log.topics(stream, deadline=deadline)
        except NotFound:
            return {}
        return {each.name: each.messages_count for each in topics}

    async def _infos(self, topics: Sequence[TopicRef], deadline: Deadline) -> dict[TopicRef, TopicInfo]:
        """Those of *topics* that are there."""

        async def look(topic: TopicRef) -> None:
            with suppress(NotFound):
                found[topic] = await self._context.log.topic(topic, deadline=deadline)

        found: dict[TopicRef, TopicInfo] = {}
        for at in range(0, len(topics), limits.GROUP_READS_AT_ONCE):
            await asyncio.gather(*map(look, topics[at : at + limits.GROUP_READS_AT_ONCE]))
        return found

    async def starts(
        self, topic: TopicRef, to: SeekTo | Mapping[int, SeekTo], *, deadline: Deadline
    ) -> tuple[Start, ...]:
        """
        The offsets that *to* means, by partition.

        Raises:
            PartitionNotFound: if there is no such partition.
        """
        info = await self._context.log.topic(topic, deadline=deadline)
        known = {each.id: each for each in info.partitions}
        targets = dict(to) if isinstance(to, Mapping) else dict.fromkeys(known, to)
        if not known.keys() >= targets.keys():
            raise PartitionNotFound
        asked = sorted(targets.items())
        starts: list[Start] = []
        for at in range(0, len(asked), limits.GROUP_READS_AT_ONCE):
            some = asked[at : at + limits.GROUP_READS_AT_ONCE]
            starts += await asyncio.gather(
                *(self._start(topic, known[each], target, deadline) for each, target in some)
            )
        return tuple(starts)

    async def move(self, scope: Scope, starts: tuple[Start, ...], *, deadline: Deadline) -> None:
        """Let the group go on there."""
        record = Seek(self._context.replica.new_id(), scope, starts)
        await self._context.replica.tell(record, deadline=deadline)

    def _scopes(self, topic: TopicRef) -> list[Scope]:
        return sorted(each for each in self._context.replica.ledger.groups if each[:2] == topic)

    async def _start(
        self, topic: TopicRef, partition: PartitionInfo, to: SeekTo, deadline: Deadline
    ) -> Start:
        match to:
            case Last():
                return Start(partition.id, partition.end_offset)
            case FromOffset(offset):
                return Start(partition.id, max(0, min(offset, partition.end_offset)))
            case First() | FromTimestamp():
                page = await self._context.log.read(topic, partition.id, to, count=1, deadline=deadline)
                return Start(partition.id, page.messages[0].offset if page.messages else page.end_offset)


def _progress(
    info: PartitionInfo, partition: Partition | None, owner: str | None, now_us: int
) -> GroupPartition:
    end = info.end_offset
    if partition is None:
        return GroupPartition(info.id, None, end, end, 0, 0, owner)
    in_flight = partition.in_flight(now_us)
    low = partition.low
    return GroupPartition(
        info.id,
        low - 1 if low else None,
        max(end, low),
        max(0, end - low),
        in_flight,
        partition.unacked_count - in_flight,
        owner,
    )
