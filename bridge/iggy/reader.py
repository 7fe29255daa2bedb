"""Pages of a partition on an Iggy server (shell).

Iggy puts no bound on the bytes of a poll: a hundred messages of 64 MB come back in one reply. So a page is read in
steps whose size follows from what the partition's messages weighed so far, and none is larger than
`IGGY_POLL_MESSAGES_MAX`: that is what messages far heavier than all before them can cost, once.
"""

from collections import OrderedDict
from dataclasses import dataclass

import structlog

from bridge.clock import Clock, Deadline
from bridge.iggy.catalogue import TopicCatalogue
from bridge.iggy.encoding import (
    POLL,
    POLL_HEAD_BYTES,
    PolledPage,
    WireError,
    parse_page,
    poll_request,
    with_head_of,
)
from bridge.iggy.faults import Operation, unexplained
from bridge.iggy.sent_events import SentEvents
from bridge.iggy.session import IggySession
from bridge.iggy.shared_reads import SharedReads
from bridge.iggy.topics import end_offset
from bridge.limits import (
    HOT_PAGES_BYTES_MAX,
    IGGY_FIRST_READ_MESSAGES,
    IGGY_POLL_MESSAGES_MAX,
    PAGE_BYTES_MAX,
    TOPIC_CACHE_ENTRIES_MAX,
)
from bridge.messagelog import NO_RECORDS, First, FromOffset, HotPages, Last, Page, Position, Records, TopicRef
from bridge.telemetry.metrics import LogMetrics

_log = structlog.get_logger("bridge.iggy")

# Where the first batch of a reply tells its first offset; all there is at worst is a key that finds nothing.
_FIRST_OFFSET_AT = slice(POLL_HEAD_BYTES + 8, POLL_HEAD_BYTES + 16)


class HotReplies:
    """Replies to `POLL` that came more than once, taken apart.

    The log is asked every time, and a reply counts as the same only if every byte after its head is: offsets given out
    again by a topic made anew, or by a server that lost its memory, find nothing here.
    """

    def __init__(self) -> None:
        self._pages: HotPages[tuple[TopicRef, int, int, int, bytes], tuple[bytes, PolledPage]] = HotPages(
            HOT_PAGES_BYTES_MAX
        )

    def parsed(
        self, topic: TopicRef, partition_id: int, reply: bytes, *, count_max: int, page_bytes_max: int
    ) -> PolledPage:
        """As `encoding.parse_page`; the messages of a reply that is kept are the same object each time.

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
        polled.records.kept = polled.records.may_be_kept and self._pages.offer(
            key, (reply, polled), size_bytes=len(reply) + polled.records.kept_bytes
        )
        return polled


class MessageSizes:
    """Mean size of the messages last read from each partition, for at most `TOPIC_CACHE_ENTRIES_MAX` partitions."""

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


@dataclass(eq=False)
class PageReader:
    """`MessageLog.read`."""

    session: IggySession
    catalogue: TopicCatalogue
    sent_events: SentEvents
    clock: Clock
    observer: LogMetrics

    def __post_init__(self) -> None:
        self._sizes = MessageSizes()
        self._hot_replies = HotReplies()
        self._shared_reads: SharedReads[Page] = SharedReads(self.session.too_late)

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        begun_s = self.clock.monotonic_s()
        page = await self._shared_reads.read(
            # The type as well: positions are tuples, and the same number means an offset or a time.
            (topic, partition_id, type(position), position, count),
            lambda: self._read(topic, partition_id, position, count, deadline),
            deadline=deadline,
        )
        records = page.messages
        self.observer.read(
            *topic,
            messages=len(records),
            payload_bytes=records.payload_bytes,
            seconds=self.clock.monotonic_s() - begun_s,
        )
        return page

    async def _read(
        self, topic: TopicRef, partition_id: int, position: Position, count: int, deadline: Deadline
    ) -> Page:
        """A page whose end is exact: in a reply without messages Iggy says 0 of a partition with one message as well."""
        page = await self._read_in_steps(topic, partition_id, position, count, deadline)
        if (
            page.messages
            or page.end_offset
            or isinstance(position, First | Last)
            or position == FromOffset(0)
        ):
            return page
        if not await self._holds_messages(topic, partition_id, deadline):
            return page
        if not isinstance(position, FromOffset):
            # That one may have come after the reply, and belong to the page.
            page = await self._read_in_steps(topic, partition_id, position, count, deadline)
        return page._replace(end_offset=max(page.end_offset, 1))

    async def _holds_messages(self, topic: TopicRef, partition_id: int, deadline: Deadline) -> bool:
        found = await self.session.call(
            self.session.read_lane,
            lambda client: client.get_topic(*topic),
            Operation.TOPIC,
            write=False,
            deadline=deadline,
        )
        partitions = () if found is None else found.partitions
        return any(each.id == partition_id and end_offset(each) for each in partitions)

    async def _read_in_steps(
        self, topic: TopicRef, partition_id: int, position: Position, count: int, deadline: Deadline
    ) -> Page:
        runs: list[Records] = []
        left = count
        record_bytes = current_offset = 0
        if (
            isinstance(position, Last)
            and self._sizes.step(topic, partition_id, wanted=count, page_bytes=0) < count
        ):
            # The newest are asked for by offset: a reply in steps must begin with the oldest of them.
            newest = await self._poll(topic, partition_id, position, 1, PAGE_BYTES_MAX, deadline)
            position = FromOffset(max(0, newest.current_offset + 1 - count))
        while left > 0 and record_bytes < PAGE_BYTES_MAX:
            step = self._sizes.step(topic, partition_id, wanted=left, page_bytes=record_bytes)
            room_bytes = PAGE_BYTES_MAX - record_bytes
            polled = await self._poll(topic, partition_id, position, step, room_bytes, deadline)
            found = polled.records
            self._sizes.learn(topic, partition_id, messages=len(found), record_bytes=polled.record_bytes)
            current_offset = polled.current_offset
            if runs and record_bytes + polled.record_bytes > PAGE_BYTES_MAX:
                break
            if not found:
                break
            runs.append(found)
            left -= len(found)
            record_bytes += polled.record_bytes
            if polled.cut or len(found) < step or found.offsets[-1] >= current_offset:
                break
            position = FromOffset(found.offsets[-1] + 1)
        records = Records.joined(runs) if runs else NO_RECORDS
        if runs:
            current_offset = max(current_offset, records.offsets[-1])
        return Page(partition_id, current_offset + 1 if runs or current_offset else 0, records)

    async def _poll(
        self,
        topic: TopicRef,
        partition_id: int,
        position: Position,
        count: int,
        page_bytes_max: int,
        deadline: Deadline,
    ) -> PolledPage:
        body = poll_request(topic, partition_id, position, count)
        reply = await self.catalogue.partition_request(
            topic, partition_id, POLL, body, write=False, deadline=deadline
        )
        try:
            polled = self._hot_replies.parsed(
                topic, partition_id, reply, count_max=count, page_bytes_max=page_bytes_max
            )
        except WireError as error:
            _log.exception("iggy_reply_malformed", fault=str(error))
            raise unexplained(Operation.POLL, write=False) from None
        records = polled.records
        records.events = records.events or self.sent_events.are_all(topic, partition_id, records)
        return polled
