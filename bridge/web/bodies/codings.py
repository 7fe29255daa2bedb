"""Doing and undoing gzip and zstd within bounds (pure): bytes in, pieces of at most `INFLATE_PIECE_BYTES` out.

A body of several members or frames, one after the other, is one body (RFC 1952, section 2.2; RFC 8878, section 3.1).
"""

import sys
import zlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.limits import (
    INFLATE_MEMBERS_PER_TURN,
    INFLATE_PIECE_BYTES,
    INFLATE_RATIO_FREE_BYTES,
    INFLATE_RATIO_MAX,
    INFLATE_STEP_BYTES_MIN,
    ZSTD_WINDOW_LOG_MAX,
)
from bridge.policy.body_kinds import Coding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_FORMAT: Final = 31
# The fastest of each; lines of JSON become ten times smaller already.
_LEVEL: Final = 1
_REFUSALS: Final = {
    Coding.GZIP: "The body is not gzip.",
    Coding.ZSTD: "The body is not zstd, or needs too large a window.",
}


class Inflater(Protocol):
    """One body."""

    def feed(self, compressed: bytes) -> Iterator[bytes]:
        """What these bytes give, in pieces; to be taken to its end before more is fed.

        The work is in proportion to what goes in and comes out, of however many members the body is made; between two
        pieces it is below a millisecond. A piece may be empty: where much goes in and nothing comes out, others still
        get their turn.

        Raises:
            BadRequest: if they are not what the coding says.
            PayloadTooLarge: if all that was fed gives more than `INFLATE_RATIO_MAX` times as much.
        """

    def end(self) -> None:
        """There is no more.

        Raises:
            BadRequest: if there should be.
        """


def inflater_of(coding: Coding) -> Inflater:
    """For one body; *coding* GZIP, ZSTD, or IDENTITY, which gives what it is fed."""
    return _Plain() if coding is Coding.IDENTITY else _Bounded(coding)


class _Plain:
    def feed(self, compressed: bytes) -> Iterator[bytes]:
        if compressed:
            yield compressed

    def end(self) -> None:
        pass


class _Bounded:
    """Member after member, each given little at first: what it leaves over is copied, and must be in proportion to it."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._member = _Member(coding)
        self._step_bytes = INFLATE_STEP_BYTES_MIN
        self._in_bytes = 0
        self._out_bytes = 0

    def feed(self, compressed: bytes) -> Iterator[bytes]:
        self._in_bytes += len(compressed)
        allowed = max(INFLATE_RATIO_FREE_BYTES, self._in_bytes * INFLATE_RATIO_MAX)
        rest = memoryview(compressed)
        begun = 0
        while rest or not self._member.hungry:
            if self._member.ended:
                self._member, self._step_bytes = _Member(self._coding), INFLATE_STEP_BYTES_MIN
                begun += 1
                if begun % INFLATE_MEMBERS_PER_TURN == 0:
                    yield b""
            given = rest[: self._step_bytes] if self._member.hungry else rest[:0]
            piece, left = self._member.take(given)
            rest = rest[len(given) - left :]
            self._step_bytes = min(self._step_bytes * 2, INFLATE_PIECE_BYTES)
            self._out_bytes += len(piece)
            if self._out_bytes > allowed:
                raise PayloadTooLarge(
                    f"The body expands to more than {INFLATE_RATIO_MAX} times its size.",
                    path="body",
                    limit=INFLATE_RATIO_MAX,
                )
            if piece:
                yield piece

    def end(self) -> None:
        if not self._member.ended:
            raise BadRequest("The compressed body ends too early.", path="body")


class _Member:
    """One member of a gzip body, or one frame of a zstd body.

    Attributes:
        hungry: it takes more; what it holds has come out.
        ended: it is whole.
    """

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._decompressor: Any = (
            zlib.decompressobj(_GZIP_FORMAT)
            if coding is Coding.GZIP
            else zstd.ZstdDecompressor(
                options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
            )
        )
        self.hungry = True
        self.ended = False

    def take(self, compressed: memoryview) -> tuple[bytes, int]:
        """At most `INFLATE_PIECE_BYTES` of what these bytes give, and how many of them are to be given again."""
        decompressor = self._decompressor
        try:
            piece = decompressor.decompress(compressed, INFLATE_PIECE_BYTES)
        except (zlib.error, zstd.ZstdError):
            raise BadRequest(_REFUSALS[self._coding], path="body") from None
        self.ended = decompressor.eof
        if self.ended:
            self.hungry, left = True, decompressor.unused_data
        elif self._coding is Coding.GZIP:
            left = decompressor.unconsumed_tail
        else:
            # What it has taken in may still have to come out when all bytes are gone.
            self.hungry, left = decompressor.needs_input, b""
        return piece, len(left)


class Deflater:
    """One body; *coding* GZIP or ZSTD."""

    def __init__(self, coding: Coding) -> None:
        if coding is Coding.GZIP:
            self._body: Any = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
            self._so_far = zlib.Z_SYNC_FLUSH
        else:
            self._body = zstd.ZstdCompressor(level=_LEVEL)
            self._so_far = zstd.ZstdCompressor.FLUSH_BLOCK

    def feed(self, plain: bytes) -> bytes:
        """What is ready of the body now."""
        return bytes(self._body.compress(plain))

    def flush(self) -> bytes:
        """The rest of what was fed, so that it can be read before more comes."""
        return bytes(self._body.flush(self._so_far))

    def end(self) -> bytes:
        """The rest of the body; there is no more."""
        return bytes(self._body.flush())


def deflater_of(coding: Coding) -> Deflater | None:
    """For one body; None for `IDENTITY`."""
    return None if coding is Coding.IDENTITY else Deflater(coding)
