"""What a feed gives, as messages of the WebSocket subprotocol (pure)."""

from collections.abc import Hashable
from typing import Final

from bridge.flow.following.batches import RecordBatch
from bridge.limits import CURSOR_CHARS_MAX
from bridge.web.live.forms import LiveForm
from bridge.web.sockets.answers import SUBPROTOCOL
from bridge.web.wire.pages import ONE_LINE

__all__ = ("CURSOR_WITHIN", "MessageForm", "cursor_of")

# The part that is the same for all who follow the same feed; what stands before it names the subscription.
_PIECE: Final = b',"cursor":"%b","message":%b}'
_CURSOR_AT: Final = len(b',"cursor":"')
#: So much of a piece holds its cursor in any case.
CURSOR_WITHIN: Final = _CURSOR_AT + CURSOR_CHARS_MAX + 1


class MessageForm(LiveForm):
    """How one subscription's messages are written; those whose forms have the same *key* share the bytes."""

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """For `RecordBatch.encoded`: within one feed all else is the same."""
        return SUBPROTOCOL, self.event_types

    def pieces(self, entry: RecordBatch) -> list[bytes]:
        """The messages of *entry* that the filter lets through, each to be preceded by the subscription's beginning."""
        written = entry.encoded(self.key, self._written)
        return written.split(b"\n") if written else []

    def _written(self, entry: RecordBatch) -> bytes:
        """All pieces, a line each: what is stored holds line breaks between tokens only, where a space is as good."""
        shown = self.shown(entry)
        if shown is None:
            return b""
        tokens, objects = shown
        if b"\n" in b"".join(entry.records.payloads):
            objects = [each.translate(ONE_LINE) for each in objects]
        return b"\n".join(map(_PIECE.__mod__, zip(tokens, objects, strict=True)))


def cursor_of(piece: bytes) -> str:
    """Where a reader that has this message goes on; its first `CURSOR_WITHIN` bytes are enough."""
    return piece[_CURSOR_AT : piece.index(b'"', _CURSOR_AT)].decode()
