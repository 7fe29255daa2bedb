"""What a feed gives, as messages of the WebSocket subprotocol (pure)."""

from collections.abc import Hashable
from typing import Final

from bridge.flow.following.batches import RecordBatch
from bridge.messagelog import Records
from bridge.web.live.forms import LiveForm
from bridge.web.sockets.answers import SUBPROTOCOL
from bridge.web.wire.pages import ONE_LINE

__all__ = ("MessageForm",)

# The part that is the same for all who follow the same feed; what stands before it names the subscription.
_PIECE: Final = b',"cursor":"%b","message":%b}'


class MessageForm(LiveForm):
    """How one subscription's messages are written; those whose forms have the same *key* share the bytes."""

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """For `RecordBatch.encoded`: within one feed all else is the same."""
        return SUBPROTOCOL, self.event_types

    def pieces(self, batch: RecordBatch) -> list[bytes]:
        """The messages of *batch* that the filter lets through, each to be preceded by the subscription's beginning."""
        written = batch.encoded(self.key, self._written)
        return written.split(b"\n") if written else []

    def first_pieces(self, batch: RecordBatch, messages_max: int) -> tuple[list[bytes], int | None]:
        """The first of them, made for one reader alone; and where the next one is to be looked for, None if these are all."""
        records = self.passed(batch)
        part = records.part(0, messages_max)
        following = part.offsets[-1] + 1 if len(part) < len(records) else None
        return self._spelled(batch, part), following

    def _written(self, batch: RecordBatch) -> bytes:
        return b"\n".join(self._spelled(batch, self.passed(batch)))

    def _spelled(self, batch: RecordBatch, records: Records) -> list[bytes]:
        """Each on one line: what is stored holds line breaks between tokens only, where a space is as good."""
        if not records:
            return []
        tokens, objects = self.shown(batch, records)
        if b"\n" in b"".join(records.payloads):
            objects = [each.translate(ONE_LINE) for each in objects]
        return list(map(_PIECE.__mod__, zip(tokens, objects, strict=True)))
