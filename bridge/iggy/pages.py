"""
Pages of a partition: how many messages to ask for at once, and those that are asked for often (pure).

Iggy puts no bound on the bytes of a poll: a hundred messages of 64 MB come back in one reply. So a page is read in
steps whose size follows from what the partition's messages weighed so far, and none is larger than
`IGGY_POLL_MESSAGES_MAX`: that is what messages far heavier than all before them can cost, once.
"""

from collections import OrderedDict

from bridge.iggy.wire import POLL_HEAD_BYTES, PolledPage, parse_page, with_head_of
from bridge.limits import (
    HOT_PAGES_BYTES_MAX,
    IGGY_FIRST_READ_MESSAGES,
    IGGY_POLL_MESSAGES_MAX,
    PAGE_BYTES_MAX,
    TOPIC_CACHE_ENTRIES_MAX,
)
from bridge.messagelog import HotPages, TopicRef

__all__ = ("HotReplies", "MessageSizes")

# Where the first batch of a reply tells its first offset; all there is at worst is a key that finds nothing.
_FIRST_OFFSET_AT = slice(POLL_HEAD_BYTES + 8, POLL_HEAD_BYTES + 16)


class HotReplies:
    """
    Replies to `POLL` that came more than once, taken apart.

    The log is asked every time, and a reply counts as the same only if every byte after its head is: offsets given out
    again by a topic made anew, or by a server that lost its memory, find nothing here.
    """

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: HotPages[tuple[TopicRef, int, int, int, bytes], tuple[bytes, PolledPage]] = HotPages(
            HOT_PAGES_BYTES_MAX
        )

    def parsed(
        self, topic: TopicRef, partition_id: int, reply: bytes, *, count_max: int, page_bytes_max: int
    ) -> PolledPage:
        """
        As `wire.parse_page`; the messages of a reply that is kept are the same object each time.

        Raises:
            WireError: if the reply is malformed.
        """
        if page_bytes_max < PAGE_BYTES_MAX or len(reply) <= POLL_HEAD_BYTES:
            return parse_page(reply, count_max=count_max, page_bytes_max=page_bytes_max)
        key = (topic, partition_id, count_max, len(reply), reply[_FIRST_OFFSET_AT])
        found = self._pages.get(key)
        # Comparing 30 KB takes 2 us, taking them apart 45 us.
        if found is not None and (found[0] == reply or reply.endswith(found[0][POLL_HEAD_BYTES:])):
            return with_head_of(found[1], reply)
        polled = parse_page(reply, count_max=count_max, page_bytes_max=page_bytes_max)
        polled.records.kept = self._pages.offer(
            key, (reply, polled), size_bytes=len(reply) + polled.records.weight_bytes
        )
        return polled


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
        return max(1, min(wanted, IGGY_POLL_MESSAGES_MAX, (PAGE_BYTES_MAX - page_bytes) // mean_bytes))

    def learn(self, topic: TopicRef, partition_id: int, *, messages: int, record_bytes: int) -> None:
        """*messages* of the partition weighed *record_bytes* together; the larger of old and new mean counts half."""
        if not messages:
            return
        mean_bytes = record_bytes // messages
        before = self._mean_bytes.pop((topic, partition_id), mean_bytes)
        self._mean_bytes[topic, partition_id] = max(mean_bytes, (before + mean_bytes) // 2, 1)
        if len(self._mean_bytes) > TOPIC_CACHE_ENTRIES_MAX:
            self._mean_bytes.popitem(last=False)
