"""What a feed gives, as any live reader is shown it (pure): the part that event streams and sockets write alike."""

from typing import NamedTuple

from bridge.flow.following.batches import Positions, RecordBatch
from bridge.messagelog import TopicRef
from bridge.policy.cursors import Cursor, Cursors
from bridge.web.wire.event_types import of_types
from bridge.web.wire.pages import PageEncoder

__all__ = ("LiveForm", "Shown")


class Shown(NamedTuple):
    """Messages of an entry: the cursor behind each, and each as the JSON object of a page."""

    tokens: list[bytes]
    objects: list[bytes]


class LiveForm(NamedTuple):
    """
    What the bytes written for one reader depend on.

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

    def cursor(self, positions: Positions) -> str:
        """The token of *positions*."""
        return self.cursors.token(Cursor(self.topic, positions, self.every))

    def shown(self, entry: RecordBatch) -> Shown | None:
        """The messages of *entry* that the filter lets through; None if there are none."""
        records = of_types(entry.records, self.pages.forms_of, self.event_types)
        if not records:
            return None
        tokens = self.cursors.tokens(
            Cursor(self.topic, entry.positions_before, self.every),
            entry.partition_id,
            [offset + 1 for offset in records.offsets],
        )
        lead = b'{"partition_id":%d,' % entry.partition_id
        return Shown(tokens, self.pages.lines(records, lead=lead, once=True))
