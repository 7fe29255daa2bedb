"""How far groups came, and which offsets a seek means (shell): reads the ledger and the log for people."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bridge.clock import Deadline
from bridge.errors import NotFound, PartitionNotFound
from bridge.flow.timers import some_at_once
from bridge.groups.assignment import assigned_partitions
from bridge.groups.dead_letters import dead_letter_topic
from bridge.groups.oldest_messages import GroupPartitionId, OldestMessages
from bridge.groups.partition import Partition
from bridge.groups.records import GroupRef, PartitionStart
from bridge.groups.served_groups import GroupsContext
from bridge.groups.values import GroupInfo, GroupPartition, SeekTo
from bridge.limits import GROUP_AGES_MAX, GROUP_READS_AT_ONCE
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    MessageLog,
    PartitionInfo,
    TopicInfo,
    TopicRef,
)
from bridge.telemetry.group_metrics import GroupStats


def group_info(context: GroupsContext, ref: GroupRef, info: TopicInfo) -> GroupInfo:
    """One group, which the ledger knows; *info* is its topic's."""
    ledger, now_us = context.replica.ledger, context.replica.now_us()
    group = ledger.groups[ref]
    members = ledger.members(ref, now_us=ledger.now_us)
    owners = {
        partition_id: f"{member:016x}"
        for member in members
        for partition_id in assigned_partitions(member, members, ref, info.partitions_count)
    }
    return GroupInfo(
        ref.group,
        tuple(f"{member:016x}" for member in members),
        tuple(
            _progress(each, group.partitions.get(each.id), owners.get(each.id), now_us)
            for each in info.partitions
        ),
        group.used_us,
        dead_letter_topic(ref).topic,
    )


async def group_stats(
    context: GroupsContext, oldest: OldestMessages, *, deadline: Deadline
) -> dict[GroupRef, GroupStats | None]:
    """Every group of the ledger and how it stands; None where its topic is not there any more.

    Args:
        oldest: what earlier calls found.

    Raises:
        LogError: if the log could not be asked.
    """
    refs = tuple(context.replica.ledger.groups)
    letters = {
        stream: await _messages_by_topic(context.log, stream, deadline)
        for stream in sorted({ref.stream for ref in refs})
    }
    infos = await _infos(context.log, sorted({TopicRef(*ref[:2]) for ref in refs}), deadline)
    stats: dict[GroupRef, GroupStats | None] = {}
    behind: dict[GroupRef, tuple[int, ...]] = {}
    offsets: dict[GroupPartitionId, int] = {}
    for ref in refs:
        partitions = _partitions(context, ref, infos.get(TopicRef(*ref[:2])))
        if partitions is None:
            stats[ref] = None
            continue
        dead_letters = letters[ref.stream].get(dead_letter_topic(ref).topic, 0)
        stats[ref] = _stats(context, ref, partitions, dead_letters)
        behind[ref] = tuple(each.partition_id for each in partitions if each.lag)
        if len(offsets) < GROUP_AGES_MAX:
            offsets |= {(ref, each.partition_id): _first_unsettled(each) for each in partitions if each.lag}
        # To count what is out of a large group takes a millisecond.
        await asyncio.sleep(0)
    await oldest.look(offsets, deadline=deadline)
    now_us = context.clock.now_us()
    return {
        ref: each and each._replace(oldest_age_s=_age_s(oldest, ref, behind[ref], now_us))
        for ref, each in stats.items()
    }


def _age_s(
    oldest: OldestMessages, ref: GroupRef, partition_ids: tuple[int, ...], now_us: int
) -> float | None:
    if not partition_ids:
        return 0.0
    stored_us = oldest.stored_us(ref, partition_ids)
    # The clock of the log may be ahead of ours.
    return None if stored_us is None else max(0.0, (now_us - stored_us) / 1_000_000)


def _partitions(context: GroupsContext, ref: GroupRef, info: TopicInfo | None) -> list[GroupPartition] | None:
    group, now_us = context.replica.ledger.groups.get(ref), context.replica.now_us()
    if group is None or info is None:
        return None
    return [_progress(each, group.partitions.get(each.id), None, now_us) for each in info.partitions]


def _first_unsettled(partition: GroupPartition) -> int:
    return 0 if partition.committed_offset is None else partition.committed_offset + 1


def _stats(
    context: GroupsContext, ref: GroupRef, partitions: Sequence[GroupPartition], dead_letters: int
) -> GroupStats:
    group, now_us = context.replica.ledger.groups[ref], context.replica.now_us()
    return GroupStats(
        sum(each.lag for each in partitions),
        sum(each.in_flight for each in partitions),
        sum(each.waiting for each in partitions),
        sum(each.delayed(now_us) for each in group.partitions.values()),
        dead_letters,
    )


def _progress(
    info: PartitionInfo, partition: Partition | None, owner: str | None, now_us: int
) -> GroupPartition:
    end = info.end_offset
    if partition is None:
        return GroupPartition(info.id, None, end, end, 0, 0, owner)
    in_flight, low = partition.in_flight(now_us), partition.low
    waiting = partition.unacked_count - in_flight
    return GroupPartition(
        info.id, low - 1 if low else None, max(end, low), max(0, end - low), in_flight, waiting, owner
    )


async def _messages_by_topic(log: MessageLog, stream: str, deadline: Deadline) -> dict[str, int]:
    try:
        topics = await log.topics(stream, deadline=deadline)
    except NotFound:
        return {}
    return {each.name: each.messages_count for each in topics}


async def _infos(
    log: MessageLog, topics: Sequence[TopicRef], deadline: Deadline
) -> dict[TopicRef, TopicInfo]:
    """Those of *topics* that are there."""
    found: dict[TopicRef, TopicInfo] = {}

    async def look(topic: TopicRef) -> None:
        with suppress(NotFound):
            found[topic] = await log.topic(topic, deadline=deadline)

    await some_at_once(look, topics, GROUP_READS_AT_ONCE)
    return found


async def seek_starts(
    log: MessageLog, topic: TopicRef, to: SeekTo | Mapping[int, SeekTo], *, deadline: Deadline
) -> tuple[PartitionStart, ...]:
    """The offsets that *to* means, by partition.

    Raises:
        PartitionNotFound: if there is no such partition.
    """
    known = {each.id: each for each in (await log.topic(topic, deadline=deadline)).partitions}
    targets = dict(to) if isinstance(to, Mapping) else dict.fromkeys(known, to)
    if not known.keys() >= targets.keys():
        raise PartitionNotFound

    async def start(partition_id: int) -> PartitionStart:
        partition, to = known[partition_id], targets[partition_id]
        match to:
            case Last():
                return PartitionStart(partition.id, partition.end_offset)
            case FromOffset(offset):
                return PartitionStart(partition.id, max(0, min(offset, partition.end_offset)))
            case First() | FromTimestamp():
                page = await log.read(topic, partition.id, to, count=1, deadline=deadline)
                return PartitionStart(
                    partition.id, page.messages[0].offset if page.messages else page.end_offset
                )

    return tuple(await some_at_once(start, sorted(targets), GROUP_READS_AT_ONCE))
