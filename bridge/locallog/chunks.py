"""A chunk of messages as one stored row, and back (pure)."""

import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from bridge.limits import LOCAL_CHUNK_BYTES_MAX, LOCAL_CHUNK_MESSAGES_MAX
from bridge.locallog.schema import offset_of
from bridge.messagelog import Headers, NewRecords, Records
from bridge.messagelog.bounds import ends_of_headers
from bridge.messagelog.header_runs import HeaderRuns

# Values of headers: text, bytes, bool, int or float, each as its own kind of msgpack.
_Headers = dict[str, Any]
# As logs of version 1 have it: (id, payload, headers) of each message.
_Record = tuple[bytes, bytes, _Headers]
# Mark, ids one after the other, payloads, headers by index.
_Columns = tuple[int, bytes, list[bytes], dict[int, _Headers]]
# Headers are any mapping.
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=dict)
_RECORDS: Final = msgspec.msgpack.Decoder(list[_Record])
_COLUMNS: Final = msgspec.msgpack.Decoder(_Columns)
# An array of four that begins with a small number; records begin with an array.
_COLUMNS_BEGIN: Final = b"\x94"
_NUMBER_MAX: Final = b"\x7f"
_UNMARKED: Final = 0
# Every payload was a `NewEvent`. To be counted up when events are refused that were taken before: what this build did
# not check is judged anew.
_EVENTS: Final = 1
# Before the members of a map, its kind (`map 16`) and how many they are.
_MAP: Final = Struct(">BH")
_MAP_KIND: Final = 0xDE
_PREFIX: Final = Struct("<qqqq")
# The places of a chunk's messages, each as the one byte that it is written as.
_INDEXES: Final = bytes(range(LOCAL_CHUNK_MESSAGES_MAX))


class Chunk(NamedTuple):
    """One row of `chunks`.

    Attributes:
        key: see `schema.chunk_key`.
        messages_count: 1 or more.
        timestamp_us: when the log took all of them.
        bytes_end: bytes of all bodies of the partition up to and with this one.
        checksum: CRC-32 over everything before it and the body; SQLite itself has none.
        body: msgpack of the messages in columns.
    """

    key: int
    messages_count: int
    timestamp_us: int
    bytes_end: int
    checksum: int
    body: bytes | bytearray


class DamagedChunk(Exception):
    """A stored chunk, or another row, is not what was written."""


def split(records: NewRecords, *, size_bytes: int) -> Iterator[NewRecords]:
    """Cut messages into runs that fit a chunk, in order; one that is too large by itself gets a run of its own.

    Args:
        size_bytes: what `check_append` gave for them, in one append or several.
    """
    count = len(records)
    if count <= LOCAL_CHUNK_MESSAGES_MAX and size_bytes <= LOCAL_CHUNK_BYTES_MAX:
        yield records
        return
    ends, of_headers = records.ends, ends_of_headers(records)

    def bytes_to(index: int) -> int:
        return ends[index] + of_headers[index]

    start = bytes_before = 0
    while start < count:
        end = min(start + LOCAL_CHUNK_MESSAGES_MAX, count)
        bytes_max = bytes_before + LOCAL_CHUNK_BYTES_MAX
        if bytes_to(end - 1) > bytes_max:
            end = max(bisect_right(range(count), bytes_max, start, end, key=bytes_to), start + 1)
        yield records.part(start, end)
        start, bytes_before = end, bytes_to(end - 1)


def encode(key: int, records: NewRecords, *, timestamp_us: int, bytes_start: int, into: bytearray) -> Chunk:
    """One chunk of *records*.

    Args:
        bytes_start: the total before it.
        into: becomes the body; what it was is gone. Used again for the next, it does not grow again, and nothing is copied.
    """
    count = len(records)
    headers: Mapping[int, Headers] | msgspec.Raw = records.headers
    if type(headers) is HeaderRuns:
        headers = _in_runs(headers)
    mark = _EVENTS if records.events else _UNMARKED
    _ENCODER.encode_into((mark, records.ids, records.payloads, headers), into)
    bytes_end = bytes_start + len(into)
    checksum = _checksum(key, count, timestamp_us, bytes_end, into)
    return Chunk(key, count, timestamp_us, bytes_end, checksum, into)


def _in_runs(headers: HeaderRuns) -> msgspec.Raw:
    """As the encoder writes them, but each run once and copied: 250 instructions a message instead of 750."""
    written = bytearray(_MAP.pack(_MAP_KIND, len(headers)))
    first = 0
    for count, each in headers.runs:
        if each:
            member = b"\0%b" % _ENCODER.encode(each)
            begin = len(written)
            written += member * count
            written[begin :: len(member)] = _INDEXES[first : first + count]
        first += count
    return msgspec.Raw(written)


def check(chunk: Chunk) -> None:
    """Hold a stored chunk against its checksum.

    Raises:
        DamagedChunk: if the row is not what `encode` made.
    """
    key, count, timestamp_us, bytes_end, checksum, body = chunk
    if _checksum(key, count, timestamp_us, bytes_end, body) != checksum:
        raise DamagedChunk


def decode(chunk: Chunk) -> Records:
    """The messages of a stored chunk.

    Raises:
        DamagedChunk: if the row is not what `encode` made.
    """
    check(chunk)
    return taken_apart(chunk)


def taken_apart(chunk: Chunk) -> Records:
    """The messages of a chunk that is known to be what `encode` made."""
    key, count, timestamp_us, _, _, body = chunk
    offset = offset_of(key)
    offsets, timestamps_us = range(offset, offset + count), (timestamp_us,) * count
    if body[:1] != _COLUMNS_BEGIN or body[1:2] > _NUMBER_MAX:
        ids, listed, headers = zip(*_RECORDS.decode(body), strict=True)
        found = {index: each for index, each in enumerate(headers) if each}
        return Records(offsets, timestamps_us, b"".join(ids), listed, found)
    # In columns 128 messages are put together in 35 us and taken apart in 20; as records it was 73 and 37.
    mark, joined_ids, payloads, by_index = _COLUMNS.decode(body)
    return Records(offsets, timestamps_us, joined_ids, payloads, by_index, events=mark == _EVENTS)


def _checksum(
    key: int, messages_count: int, timestamp_us: int, bytes_end: int, body: bytes | bytearray
) -> int:
    return zlib.crc32(body, zlib.crc32(_PREFIX.pack(key, messages_count, timestamp_us, bytes_end)))
