"""Who is told that something was stored (pure)."""

from collections.abc import Callable
from typing import TypeAlias

from bridge.messagelog.records import Records
from bridge.messagelog.values import Receipt, TopicRef

__all__ = ("StoredListener", "StoredNews")

StoredListener: TypeAlias = Callable[[TopicRef, int, int | None, Callable[[], Records] | None], None]
"""
Called with a topic, a partition, and the offset after what was stored; None where the log did not say.

Last comes what makes the messages as they would be read, every byte of them; None where only reading tells.
"""


class StoredNews:
    """Made before the log and those who listen, and known to both."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: tuple[StoredListener, ...] = ()

    def listen(self, listener: StoredListener) -> None:
        """Tell *listener* from now on; it must neither wait nor raise."""
        self._listeners = (*self._listeners, listener)

    def stored(self, topic: TopicRef, receipt: Receipt, records: Callable[[], Records] | None = None) -> None:
        """
        Messages were acknowledged.

        Args:
            records: as `StoredListener` says. Iggy's receipts lack the time at which it took the messages.
        """
        offset = receipt.offset
        next_offset = None if offset is None else offset + receipt.messages_count
        for listener in self._listeners:
            listener(topic, receipt.partition_id, next_offset, records)
