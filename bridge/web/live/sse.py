"""Server-sent events (pure): blocks as WHATWG HTML reads them (section 9.2), and chunks of HTTP around them.

A line ends with CR, LF or both, so that none of these may stand in what was stored. Where a message is sent its bytes are
one JSON object: line breaks are in it only between tokens, where a space means the same, and every other byte that
could matter to a reader (NUL, U+FEFF) stands behind a field's name. Ids are tokens of our own making.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from bridge.flow.following.batches import Gap, Positions, RecordBatch
from bridge.messagelog import TopicRef
from bridge.web.live.forms import LiveForm
from bridge.web.live.streams import EndReason
from bridge.web.wire.pages import single_lines

CONTENT_TYPE: Final = "text/event-stream"
_MESSAGE: Final = b"id: %b\ndata: %b\n\n"


def chunk(blocks: bytes) -> bytes:
    """*blocks*, at least a byte of them, as one chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(blocks), blocks)


#: A comment, which nobody is told of, in a chunk: it keeps proxies from closing and finds out who is gone.
HEARTBEAT: Final = chunk(b":\n")


def message_blocks(ids: Iterable[bytes], objects: list[bytes]) -> list[bytes]:
    """One event for each message, of the kind that `EventSource.onmessage` gets.

    Args:
        ids: where a reader that has this event goes on.
        objects: each one JSON object, as it is stored.
    """
    return list(map(_MESSAGE.__mod__, zip(ids, single_lines(objects), strict=True)))


def open_block(position: bytes, *, topic: TopicRef, retry_ms: int) -> bytes:
    """An event `open`: of which topic this stream is, where it begins, and how long to wait before the next one."""
    told = {**topic._asdict(), "cursor": position.decode(), "retry_ms": retry_ms}
    return b"retry: %d\n%b" % (retry_ms, _event(b"open", position, told))


def progress_block(position: bytes) -> bytes:
    """An event `progress`: what lies before *position* and was not sent is not wanted."""
    return _event(b"progress", position, {"cursor": position.decode()})


def gap_block(position: bytes, *, gap: Gap) -> bytes:
    """An event `gap`: messages that the reader will not get."""
    return _event(b"gap", position, gap._asdict())


def bye_block(
    position: bytes, *, retry_ms: int, reason: EndReason, problem: Mapping[str, object] | None = None
) -> bytes:
    """An event `bye`: this stream ends here, the next one goes on at *position*."""
    more = {} if problem is None else {"problem": problem}
    told = {"reason": reason, "cursor": position.decode(), "retry_ms": retry_ms, **more}
    return b"retry: %d\n%b" % (retry_ms, _event(b"bye", position, told))


def _event(name: bytes, position: bytes, told: Mapping[str, Any]) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position, name, orjson.dumps(told))


class EventForm(LiveForm):
    """How one reader's stream is written; readers whose forms have the same *key* get the same bytes."""

    @property
    def key(self) -> Hashable:
        """For `RecordBatch.encoded`: within one feed all else is the same."""
        return CONTENT_TYPE, self.event_types

    def position(self, positions: Positions) -> bytes:
        return self.cursor(positions).encode()

    def joined(self, batches: Sequence[RecordBatch]) -> bytes:
        """*batches* as chunks; nothing if the filter lets none of them through."""
        return b"".join([batch.encoded(self.key, self._chunk) for batch in batches])

    def _chunk(self, batch: RecordBatch) -> bytes:
        gap = batch.gap
        if gap is not None:
            return chunk(gap_block(self.position(batch.positions_after), gap=gap))
        records = self.passed(batch)
        return chunk(b"".join(message_blocks(*self.shown(batch, records)))) if records else b""
