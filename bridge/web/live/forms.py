"""What a feed gives, as any live reader is shown it (pure): the part that event streams and sockets write alike."""

from typing import NamedTuple

from bridge.flow.following.batches import Positions, RecordBatch
from bridge.messagelog import Records, TopicRef
from bridge.policy.cursors import Cursor, Cursors
from bridge.web.wire.pages import PageEncoder
from bridge.web.wire.payload_forms import of_types


class ShownMessages(NamedTuple):
    """The cursor behind each, and each as the JSON object of a page."""

    tokens: list[bytes]
    objects: list[bytes]


class LiveForm(NamedTuple):
    """What the bytes written for one reader depend on.

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
        return self.cursors.token(Cursor(self.topic, positions, self.every))

    def passed(self, batch: RecordBatch) -> Records:
        """The messages of *batch* that the filter lets through."""
        return of_types(batch.records, self.pages.forms_of, self.event_types)

    def shown(self, batch: RecordBatch, records: Records) -> ShownMessages:
        """*records*, which are of *batch*."""
        tokens = self.cursors.tokens(
            Cursor(self.topic, batch.positions_before, self.every),
            batch.partition_id,
            [offset + 1 for offset in records.offsets],
        )
        lead = b'{"partition_id":%d,' % batch.partition_id
        return ShownMessages(tokens, self.pages.lines(records, lead=lead, once=True))
