"""What a feed gives, as messages of the WebSocket subprotocol (pure)."""

from collections.abc import Hashable
from typing import Final, NamedTuple

from bridge.flow.entries import Entry
from bridge.flow.positions import Positions
from bridge.limits import CURSOR_CHARS_MAX
from bridge.messagelog import TopicRef
from bridge.policy.cursors import Cursor, Cursors
from bridge.web.event_types import of_types
from bridge.web.wire_pages import PageEncoder
from bridge.web.ws_answers import SUBPROTOCOL

__all__ = ("CURSOR_WITHIN", "MessageForm", "cursor_of")

# The part that is the same for all who follow the same feed; what stands before it names the subscription.
_PIECE: Final = b',"cursor":"%b","message":%b}'
_CURSOR_AT: Final = len(b',"cursor":"')
#: So much of a piece holds its cursor in any case.
CURSOR_WITHIN: Final = _CURSOR_AT + CURSOR_CHARS_MAX + 1


class MessageForm(NamedTuple):
    """
    How one subscription's messages are written; those whose forms have the same *key* share the bytes.

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
        return SUBPROTOCOL, self.event_types

    def cursor(self, positions: Positions) -> str:
        """The token of *positions*."""
        return self.cursors.token(Cursor(self.topic, positions, self.every))

    def pieces(self, entry: Entry) -> list[bytes]:
        """The messages of *entry* that the filter lets through, each to be preceded by the subscription's beginning."""
        written = entry.encoded(self.key, self._written)
        return written.split(b"\n") if written else []

    def _written(self, entry: Entry) -> bytes:
        """All pieces, a line each: what is stored holds line breaks between tokens only, where a space is as good."""
        records = of_types(entry.records, self.pages.forms.forms_of, self.event_types)
        if not records:
            return b""
        tokens = self.cursors.tokens(
            Cursor(self.topic, entry.positions_before, self.every),
            entry.partition_id,
            [offset + 1 for offset in records.offsets],
        )
        objects = self.pages.lines(records, lead=b'{"partition_id":%d,' % entry.partition_id, once=True)
        if b"\n" in b"".join(records.payloads):
            objects = [each.replace(b"\n", b" ") for each in objects]
        return b"\n".join(map(_PIECE.__mod__, zip(tokens, objects, strict=True)))


def cursor_of(piece: bytes) -> str:
    """Where a reader that has this message goes on; its first `CURSOR_WITHIN` bytes are enough."""
    return piece[_CURSOR_AT : piece.index(b'"', _CURSOR_AT)].decode()
