"""
Undoing gzip and zstd within bounds (pure): pieces of compressed bytes in, pieces of at most `INFLATE_PIECE_BYTES` out.

A body of several members or frames, one after the other, is one body (RFC 1952, section 2.2; RFC 8878, section 3.1).
"""

import sys
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.limits import (
    INFLATE_PIECE_BYTES,
    INFLATE_RATIO_FREE_BYTES,
    INFLATE_RATIO_MAX,
    ZSTD_WINDOW_LOG_MAX,
)
from bridge.policy.body_kinds import Coding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ("Inflater", "inflater_of")

_GZIP_FORMAT: Final = 31


class Inflater(Protocol):
    """One body."""

    def feed(self, compressed: bytes) -> Iterator[bytes]:
        """
        What these bytes give; to be taken to its end before more is fed.

        Raises:
            BadRequest: if they are not what the coding says.
            PayloadTooLarge: if all that was fed gives more than `INFLATE_RATIO_MAX` times as much.
        """
        ...

    def end(self) -> None:
        """
        There is no more.

        Raises:
            BadRequest: if there should be.
        """
        ...


def inflater_of(coding: Coding) -> Inflater:
    """For one body; *coding* GZIP, ZSTD, or IDENTITY, which gives what it is fed."""
    match coding:
        case Coding.GZIP:
            return _Bounded(_Gzip())
        case Coding.ZSTD:
            return _Bounded(_Zstd())
        case Coding.IDENTITY:
            return _Plain()


class _Member(Protocol):
    """One member or frame after the other."""

    #: In the middle of one.
    unfinished: bool

    def pieces(self, compressed: bytes) -> Iterator[bytes]: ...


class _Plain:
    def feed(self, compressed: bytes) -> Iterator[bytes]:
        if compressed:
            yield compressed

    def end(self) -> None:
        pass


class _Bounded:
    def __init__(self, member: _Member) -> None:
        self._member = member
        self._in_bytes = 0
        self._out_bytes = 0

    def feed(self, compressed: bytes) -> Iterator[bytes]:
        self._in_bytes += len(compressed)
        allowed = max(INFLATE_RATIO_FREE_BYTES, self._in_bytes * INFLATE_RATIO_MAX)
        for piece in self._member.pieces(compressed):
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
        if self._member.unfinished or not self._in_bytes:
            raise BadRequest("The compressed body ends too early.", path="body")


class _Gzip:
    def __init__(self) -> None:
        self._one = zlib.decompressobj(_GZIP_FORMAT)
        self.unfinished = False

    def pieces(self, compressed: bytes) -> Iterator[bytes]:
        while compressed:
            if self._one.eof:
                self._one = zlib.decompressobj(_GZIP_FORMAT)
            try:
                yield self._one.decompress(compressed, INFLATE_PIECE_BYTES)
            except zlib.error:
                raise BadRequest("The body is not gzip.", path="body") from None
            self.unfinished = not self._one.eof
            compressed = self._one.unused_data if self._one.eof else self._one.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        self._one = self._new()
        self.unfinished = False

    def pieces(self, compressed: bytes) -> Iterator[bytes]:
        # What it has taken in may still have to come out when all bytes are gone.
        more = bool(compressed)
        while more:
            if self._one.eof:
                self._one = self._new()
            try:
                yield self._one.decompress(compressed, INFLATE_PIECE_BYTES)
            except zstd.ZstdError:
                raise BadRequest("The body is not zstd, or needs too large a window.", path="body") from None
            self.unfinished = not self._one.eof
            compressed = self._one.unused_data if self._one.eof else b""
            more = bool(compressed) or not (self._one.eof or self._one.needs_input)

    @staticmethod
    def _new() -> "zstd.ZstdDecompressor":
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
        )
