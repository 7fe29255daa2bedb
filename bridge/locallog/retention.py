"""What a topic need not keep any longer (shell)."""

import heapq
from typing import ClassVar

import structlog

from bridge import limits
from bridge.locallog.catalog import Catalog, PartitionState, TopicState, Watermarks
from bridge.locallog.chunks import Chunk, DamagedChunk, check
from bridge.locallog.schema import chunk_key, offset_of
from bridge.locallog.transaction import Change, Transaction

_LOG = structlog.get_logger("bridge.locallog")


class Trim(Change):
    """Removes the oldest chunks of a topic, as many as one short commit may; the result says whether there is more.

    A chunk goes when all of it is older than the age kept, or when the topic without it still holds the size kept. One that
    is spoilt stays, and so does all of the topic that came after it.
    """

    frees: ClassVar[bool] = True

    def __init__(self, topic: TopicState) -> None:
        super().__init__()
        self._topic = topic
        self._marks: dict[PartitionState, Watermarks] = {}

    def apply(self, transaction: Transaction) -> bool:
        self._marks = {}
        if self._topic.deleted:
            return False
        retention = self._topic.retention
        cutoff_us = -1 if retention.age_s is None else transaction.now_us - retention.age_s * 1_000_000
        excess_bytes = -1 if retention.size_bytes is None else self._topic.sums[1] - retention.size_bytes
        oldest = [
            (*chunk, partition.id)
            for partition in self._topic.partitions
            if (chunk := _oldest_chunk(transaction, partition, partition.marks)) is not None
        ]
        heapq.heapify(oldest)
        removed_rows = removed_bytes = 0
        more = False
        while oldest:
            timestamp_us, first_offset, bytes_end, partition_id = oldest[0]
            partition = self._topic.partitions[partition_id]
            marks = self._marks.get(partition, partition.marks)
            chunk_bytes = bytes_end - marks.bytes_start
            if timestamp_us >= cutoff_us and chunk_bytes > excess_bytes - removed_bytes:
                break
            if (
                removed_rows >= limits.RETENTION_ROWS_PER_COMMIT
                or removed_bytes >= limits.LOCAL_COMMIT_BYTES_MAX
            ):
                more = True
                break
            if not _is_whole(transaction, partition, marks):
                _LOG.error("retention_held_back_by_damage", topic=self._topic.name, partition_id=partition_id)
                break
            removed_rows += 1
            removed_bytes += chunk_bytes
            marks = self._marks[partition] = marks._replace(first_offset=first_offset, bytes_start=bytes_end)
            chunk = _oldest_chunk(transaction, partition, marks)
            if chunk is None:
                heapq.heappop(oldest)
            else:
                heapq.heapreplace(oldest, (*chunk, partition_id))
        self._remove(transaction)
        return more

    def _remove(self, transaction: Transaction) -> None:
        for partition, marks in self._marks.items():
            transaction.connection.execute(
                "delete from chunks where key >= ? and key < ?",
                (chunk_key(partition.key, 0), chunk_key(partition.key, marks.first_offset)),
            )
            transaction.connection.execute(
                "insert or replace into trims values (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4))",
                (partition.key, marks.first_offset, marks.bytes_start, marks.timestamp_us),
            )

    def publish(self, catalog: Catalog) -> None:  # noqa: ARG002 (partitions are known by themselves)
        for partition, marks in self._marks.items():
            partition.publish(marks)


def _oldest_chunk(
    transaction: Transaction, partition: PartitionState, marks: Watermarks
) -> tuple[int, int, int] | None:
    """Time of the partition's oldest chunk, the offset after it, and the running total of bytes after it; the oldest of all
    where it should be there and is not.
    """
    if marks.first_offset == marks.next_offset:
        return None
    chunk = transaction.connection.execute(
        "select key, messages_count, timestamp_us, bytes_end from chunks where key = ?",
        (chunk_key(partition.key, marks.first_offset),),
    ).fetchone()
    if chunk is None:
        return -1, marks.first_offset, marks.bytes_start
    key, count, timestamp_us, bytes_end = chunk
    return timestamp_us, offset_of(key) + count, bytes_end


def _is_whole(transaction: Transaction, partition: PartitionState, marks: Watermarks) -> bool:
    """Whether the partition's oldest chunk is what was written: else it may lie about its age, size and end."""
    chunk = transaction.connection.execute(
        "select key, messages_count, timestamp_us, bytes_end, checksum, body from chunks where key = ?",
        (chunk_key(partition.key, marks.first_offset),),
    ).fetchone()
    if chunk is None:
        return False
    try:
        check(Chunk(*chunk))
    except DamagedChunk:
        return False
    return True
