"""One topic in memory, to the letter of the port where readers are concerned, with faults on demand."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from bridge.clock import Deadline
from bridge.errors import LogError, NotFound, PartitionNotFound
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    Message,
    MessageLog,
    Page,
    Position,
    Records,
    TopicRef,
)

__all__ = ("TOPIC", "MemoryLog", "MemoryPartition")

TOPIC = TopicRef("s", "t")


@dataclass
class MemoryPartition:
    """Purging makes offsets begin anew."""

    messages: list[Message] = field(default_factory=list)
    next_offset: int = 0


class MemoryLog:
    """
    Reads take a turn of the event loop each, or wait for `gate`.

    Attributes:
        fault: raised by every call, if set.
        gate: cleared, reads wait before they look.
        replies: cleared, reads wait with what they have found.
        reads: each read's partition, position and count.
        at_once_max: most reads of one partition that were on their way at once.
        reads_at_once_max: most reads of all of them.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = [MemoryPartition() for _ in range(partitions)]
        self.fault: LogError | NotFound | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.replies = asyncio.Event()
        self.replies.set()
        self.reads: list[tuple[int, Position, int]] = []
        self.at_once_max = 0
        self.reads_at_once_max = 0
        self._at_once: Counter[int] = Counter()
        self._time_us = 1_700_000_000_000_000
        self.serial = 0

    @property
    def port(self) -> MessageLog:
        return cast("MessageLog", self)

    def append(self, partition_id: int = 0, messages_count: int = 1) -> int:
        """The offset after them; payloads are numbers that are given once."""
        partition = self.partitions[partition_id]
        for _ in range(messages_count):
            self._time_us += 1
            payload = b"%d" % self.serial
            self.serial += 1
            partition.messages.append(Message(partition.next_offset, self._time_us, 1, payload, {}))
            partition.next_offset += 1
        return partition.next_offset

    def trim(self, partition_id: int, before: int) -> None:
        """Retention."""
        partition = self.partitions[partition_id]
        partition.messages = [each for each in partition.messages if each.offset >= before]

    def purge(self, partition_id: int = 0) -> None:
        self.partitions[partition_id] = MemoryPartition()

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        assert topic == TOPIC
        del deadline
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        return len(self.partitions)

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        assert topic == TOPIC
        del deadline
        self.reads.append((partition_id, position, count))
        self._at_once[partition_id] += 1
        self.at_once_max = max(self.at_once_max, self._at_once[partition_id])
        self.reads_at_once_max = max(self.reads_at_once_max, self._at_once.total())
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            page = self._page(partition_id, position, count)
            await self.replies.wait()
        finally:
            self._at_once[partition_id] -= 1
        return page

    def _page(self, partition_id: int, position: Position, count: int) -> Page:
        if self.fault is not None:
            raise self.fault
        if partition_id >= len(self.partitions):
            raise PartitionNotFound
        partition = self.partitions[partition_id]
        found = partition.messages
        match position:
            case FromOffset(offset):
                found = [each for each in found if each.offset >= offset][:count]
            case FromTimestamp(timestamp_us):
                found = [each for each in found if each.timestamp_us >= timestamp_us][:count]
            case First():
                found = found[:count]
            case Last():
                found = found[-count:]
            case _:
                raise NotImplementedError
        return Page(partition_id, partition.next_offset, Records.of(found))
