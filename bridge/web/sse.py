"""Server-sent events (pure): blocks as WHATWG HTML reads them (section 9.2), and chunks of HTTP around them.

A line ends with CR, LF or both, so that none of these may stand in what was stored. Where a message is sent its bytes are
one JSON object: line breaks are in it only between tokens, where a space means the same, and every other byte that
could matter to a reader (NUL, U+FEFF) stands behind a field's name. Ids are tokens of our own making.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from bridge.flow.positions import Gap

__all__ = (
    "CONTENT_TYPE",
    "HEARTBEAT",
    "bye_block",
    "chunk",
    "gap_block",
    "id_block",
    "message_blocks",
    "retry_block",
)

CONTENT_TYPE: Final = "text/event-stream"
_MESSAGE: Final = b"id: %b\ndata: %b\n\n"


def chunk(blocks: bytes) -> bytes:
    """*blocks*, at least a byte of them, as one chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(blocks), blocks)


#: A comment, which nobody is told of, in a chunk: it keeps proxies from closing and finds out who is gone.
HEARTBEAT: Final = chunk(b":\n\n")


def message_blocks(ids: Iterable[bytes], objects: Sequence[bytes]) -> list[bytes]:
    """
    One event for each message, of the kind that `EventSource.onmessage` gets.

    Args:
        ids: where a reader that has this event goes on.
        objects: each one JSON object, as it is stored.
    """
    return list(map(_MESSAGE.__mod__, zip(ids, _as_lines(objects), strict=True)))


def id_block(position: bytes) -> bytes:
    """Moves `Last-Event-ID` on and tells nobody of it."""
    return b"id: %b\n\n" % position


def retry_block(position: bytes, *, retry_ms: int) -> bytes:
    """How a stream begins: where it does, and how long to wait before the next one."""
    return b"retry: %d\nid: %b\n\n" % (retry_ms, position)


def gap_block(position: bytes, *, gap: Gap) -> bytes:
    """An event `gap`: messages that the reader will not get."""
    return b"id: %b\nevent: gap\ndata: %b\n\n" % (position, orjson.dumps(gap._asdict()))


def bye_block(position: bytes, *, retry_ms: int, reason: str) -> bytes:
    """An event `bye`: this stream ends here, the next one goes on at *position*."""
    told = {"reason": reason, "cursor": position.decode(), "retry_ms": retry_ms}
    return b"retry: %d\nid: %b\nevent: bye\ndata: %b\n\n" % (retry_ms, position, orjson.dumps(told))


def _as_lines(objects: Sequence[bytes]) -> Sequence[bytes]:
    joined = b"".join(objects)
    if b"\n" in joined or b"\r" in joined:
        return [each.replace(b"\n", b" ").replace(b"\r", b" ") for each in objects]
    return objects
