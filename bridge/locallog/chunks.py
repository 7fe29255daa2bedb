"""A chunk of messages as one stored row, and back (pure)."""

import secrets
import zlib
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from bridge.limits import LOCAL_CHUNK_BYTES_MAX, LOCAL_CHUNK_MESSAGES_MAX
from bridge.locallog.schema import offset_of
from bridge.messagelog import NewMessage, Records
from bridge.messagelog.bounds import headers_bytes

__all__ = ("Chunk", "DamagedChunk", "decode", "encode", "split")

# Values of headers: text, bytes, bool, int or float, each as its own kind of msgpack.
_Record = tuple[bytes, bytes, dict[str, Any]]
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[_Record])
_PREFIX: Final = Struct("<qqqq")


class Chunk(NamedTuple):
    """
    One row of `chunks`.

    Attributes:
        key: see `schema.chunk_key`.
        messages_count: 1 or more.
        timestamp_us: when the log took all of them.
        bytes_end: bytes of all bodies of the partition up to and with this one.
        checksum: CRC-32 over everything before it and the body; SQLite itself has none.
        body: msgpack list of (id, payload, headers).
    """

    key: int
    messages_count: int
    timestamp_us: int
    bytes_end: int
    checksum: int
    body: bytes


class DamagedChunk(Exception):
    """A stored chunk is not what was written."""


def split(messages: Sequence[NewMessage]) -> Iterator[Sequence[NewMessage]]:
    """Cut messages into runs that fit a chunk, in order; one that is too large by itself gets a run of its own."""
    start = 0
    run_bytes = 0
    for index, message in enumerate(messages):
        message_bytes = len(message.payload)
        if message.headers:
            message_bytes += headers_bytes(message.headers, index)
        if index > start and (
            index - start >= LOCAL_CHUNK_MESSAGES_MAX or run_bytes + message_bytes > LOCAL_CHUNK_BYTES_MAX
        ):
            yield messages[start:index]
            start = index
            run_bytes = 0
        run_bytes += message_bytes
    yield messages[start:]


def encode(key: int, messages: Sequence[NewMessage], *, timestamp_us: int, bytes_start: int) -> Chunk:
    """One chunk of *messages*; those without an id get a random one. *bytes_start* is the total before it."""
    records = [
        (
            (message.id or secrets.randbits(128) or 1).to_bytes(16, "big"),
            message.payload,
            dict(message.headers),
        )
        for message in messages
    ]
    body = _ENCODER.encode(records)
    count = len(records)
    bytes_end = bytes_start + len(body)
    return Chunk(
        key, count, timestamp_us, bytes_end, _checksum(key, count, timestamp_us, bytes_end, body), body
    )


def decode(chunk: Chunk, *, start: int = 0, count: int | None = None) -> Records:
    """
    The messages of a stored chunk, *count* of them from the one numbered *start* within it.

    Raises:
        DamagedChunk: if the row is not what `encode` made.
    """
    key, messages_count, timestamp_us, bytes_end, checksum, body = chunk
    if _checksum(key, messages_count, timestamp_us, bytes_end, body) != checksum:
        raise DamagedChunk
    end = messages_count if count is None else min(start + count, messages_count)
    ids, payloads, headers = zip(*_DECODER.decode(body)[start:end], strict=True)
    return Records(
        range(offset_of(key) + start, offset_of(key) + end),
        (timestamp_us,) * (end - start),
        b"".join(ids),
        payloads,
        {index: found for index, found in enumerate(headers) if found} if any(headers) else {},
    )


def _checksum(key: int, messages_count: int, timestamp_us: int, bytes_end: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_PREFIX.pack(key, messages_count, timestamp_us, bytes_end)))
