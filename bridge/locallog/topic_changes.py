"""Changes to a topic that stays: emptied, kept for longer or shorter, with more partitions (shell)."""

from typing import ClassVar

from bridge.locallog.catalog import Catalog, KeyRange, TopicState, free_base_key
from bridge.locallog.changes import leave_to_purge
from bridge.locallog.transaction import Change, Transaction
from bridge.messagelog import Retention, TopicRef
from bridge.messagelog.bounds import check_added_partitions

__all__ = ("AddPartitions", "PurgeTopic", "TopicChange", "UpdateRetention")


class TopicChange(Change):
    """
    A change to one topic.

    Attributes:
        topic: which one it was; there once the change was applied.
    """

    __slots__ = ("_ref", "topic")
    alone: ClassVar[bool] = True
    topic: TopicState

    def __init__(self, ref: TopicRef) -> None:
        super().__init__()
        self._ref = ref


class PurgeTopic(TopicChange):
    """
    Fresh keys for all partitions: at once empty for everybody, whatever was in there.

    What waits behind this in the queue for a partition goes to its successor.
    """

    __slots__ = ("_keys", "_left")
    frees: ClassVar[bool] = True
    _keys: KeyRange
    _left: tuple[KeyRange, ...]

    def apply(self, transaction: Transaction) -> None:
        topic = self.topic = transaction.catalog.topic(self._ref)
        self._left = topic.ranges
        count = len(topic.partitions)
        self._keys = KeyRange(free_base_key(transaction.catalog, count), count)
        leave_to_purge(transaction, topic)
        transaction.connection.execute(
            "update topics set base_key = ?, partitions_count = ? where id = ?", (*self._keys, topic.id)
        )

    def publish(self, catalog: Catalog) -> None:
        self.topic.empty((self._keys,))
        catalog.purges = (*catalog.purges, *self._left)


class UpdateRetention(TopicChange):
    """Kept for longer or shorter; it frees space, if not by itself."""

    __slots__ = ("_retention",)
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

    def publish(self, catalog: Catalog) -> None:  # noqa: ARG002 (the topic is known by itself)
        self.topic.retention = self._retention


class AddPartitions(TopicChange):
    """More partitions, under a range of keys of their own."""

    __slots__ = ("_count", "_keys")
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
            "insert into extensions values (?, ?, ?, ?)",
            (self._keys.base_key, topic.id, present, self._count),
        )

    def publish(self, catalog: Catalog) -> None:  # noqa: ARG002 (the topic is known by itself)
        self.topic.extend(self._keys)
