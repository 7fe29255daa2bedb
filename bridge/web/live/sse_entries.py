"""What a feed gives, as server-sent events in chunks of HTTP (pure)."""

from collections.abc import Hashable

from bridge.flow.following.entries import Entry
from bridge.flow.following.positions import Positions
from bridge.web.live import sse
from bridge.web.live.forms import LiveForm

__all__ = ("EventForm",)


class EventForm(LiveForm):
    """How one reader's stream is written; readers whose forms have the same *key* get the same bytes."""

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """For `Entry.encoded`: within one feed all else is the same."""
        return sse.CONTENT_TYPE, self.event_types

    def position(self, positions: Positions) -> bytes:
        """The token of *positions*."""
        return self.cursor(positions).encode()

    def chunks(self, entry: Entry) -> bytes:
        """*entry* as one chunk; nothing if the filter lets none of it through."""
        gap = entry.gap
        if gap is not None:
            return sse.chunk(sse.gap_block(self.position(entry.positions_after), gap=gap))
        shown = self.shown(entry)
        return b"" if shown is None else sse.chunk(b"".join(sse.message_blocks(*shown)))
