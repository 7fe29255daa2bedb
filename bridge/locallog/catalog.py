"""What the embedded log holds, in memory (pure): streams, topics, partitions and their figures.

Written by the writer thread alone, after a commit; read by the event loop at any time. So nothing is changed in place
that a reader could see half done: a mapping or a tuple is replaced as a whole.
"""

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.errors import BadRequest, PartitionNotFound, StreamNotFound, TopicNotFound
from bridge.limits import LOCAL_PARTITIONS_MAX
from bridge.messagelog import (
    Balanced,
    Durability,
    First,
    FromOffset,
    Last,
    LogTotals,
    PartitionInfo,
    Placement,
    Retention,
    StreamInfo,
    ToPartition,
    TopicInfo,
    TopicRef,
    check_placement,
    partition_of_key,
)


class Watermarks(NamedTuple):
    """Where a partition begins and ends.

    Attributes:
        first_offset: oldest message kept; equal to *next_offset* when there is none.
        next_offset: what the next message gets.
        bytes_start: running total of bytes before *first_offset*.
        bytes_end: running total of bytes before *next_offset*.
        timestamp_us: newest time given out; the next is never before it.
    """

    first_offset: int
    next_offset: int
    bytes_start: int
    bytes_end: int
    timestamp_us: int

    def start_of(self, position: FromOffset | First | Last, count: int) -> int:
        """Where a page of *count* messages begins; at `next_offset` or after it there is nothing to read."""
        match position:
            case FromOffset(offset):
                start = offset
            case First():
                start = self.first_offset
            case _:
                start = self.next_offset - count
        return max(start, self.first_offset)


EMPTY = Watermarks(0, 0, 0, 0, 0)


class KeyRange(NamedTuple):
    """Keys side by side: the partitions of a topic that were made together."""

    base_key: int
    partitions_count: int


class PartitionState:
    """One partition between two purges: *id* within its topic, *key* within the database."""

    __slots__ = ("id", "key", "marks", "topic")

    def __init__(self, topic: "TopicState", partition_id: int, key: int) -> None:
        self.topic = topic
        self.id = partition_id
        self.key = key
        self.marks = EMPTY

    @property
    def successor(self) -> "PartitionState":
        """What the partition is now: itself until it is purged."""
        return self.topic.partitions[self.id]

    def publish(self, marks: Watermarks) -> None:
        """Show new marks, in the partition and in the sums of its topic."""
        old = self.marks
        self.marks = marks
        messages, size_bytes = self.topic.sums
        self.topic.sums = (
            messages + (marks.next_offset - marks.first_offset) - (old.next_offset - old.first_offset),
            size_bytes + (marks.bytes_end - marks.bytes_start) - (old.bytes_end - old.bytes_start),
        )

    def info(self) -> PartitionInfo:
        marks = self.marks
        return PartitionInfo(
            id=self.id,
            end_offset=marks.next_offset,
            size_bytes=marks.bytes_end - marks.bytes_start,
            messages_count=marks.next_offset - marks.first_offset,
        )


class TopicState:
    """One topic; *sums* are its messages and their bytes, *deleted* turns true for good."""

    __slots__ = (
        "_turns", "created_at_us", "deleted", "id", "name", "partitions", "ranges", "retention", "stream_id", "sums",
    )  # fmt: skip

    def __init__(
        self,
        *,
        topic_id: int,
        stream_id: int,
        name: str,
        created_at_us: int,
        ranges: tuple[KeyRange, ...],
        retention: Retention,
    ) -> None:
        self.id = topic_id
        self.stream_id = stream_id
        self.name = name
        self.created_at_us = created_at_us
        self.retention = retention
        self.deleted = False
        self.empty(ranges)

    def empty(self, ranges: tuple[KeyRange, ...]) -> None:
        """Show partitions with nothing in them, under the keys of *ranges*."""
        keys = [base_key + index for base_key, count in ranges for index in range(count)]
        self._show(tuple(PartitionState(self, number, key) for number, key in enumerate(keys)), ranges)
        self.sums = (0, 0)

    def extend(self, added: KeyRange) -> None:
        """Show more partitions, empty ones."""
        first = len(self.partitions)
        more = (
            PartitionState(self, first + index, added.base_key + index)
            for index in range(added.partitions_count)
        )
        self._show((*self.partitions, *more), (*self.ranges, added))

    def _show(self, partitions: tuple[PartitionState, ...], ranges: tuple[KeyRange, ...]) -> None:
        self.partitions = partitions
        self.ranges = ranges
        self._turns = itertools.cycle(partitions)

    def partition(self, partition_id: int) -> PartitionState:
        if not 0 <= partition_id < len(self.partitions):
            raise PartitionNotFound
        return self.partitions[partition_id]

    def partition_for(self, placement: Placement) -> PartitionState:
        """The partition an append goes to; each call for `Balanced` gives the next one."""
        if isinstance(placement, ToPartition):
            return self.partition(placement.partition_id)
        if isinstance(placement, Balanced):
            return next(self._turns)
        check_placement(placement)
        return self.partitions[partition_of_key(placement.key, len(self.partitions))]

    def info(self, *, with_partitions: bool) -> TopicInfo:
        messages_count, size_bytes = self.sums
        return TopicInfo(
            id=self.id,
            stream_id=self.stream_id,
            name=self.name,
            created_at_us=self.created_at_us,
            partitions_count=len(self.partitions),
            size_bytes=size_bytes,
            messages_count=messages_count,
            durability=Durability.PERSISTED,
            retention=self.retention,
            partitions=tuple(partition.info() for partition in self.partitions) if with_partitions else (),
        )


@dataclass(slots=True, kw_only=True)
class StreamState:
    id: int
    name: str
    created_at_us: int
    topics: dict[str, TopicState] = field(default_factory=dict)

    def info(self) -> StreamInfo:
        topics = self.topics
        return StreamInfo(
            id=self.id,
            name=self.name,
            created_at_us=self.created_at_us,
            topics_count=len(topics),
            size_bytes=sum(topic.sums[1] for topic in topics.values()),
            messages_count=sum(topic.sums[0] for topic in topics.values()),
        )


@dataclass(slots=True)
class Catalog:
    """All streams by name, and the ranges of partition keys whose rows are still to be purged."""

    streams: dict[str, StreamState] = field(default_factory=dict)
    purges: tuple[KeyRange, ...] = ()

    def stream(self, name: str) -> StreamState:
        stream = self.streams.get(name)
        if stream is None:
            raise StreamNotFound
        return stream

    def topic(self, ref: TopicRef) -> TopicState:
        stream = self.streams.get(ref.stream)
        if stream is None:
            raise StreamNotFound
        topic = stream.topics.get(ref.topic)
        if topic is None:
            raise TopicNotFound
        return topic

    def topics(self) -> tuple[TopicState, ...]:
        return tuple(topic for stream in self.streams.values() for topic in stream.topics.values())

    def totals(self) -> LogTotals:
        topics = self.topics()
        return LogTotals(
            streams_count=len(self.streams),
            topics_count=len(topics),
            messages_count=sum(topic.sums[0] for topic in topics),
            size_bytes=sum(topic.sums[1] for topic in topics),
        )


def free_base_key(catalog: Catalog, partitions_count: int) -> int:
    """The lowest partition key from which *partitions_count* are free; keys are given out again once they are purged.

    Raises:
        BadRequest: if the log holds no more partitions.
    """
    used = [keys for topic in catalog.topics() for keys in topic.ranges]
    free = 0
    for base_key, count in sorted([*used, *catalog.purges]):
        if base_key - free >= partitions_count:
            break
        free = base_key + count
    if free + partitions_count > LOCAL_PARTITIONS_MAX:
        raise BadRequest("The embedded log holds no more partitions.", limit=LOCAL_PARTITIONS_MAX)
    return free
