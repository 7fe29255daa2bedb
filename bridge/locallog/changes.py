"""Changes to streams and topics, and rows that nobody can reach any more (shell)."""

from typing import ClassVar, Final

from bridge import limits
from bridge.errors import AlreadyExists, BadRequest
from bridge.locallog.catalog import Catalog, KeyRange, StreamState, TopicState, free_base_key
from bridge.locallog.schema import chunk_key
from bridge.locallog.seals import seal
from bridge.locallog.transaction import Change, Transaction
from bridge.messagelog import Retention, StreamInfo, TopicRef
from bridge.messagelog.bounds import check_added_partitions

_FILL: Final = "insert or replace into probes values (1, zeroblob(?))"
_UNFILL: Final = "delete from probes"
_DELETE_PLACES: Final = tuple(
    f"delete from {table} where partition_key >= ? and partition_key < ?"  # noqa: S608 (names of ours)
    for table in ("trims", "ends")
)


class StreamChange(Change):
    _stream: StreamState

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name


class CreateStream(StreamChange):
    def apply(self, transaction: Transaction) -> StreamInfo:
        streams = transaction.catalog.streams
        if self._name in streams:
            raise AlreadyExists("The stream exists already.")
        if len(streams) >= limits.LOCAL_STREAMS_MAX:
            raise BadRequest("The embedded log holds no more streams.", limit=limits.LOCAL_STREAMS_MAX)
        connection = transaction.connection
        connection.execute(
            "insert into streams (name, created_at_us) values (?, ?)", (self._name, transaction.now_us)
        )
        stream_id = connection.last_insert_rowid()
        seal(connection, "streams", stream_id)
        self._stream = StreamState(id=stream_id, name=self._name, created_at_us=transaction.now_us)
        return self._stream.info()

    def publish(self, catalog: Catalog) -> None:
        catalog.streams = {**catalog.streams, self._name: self._stream}


class DeleteStream(StreamChange):
    frees: ClassVar[bool] = True

    def apply(self, transaction: Transaction) -> None:
        self._stream = transaction.catalog.stream(self._name)
        connection = transaction.connection
        for topic in self._stream.topics.values():
            _leave_to_purge(transaction, topic)
        connection.execute("delete from topics where stream_id = ?", (self._stream.id,))
        connection.execute("delete from streams where id = ?", (self._stream.id,))

    def publish(self, catalog: Catalog) -> None:
        catalog.streams = {name: stream for name, stream in catalog.streams.items() if name != self._name}
        for topic in self._stream.topics.values():
            topic.deleted = True
            catalog.purges = (*catalog.purges, *topic.ranges)


class TopicChange(Change):
    """A change to one topic, which is *topic* once the change was applied."""

    topic: TopicState

    def __init__(self, ref: TopicRef) -> None:
        super().__init__()
        self._ref = ref


class CreateTopic(TopicChange):
    def __init__(self, ref: TopicRef, *, partitions_count: int, retention: Retention) -> None:
        super().__init__(ref)
        self._partitions_count = partitions_count
        self._retention = retention

    def apply(self, transaction: Transaction) -> None:
        catalog = transaction.catalog
        stream = catalog.stream(self._ref.stream)
        if self._ref.topic in stream.topics:
            raise AlreadyExists("The topic exists already.")
        if len(stream.topics) >= limits.TOPICS_PER_STREAM_MAX:
            raise BadRequest("The stream holds no more topics.", limit=limits.TOPICS_PER_STREAM_MAX)
        base_key = free_base_key(catalog, self._partitions_count)
        connection = transaction.connection
        connection.execute(
            "insert into topics (stream_id, name, created_at_us, base_key, partitions_count, retention_age_s,"
            " retention_size_bytes) values (?, ?, ?, ?, ?, ?, ?)",
            (
                stream.id,
                self._ref.topic,
                transaction.now_us,
                base_key,
                self._partitions_count,
                self._retention.age_s,
                self._retention.size_bytes,
            ),
        )
        topic_id = connection.last_insert_rowid()
        seal(connection, "topics", topic_id)
        self.topic = TopicState(
            topic_id=topic_id,
            stream_id=stream.id,
            name=self._ref.topic,
            created_at_us=transaction.now_us,
            ranges=(KeyRange(base_key, self._partitions_count),),
            retention=self._retention,
        )

    def publish(self, catalog: Catalog) -> None:
        stream = catalog.streams[self._ref.stream]
        stream.topics = {**stream.topics, self._ref.topic: self.topic}


class DeleteTopic(TopicChange):
    """At once gone for everybody; its rows are left to `Purge`, so that a huge topic holds nobody up."""

    frees: ClassVar[bool] = True

    def apply(self, transaction: Transaction) -> None:
        self.topic = transaction.catalog.topic(self._ref)
        _leave_to_purge(transaction, self.topic)
        transaction.connection.execute("delete from topics where id = ?", (self.topic.id,))

    def publish(self, catalog: Catalog) -> None:
        stream = catalog.streams[self._ref.stream]
        stream.topics = {name: topic for name, topic in stream.topics.items() if name != self._ref.topic}
        self.topic.deleted = True
        catalog.purges = (*catalog.purges, *self.topic.ranges)


class PurgeTopic(TopicChange):
    """Fresh keys for all partitions: at once empty for everybody, whatever was in there.

    What waits behind this in the queue for a partition goes to its successor.
    """

    frees: ClassVar[bool] = True
    _keys: KeyRange
    _left: tuple[KeyRange, ...]

    def apply(self, transaction: Transaction) -> None:
        topic = self.topic = transaction.catalog.topic(self._ref)
        self._left = topic.ranges
        count = len(topic.partitions)
        self._keys = KeyRange(free_base_key(transaction.catalog, count), count)
        _leave_to_purge(transaction, topic)
        transaction.connection.execute(
            "update topics set base_key = ?, partitions_count = ? where id = ?", (*self._keys, topic.id)
        )
        seal(transaction.connection, "topics", topic.id)

    def publish(self, catalog: Catalog) -> None:
        self.topic.empty((self._keys,))
        catalog.purges = (*catalog.purges, *self._left)


class UpdateRetention(TopicChange):
    """Kept for longer or shorter; it frees space, if not by itself."""

    frees: ClassVar[bool] = True

    def __init__(self, ref: TopicRef, retention: Retention) -> None:
        super().__init__(ref)
        self._retention = retention

    def apply(self, transaction: Transaction) -> None:
        self.topic = transaction.catalog.topic(self._ref)
        transaction.connection.execute(
            "update topics set retention_age_s = ?, retention_size_bytes = ? where id = ?",
            (self._retention.age_s, self._retention.size_bytes, self.topic.id),
        )
        seal(transaction.connection, "topics", self.topic.id)

    def publish(self, catalog: Catalog) -> None:  # noqa: ARG002 (the topic is known by itself)
        self.topic.retention = self._retention


class AddPartitions(TopicChange):
    """More partitions, under a range of keys of their own."""

    _keys: KeyRange

    def __init__(self, ref: TopicRef, count: int) -> None:
        super().__init__(ref)
        self._count = count

    def apply(self, transaction: Transaction) -> None:
        topic = self.topic = transaction.catalog.topic(self._ref)
        present = len(topic.partitions)
        check_added_partitions(present, self._count)
        self._keys = KeyRange(free_base_key(transaction.catalog, self._count), self._count)
        transaction.connection.execute(
            "insert into extensions values (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4))",
            (self._keys.base_key, topic.id, present, self._count),
        )

    def publish(self, catalog: Catalog) -> None:  # noqa: ARG002 (the topic is known by itself)
        self.topic.extend(self._keys)


class Purge(Change):
    """Some rows of the first range of partition keys that is to be purged; the keys are free once all are gone."""

    frees: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._finished = False

    def apply(self, transaction: Transaction) -> None:
        self._finished = False
        base_key, count = transaction.catalog.purges[0]
        connection = transaction.connection
        start, end = chunk_key(base_key, 0), chunk_key(base_key + count, 0)
        last_key = None
        purged_bytes = 0
        for key, body_bytes in connection.execute(
            "select key, length(body) from chunks where key >= ? and key < ? order by key limit ?",
            (start, end, limits.RETENTION_ROWS_PER_COMMIT),
        ):
            last_key = key
            purged_bytes += body_bytes
            if purged_bytes >= limits.LOCAL_COMMIT_BYTES_MAX:
                break
        if last_key is not None:
            connection.execute("delete from chunks where key >= ? and key <= ?", (start, last_key))
            return
        connection.execute(
            "delete from stored_offsets where (partition_key, consumer) in (select partition_key, consumer"
            " from stored_offsets where partition_key >= ? and partition_key < ? limit ?)",
            (base_key, base_key + count, limits.RETENTION_ROWS_PER_COMMIT),
        )
        if connection.changes():
            return
        for statement in _DELETE_PLACES:
            connection.execute(statement, (base_key, base_key + count))
        connection.execute("delete from purges where base_key = ?", (base_key,))
        self._finished = True

    def publish(self, catalog: Catalog) -> None:
        if self._finished:
            catalog.purges = catalog.purges[1:]


class Probe(Change):
    """A write like any other, to find out whether the log takes one."""

    def apply(self, transaction: Transaction) -> None:
        transaction.connection.execute(_FILL, (limits.LOCAL_PROBE_BYTES,))
        transaction.connection.execute(_UNFILL)


class Fill(Change):
    """So many bytes, there for good once committed: the proof that a log which was full has room again.

    `Probe` takes its pages back within the commit, and SQLite need not write them; these it must.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.taken = True
        self._size_bytes = size_bytes

    def apply(self, transaction: Transaction) -> None:
        transaction.connection.execute(_FILL, (self._size_bytes,))


class Unfill(Change):
    """Takes back what `Fill` wrote."""

    frees: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.taken = True

    def apply(self, transaction: Transaction) -> None:
        transaction.connection.execute(_UNFILL)


def _leave_to_purge(transaction: Transaction, topic: TopicState) -> None:
    """Write down that the keys of *topic* are no longer its own, and what lies under them is nobody's."""
    transaction.connection.executemany(
        "insert into purges values (?1, ?2, row_checksum(?1, ?2))", topic.ranges
    )
    transaction.connection.execute("delete from extensions where topic_id = ?", (topic.id,))
