"""What a feed gives, as server-sent events in chunks of HTTP (pure)."""

from collections.abc import Hashable
from typing import NamedTuple

from bridge.flow.entries import Entry
from bridge.flow.positions import Positions
from bridge.messagelog import TopicRef
from bridge.policy.cursors import Cursor, Cursors
from bridge.web import sse
from bridge.web.event_types import of_types
from bridge.web.wire_pages import PageEncoder

__all__ = ("EventForm",)


class EventForm(NamedTuple):
    """
    How one reader's stream is written; readers whose forms have the same *key* get the same bytes.

    Attributes:
        topic: of the feed.
        every: whether the feed is of all partitions of the topic.
        event_types: only events of these; all messages if empty.
    """

    cursors: Cursors
    pages: PageEncoder
    topic: TopicRef
    every: bool
    event_types: frozenset[str]

    @property
    def key(self) -> Hashable:
        """For `Entry.encoded`: within one feed all else is the same."""
        return sse.CONTENT_TYPE, self.event_types

    def position(self, positions: Positions) -> bytes:
        """The token of *positions*."""
        return self.cursors.token(Cursor(self.topic, positions, self.every)).encode()

    def chunks(self, entry: Entry) -> bytes:
        """*entry* as one chunk; nothing if the filter lets none of it through."""
        gap = entry.gap
        if gap is not None:
            return sse.chunk(sse.gap_block(self.position(entry.positions_after), gap=gap))
        records = entry.records
        if self.event_types:
            records = of_types(records, self.pages.forms.forms_of, self.event_types)
            if not records:
                return b""
        ids = self.cursors.tokens(
            Cursor(self.topic, entry.positions_before, self.every),
            entry.partition_id,
            [offset + 1 for offset in records.offsets],
        )
        objects = self.pages.lines(records, lead=b'{"partition_id":%d,' % entry.partition_id, once=True)
        return sse.chunk(b"".join(sse.message_blocks(ids, objects)))
