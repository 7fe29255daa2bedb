"""Where the requests of a connection begin and end, as far as their heads tell (pure, over aiohttp's parser)."""

from typing import Final, NamedTuple

from aiohttp import StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage

from bridge.limits import CHUNK_OVERHEAD_BYTES_FREE, CHUNK_OVERHEAD_PER_BYTE_MAX

#: What a head ends with.
HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = HEAD_END[:1]
# Of these aiohttp's parser keeps what follows the request; of all others it forgets it.
_PARSED: Final = frozenset({"tcp", "websocket"})


class TooMuchOverhead(web.RequestPayloadError):
    """The chunks of a body hold too much that is no data."""


class Took(NamedTuple):
    """What the parser made of a piece.

    Attributes:
        kept: of the last request, which asks for a protocol that is not spoken here, not a byte that follows is lost.
        excessive: the body whose chunks hold too much that is no data.
    """

    kept: bool
    excessive: StreamReader | None


_NOTHING: Final = Took(kept=False, excessive=None)


def is_parsed_upgrade(message: RawRequestMessage) -> bool:
    """Whether aiohttp's parser stops at *message* and hands on what follows as it is."""
    named = message.headers.get(hdrs.UPGRADE, "") if message.upgrade else ""
    return named.isascii() and named.lower() in _PARSED


class Framing:
    """Where to cut what came, so that a piece ends where a request does that may end what the parser understands.

    aiohttp's parser forgets what follows an `Upgrade` to a protocol that it does not know in the same piece: were that
    the head of a request with a body, the body would be read as a request. And it tells nothing of what chunks hold
    besides data, which has no bound. This reads no head and no chunk: it looks for the end of heads, and counts.
    """

    __slots__ = ("_body_bytes", "_edge", "_head_end", "_is_raw", "_overhead_of", "_payload", "_wire_bytes")

    def __init__(self) -> None:
        self._payload: StreamReader | None = None
        # Of the body in *payload*; None where chunks tell.
        self._body_bytes: int | None = 0
        # The last bytes of a head that is not whole.
        self._edge = b""
        self._head_end = -1
        self._is_raw = False
        # The body in chunks that `_wire_bytes` have come of.
        self._overhead_of: StreamReader | None = None
        self._wire_bytes = 0

    def cut(self, data: bytes) -> int:
        """How many bytes of *data*, one or more, the parser is to get next."""
        size, payload = len(data), self._payload
        if self._is_raw:
            return size
        if payload is not None:
            # Where chunks end, only the parser knows.
            return (
                size
                if self._body_bytes is None
                else min(size, self._body_bytes - payload.total_bytes) or size
            )
        end = self._head_end = self._end_of_head(data)
        if not 0 <= end < size:
            return size
        # In most of what follows a head nothing ends a line, and to find that takes a tenth of a look for four bytes.
        ended = data.find(_LINE_END, end)
        return end if ended >= 0 and data.find(HEAD_END, ended) >= 0 else size

    def took(self, piece: bytes, begun: int, last: tuple[RawRequestMessage, StreamReader] | None) -> Took:
        """The parser has *piece*.

        Args:
            begun: so many requests began in it.
            last: the last of them.
        """
        # Of this piece alone; the parser gets some that nobody was asked to cut.
        end, self._head_end = self._head_end, -1
        if last is None:
            if self._payload is None:
                self._edge = (self._edge + piece[-3:])[-3:]
            elif self._payload.is_eof():
                self._edge = self._behind(piece, is_whole=self._body_bytes is not None)
                self._payload = None
            return Took(kept=False, excessive=self._counted(piece, len(piece)))
        message, payload = last
        if begun > 1:
            end = -1
        # Where a body is in chunks, it is longer than its data.
        is_whole = end >= 0 and end + payload.total_bytes == len(piece)
        is_eof = payload.is_eof()
        self._edge = b"" if is_whole or not is_eof else self._behind(piece)
        if is_eof and not (message.chunked or message.upgrade):
            # Most are, and nothing is to be remembered of them.
            self._payload, self._is_raw, self._overhead_of = None, False, None
            return _NOTHING
        # In no name here once it has ended: it knows the connection.
        self._payload = None if is_eof else payload
        self._body_bytes = None if message.chunked else int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
        self._is_raw = is_parsed_upgrade(message)
        self._overhead_of = payload if message.chunked and end >= 0 else None
        self._wire_bytes = 0
        can_go_on = is_whole or (end >= 0 and not is_eof)
        return Took(
            kept=can_go_on and not message.chunked and not self._is_raw,
            excessive=self._counted(piece, len(piece) - end),
        )

    @property
    def unfinished(self) -> StreamReader | None:
        """The body that has not all come."""
        return self._payload

    @property
    def head_begun(self) -> bool:
        """Whether part of a head has come; empty lines before one are none."""
        return bool(self._edge.strip(b"\r\n"))

    def forget(self) -> None:
        """Nothing more comes: let go of a body that has not ended."""
        self._payload = self._overhead_of = None

    def _behind(self, piece: bytes, *, is_whole: bool = False) -> bytes:
        """The edge behind a request that has ended in *piece*, maybe with the begin of the next one behind it."""
        return b"" if is_whole or piece.endswith(HEAD_END) else (self._edge + piece[-3:])[-3:]

    def _end_of_head(self, data: bytes) -> int:
        if self._edge:
            at = (self._edge + data[:3]).find(HEAD_END)
            if at >= 0:
                return at + len(HEAD_END) - len(self._edge)
        at = data.find(HEAD_END)
        if at == 0 and not self._edge:
            # Empty lines before a request are nothing, however many.
            return len(data) - len(data.lstrip(b"\r\n"))
        return at + len(HEAD_END) if at >= 0 else -1

    def _counted(self, piece: bytes, wire_bytes: int) -> StreamReader | None:
        payload = self._overhead_of
        if payload is None:
            return None
        self._wire_bytes += wire_bytes
        if payload.is_eof():
            self._overhead_of = None
            if not piece.endswith(HEAD_END):
                # The next request has begun in it, at a place that nobody tells.
                return None
        allowed = CHUNK_OVERHEAD_BYTES_FREE + payload.total_bytes * (1 + CHUNK_OVERHEAD_PER_BYTE_MAX)
        return payload if self._wire_bytes > allowed else None
