"""Who is told that something was stored (pure)."""

from collections.abc import Callable
from typing import TypeAlias

from bridge.messagelog.values import Receipt, TopicRef

__all__ = ("StoredListener", "StoredNews")

StoredListener: TypeAlias = Callable[[TopicRef, int, int | None], None]
"""Called with a topic, a partition, and the offset after what was stored; None where the log did not say."""


class StoredNews:
    """Made before the log and those who listen, and known to both."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: tuple[StoredListener, ...] = ()

    def listen(self, listener: StoredListener) -> None:
        """Tell *listener* from now on; it must neither wait nor raise."""
        self._listeners = (*self._listeners, listener)

    def stored(self, topic: TopicRef, receipt: Receipt) -> None:
        """Messages were acknowledged."""
        offset = receipt.offset
        next_offset = None if offset is None else offset + receipt.messages_count
        for listener in self._listeners:
            listener(topic, receipt.partition_id, next_offset)
