"""
How many messages to ask for at once (pure).

Iggy puts no bound on the bytes of a poll: a hundred messages of 64 MB come back in one reply. So a page is read in
steps whose size follows from what the partition's messages weighed so far.
"""

from collections import OrderedDict

from bridge.limits import IGGY_FIRST_READ_MESSAGES, PAGE_BYTES_MAX, TOPIC_CACHE_ENTRIES_MAX
from bridge.messagelog import TopicRef

__all__ = ("MessageSizes",)


class MessageSizes:
    """Mean size of the messages last read from each partition, for at most `TOPIC_CACHE_ENTRIES_MAX` partitions."""

    __slots__ = ("_mean_bytes",)

    def __init__(self) -> None:
        self._mean_bytes: OrderedDict[tuple[TopicRef, int], int] = OrderedDict()

    def step(self, topic: TopicRef, partition_id: int, *, wanted: int, page_bytes: int) -> int:
        """Messages to ask for next, 1..*wanted*, when the page holds *page_bytes* already."""
        mean_bytes = self._mean_bytes.get((topic, partition_id))
        if mean_bytes is None:
            return min(wanted, IGGY_FIRST_READ_MESSAGES)
        return max(1, min(wanted, (PAGE_BYTES_MAX - page_bytes) // mean_bytes))

    def learn(self, topic: TopicRef, partition_id: int, *, messages: int, record_bytes: int) -> None:
        """*messages* of the partition weighed *record_bytes* together; the larger of old and new mean counts half."""
        if not messages:
            return
        mean_bytes = record_bytes // messages
        before = self._mean_bytes.pop((topic, partition_id), mean_bytes)
        self._mean_bytes[topic, partition_id] = max(mean_bytes, (before + mean_bytes) // 2, 1)
        if len(self._mean_bytes) > TOPIC_CACHE_ENTRIES_MAX:
            self._mean_bytes.popitem(last=False)
