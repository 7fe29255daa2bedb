"""One transaction of the writer, and what can be asked of it (shell)."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import apsw

from bridge.clock import Deadline
from bridge.errors import BadRequest, Outcome, SendError, TopicNotFound
from bridge.locallog.catalog import Catalog, PartitionState, Watermarks
from bridge.locallog.chunks import Chunk, encode, split
from bridge.locallog.schema import PARTITION_OFFSETS_MAX, chunk_key
from bridge.locallog.seals import checksum_of
from bridge.messagelog import ConsumerKey, Durability, NewRecords, Receipt, Records

# By a name of its own: to find a member of an enumeration takes 800 instructions.
_PERSISTED: Final = Durability.PERSISTED


class Transaction:
    """What one commit will bring. Nothing of it is visible before `publish`, which the writer calls after the commit.

    Attributes:
        now_us: the one reading of the clock for all of it.
    """

    def __init__(self, connection: apsw.Connection, catalog: Catalog, now_us: int) -> None:
        self.connection = connection
        self.catalog = catalog
        self.now_us = now_us
        self._tails: dict[PartitionState, _Tail] = {}
        self._offsets: dict[tuple[int, ConsumerKey], int | None] = {}

    def append(self, partition: PartitionState, records: NewRecords, size_bytes: int) -> tuple[Receipt, int]:
        """Put messages, whose size `check_append` told, at the end of a partition: their receipt, and the time they get, in
        microseconds.

        Raises:
            TopicNotFound: if the topic was deleted meanwhile.
            SendError: if the partition has given out all its offsets.
        """
        if partition.topic.deleted:
            raise TopicNotFound
        partition = partition.successor
        tail = self._tails.get(partition)
        if tail is None:
            tail = self._tails[partition] = _Tail(partition.marks, self.now_us)
        offset = tail.next_offset
        count = len(records)
        if offset + count > PARTITION_OFFSETS_MAX:
            raise SendError("The partition has given out all its offsets.", outcome=Outcome.NOT_WRITTEN)
        tail.runs.append(records)
        tail.size_bytes += size_bytes
        tail.next_offset = offset + count
        return Receipt(partition.id, offset, count, _PERSISTED), tail.timestamp_us

    def store_offset(self, partition: PartitionState, consumer: ConsumerKey, offset: int | None) -> None:
        """Keep a consumer's offset, or forget it (None)."""
        if partition.topic.deleted:
            raise TopicNotFound
        partition = partition.successor
        if offset is not None:
            tail = self._tails.get(partition)
            if not 0 <= offset < (partition.marks.next_offset if tail is None else tail.next_offset):
                raise BadRequest("The offset is beyond the newest message.")
        self._offsets[partition.key, consumer] = offset

    def flush(self) -> None:
        """Write what was gathered; still inside the transaction."""
        if self._tails:
            # Each is bound before the next is made, so that one body does for all.
            self.connection.executemany("insert into chunks values (?, ?, ?, ?, ?, ?)", self._chunks())
            self.connection.executemany("insert or replace into ends values (?, ?, ?, ?, ?)", self._ends())
        for (partition_key, consumer), offset in self._offsets.items():
            if offset is None:
                self.connection.execute(
                    "delete from stored_offsets where partition_key = ? and consumer = ?",
                    (partition_key, consumer),
                )
            else:
                self.connection.execute(
                    "insert or replace into stored_offsets values (?1, ?2, ?3, row_checksum(?1, ?2, ?3))",
                    (partition_key, consumer, offset),
                )

    def _chunks(self) -> Iterator[Chunk]:
        body = bytearray()
        for partition, tail in self._tails.items():
            yield from tail.chunks(partition.key, into=body)

    def _ends(self) -> Iterator[tuple[int, ...]]:
        """Known when all chunks were made."""
        for partition, tail in self._tails.items():
            end = (partition.key, tail.next_offset, tail.bytes_end, tail.timestamp_us)
            yield (*end, checksum_of(*end))

    def publish(self) -> None:
        """Show the partitions' new ends; after the commit only."""
        for partition, tail in self._tails.items():
            marks = partition.marks
            partition.publish(
                Watermarks(
                    marks.first_offset, tail.next_offset, marks.bytes_start, tail.bytes_end, tail.timestamp_us
                )
            )


class _Tail:
    """The end of a partition within a transaction."""

    __slots__ = ("bytes_end", "next_offset", "runs", "size_bytes", "timestamp_us")

    def __init__(self, marks: Watermarks, now_us: int) -> None:
        self.runs: list[NewRecords] = []
        self.size_bytes = 0
        self.next_offset = marks.next_offset
        self.bytes_end = marks.bytes_end
        # The machine's clock may be set back; times within a partition may not, a search by time needs their order.
        self.timestamp_us = max(now_us, marks.timestamp_us)

    def chunks(self, partition_key: int, *, into: bytearray) -> Iterator[Chunk]:
        """One after the other *into* the same body."""
        records = NewRecords.joined(self.runs)
        offset = self.next_offset - len(records)
        for run in split(records, size_bytes=self.size_bytes):
            chunk = encode(
                chunk_key(partition_key, offset),
                run,
                timestamp_us=self.timestamp_us,
                bytes_start=self.bytes_end,
                into=into,
            )
            self.bytes_end = chunk.bytes_end
            yield chunk
            offset += len(run)


class Change:
    """Something the writer does in a transaction.

    Attributes:
        alone: in a transaction of its own, because what it changes is looked up rather than gathered.
        grows: it can only need more space; a log that is full refuses it untried.
        frees: there is space after it, sooner or later; a log that is full gives its reserve for it.
        size_bytes: what it holds in memory while it waits.
        future: what it gave, or why it was not done; there is none for what the writer does by itself.
        deadline: by when its caller must have an answer; None as well for what the writer does by itself.
        taken: the writer has it; from then on nobody can say that it was not done.
        withdrawn: nobody waits any more; the writer drops it.
    """

    __slots__ = ("deadline", "future", "messages_count", "size_bytes", "taken", "withdrawn")
    alone: ClassVar[bool] = True
    grows: ClassVar[bool] = False
    frees: ClassVar[bool] = False
    future: asyncio.Future[Any]

    def __init__(self, *, messages_count: int = 1, size_bytes: int = 0) -> None:
        self.deadline: Deadline | None = None
        self.messages_count = messages_count
        self.size_bytes = size_bytes
        self.taken = False
        self.withdrawn = False

    def apply(self, transaction: Transaction) -> Any:
        """Do it within the transaction; the value becomes the future's result. It may be asked for again, in another
        transaction, when the first was taken back.

        Raises:
            BridgeError: before anything was changed; only this one fails then.
        """
        raise NotImplementedError

    def publish(self, catalog: Catalog) -> None:
        """Show it to readers; called after the commit."""


class Append(Change):
    """Messages to the end of a partition; the result is their `Receipt`.

    Attributes:
        partition: as it was when they were written.
    """

    __slots__ = ("_offset", "_records", "_timestamp_us", "partition")
    alone: ClassVar[bool] = False
    grows: ClassVar[bool] = True

    def __init__(self, partition: PartitionState, records: NewRecords, size_bytes: int) -> None:
        super().__init__(messages_count=len(records), size_bytes=size_bytes)
        self.partition = partition
        self._records = records
        self._offset = self._timestamp_us = 0

    def apply(self, transaction: Transaction) -> Receipt:
        receipt, self._timestamp_us = transaction.append(self.partition, self._records, self.size_bytes)
        self.partition = self.partition.successor
        self._offset = receipt.offset or 0
        return receipt

    def stored(self) -> Records:
        """The messages as they are read from the log, once they are committed."""
        new = self._records
        count = len(new)
        return Records(
            range(self._offset, self._offset + count),
            (self._timestamp_us,) * count,
            new.ids,
            new.payloads,
            new.headers,
            events=new.events,
        )


class StoreOffset(Change):
    """A consumer's offset, or None to forget it."""

    __slots__ = ("_consumer", "_offset", "_partition")
    alone: ClassVar[bool] = False

    def __init__(self, partition: PartitionState, consumer: ConsumerKey, offset: int | None) -> None:
        super().__init__()
        self._partition = partition
        self._consumer = consumer
        self._offset = offset

    def apply(self, transaction: Transaction) -> None:
        transaction.store_offset(self._partition, self._consumer, self._offset)
