"""How far groups came, and where they go on (shell)."""

import asyncio
from collections.abc import Mapping

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import PartitionNotFound
from bridge.groups.desk import Context, Desk
from bridge.groups.partition import Partition
from bridge.groups.records import Scope, Seek, Start
from bridge.groups.shares import own_partitions
from bridge.groups.values import GroupInfo, GroupPartition, SeekTo
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, PartitionInfo, TopicInfo, TopicRef

__all__ = ("Outlook",)


class Outlook:
    """Reads the ledger and the log for people."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def groups(self, topic: TopicRef, info: TopicInfo) -> tuple[GroupInfo, ...]:
        """All groups of *topic*, by name."""
        return tuple(self.group(each, info) for each in self._scopes(topic))

    def group(self, scope: Scope, info: TopicInfo) -> GroupInfo:
        """One group, which the ledger knows; *info* is its topic's."""
        coordination = self._context.coordination
        group = coordination.ledger.groups[scope]
        now_us = coordination.now_us()
        members = coordination.ledger.members(scope, now_us=coordination.ledger.now_us)
        owners = {
            partition_id: f"{member:016x}"
            for member in members
            for partition_id in own_partitions(member, members, scope, info.partitions_count)
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

    def standing(self, desk: Desk) -> tuple[int, int]:
        """Messages in flight, and lag as far as is known, of the partitions that this process looks after."""
        now_us = self._context.coordination.now_us()
        partitions = desk.partitions
        own = [(each, partitions[each]) for each in desk.own() if each in partitions]
        return (
            sum(partition.in_flight(now_us) for _, partition in own),
            sum(max(0, desk.end(each) - partition.low) for each, partition in own),
        )

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
        record = Seek(self._context.coordination.new_id(), scope, starts)
        await self._context.coordination.tell(record, deadline=deadline)

    def _scopes(self, topic: TopicRef) -> list[Scope]:
        return sorted(each for each in self._context.coordination.ledger.groups if each[:2] == topic)

    async def _start(
        self, topic: TopicRef, partition: PartitionInfo, to: SeekTo, deadline: Deadline
    ) -> Start:
        end = _end(partition)
        match to:
            case Last():
                return Start(partition.id, end)
            case FromOffset(offset):
                return Start(partition.id, max(0, min(offset, end)))
            case First() | FromTimestamp():
                page = await self._context.log.read(topic, partition.id, to, count=1, deadline=deadline)
                return Start(partition.id, page.messages[0].offset if page.messages else end)


def _progress(
    info: PartitionInfo, partition: Partition | None, owner: str | None, now_us: int
) -> GroupPartition:
    end = _end(info)
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
        partition.unsettled_count - in_flight,
        owner,
    )


def _end(partition: PartitionInfo) -> int:
    return partition.current_offset + 1 if partition.messages_count or partition.current_offset else 0
