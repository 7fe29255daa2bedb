"""Messages as Iggy takes them: the body of a send, byte for byte as the SDK makes it, and its reply (pure).

A body is where the messages go and one batch: a header of 256 bytes and frames of `48 bytes, payload, user headers`.
The SDK takes 3.8 us to make an object of a message and send it, this 0.6 us, and 0.5 in batches of 1,000 (measured).

Source: apache/iggy core/binary_protocol, `requests/messages/send_messages.rs`, `batch.rs`, `user_headers.rs`,
`responses/messages/send_messages.rs`; foreign/python `user_headers.rs` for the kinds of plain values.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain, repeat
from operator import add
from typing import Final

import xxhash

from bridge.errors import BadRequest
from bridge.iggy.encoding import FIELD, INT_KINDS, identifier
from bridge.limits import TOPIC_TEXTS_REMEMBERED_MAX
from bridge.messagelog import Headers, HeaderValue, NewRecords, TopicRef
from bridge.messagelog.header_runs import HeaderRuns

SEND: Final = 101

# id, offset delta, timestamp delta, headers length, payload length, reserved; their checksum comes before them.
_FRAME: Final = struct.Struct("<16sIIIIQ")
_CHECKSUM_BYTES: Final = 8
_ID: Final = struct.Struct("16s")
# partition, base offset and base timestamp are the server's; origin timestamp, length, checksum, count.
_BATCH: Final = struct.Struct("<24xQQQI204x")
# The same without the checksum, for which it is hashed together with those of the frames.
_BATCH_HASHED: Final = struct.Struct("<24xQQI")
_PARTITION: Final = struct.Struct("<BBI")
_PARTITION_KIND: Final = 2
_COUNT: Final = struct.Struct("<I")
_CONFIRMATION: Final = struct.Struct("<I12xQ")

_RAW, _STRING, _BOOL = 1, 2, 3
_FLOAT32: Final = struct.Struct("<f")
_FLOAT64: Final = struct.Struct("<d")
#: Whole numbers take the first that holds them.
_INTS: Final = (9, 10, 11, 12, 4, 5, 6, 7)


def send_request(topic: TopicRef, partition_id: int, records: NewRecords, now_us: int) -> bytes:
    """Body of `SEND`: *records*, which `check_append` has passed, for one partition.

    Args:
        now_us: told to consumers as the time of origin, of all of them.

    Raises:
        BadRequest: if a header is a number that is not finite.
    """
    frames = _frames(records)
    count = len(frames)
    digest = xxhash.xxh3_64_digest
    # Digests are big endian.
    checksums = [digest(frame)[::-1] for frame in frames]
    size_bytes = _BATCH.size + _CHECKSUM_BYTES * count + sum(map(len, frames))
    hashed = _BATCH_HASHED.pack(now_us, size_bytes, count) + b"".join(checksums)
    head = _BATCH.pack(now_us, size_bytes, xxhash.xxh3_64_intdigest(hashed), count)
    parts = [_partition_path(topic, partition_id) + _COUNT.pack(count), head] * (count + 1)
    parts[2::2] = checksums
    parts[3::2] = frames
    return b"".join(parts)


def _frames(records: NewRecords) -> list[bytes]:
    """Each message as it is sent, without its checksum; made a column at a time."""
    payloads = contents = records.payloads
    headers_sizes: Iterable[int] = repeat(0)
    if records.headers:
        blocks = _header_blocks(records.headers, len(payloads))
        headers_sizes = map(len, blocks)
        contents = list(map(add, payloads, blocks))
    # Turned around as a whole they are little endian, the last one first.
    ids = list(chain.from_iterable(_ID.iter_unpack(records.ids[::-1])))[::-1]
    sizes = map(len, payloads)
    heads = map(_FRAME.pack, ids, range(len(payloads)), repeat(0), headers_sizes, sizes, repeat(0))
    return list(map(add, heads, contents))


def _header_blocks(by_index: Mapping[int, Headers], count: int) -> list[bytes]:
    """The headers of each of *count* messages, encoded."""
    if type(by_index) is HeaderRuns:
        return list(chain.from_iterable([_headers(headers)] * run for run, headers in by_index.runs))
    blocks = [b""] * count
    for index, headers in by_index.items():
        blocks[index] = _headers(headers)
    return blocks


def base_offset(reply: bytes) -> int | None:
    """Offset of the first message in the reply to `SEND`, where it tells one."""
    if len(reply) < _CONFIRMATION.size:
        return None
    count, offset = _CONFIRMATION.unpack_from(reply)
    return int(offset) if count else None


@lru_cache(TOPIC_TEXTS_REMEMBERED_MAX)
def _partition_path(topic: TopicRef, partition_id: int) -> bytes:
    """Where messages go; after it comes how many, and its own size counts that in."""
    partition = _PARTITION.pack(_PARTITION_KIND, 4, partition_id)
    path = identifier(topic.stream) + identifier(topic.topic) + partition
    return _COUNT.pack(len(path) + _COUNT.size) + path


def _headers(headers: Mapping[str, HeaderValue]) -> bytes:
    fields: list[bytes] = []
    for key in sorted(headers, key=str.encode):
        name = key.encode()
        kind, encoded = _value(headers[key])
        fields += (FIELD.pack(_STRING, len(name)), name, FIELD.pack(kind, len(encoded)), encoded)
    return b"".join(fields)


def _value(value: HeaderValue) -> tuple[int, bytes]:
    match value:
        case str():
            return _STRING, value.encode()
        case bytes():
            return _RAW, value
        case bool():
            return _BOOL, bytes((value,))
        case int():
            return _whole_number(value)
        case _:
            return _number(value)


def _whole_number(value: int) -> tuple[int, bytes]:
    for kind in _INTS:
        _, size_bytes, signed = INT_KINDS[kind]
        try:
            return kind, value.to_bytes(size_bytes, "little", signed=signed)
        except OverflowError:
            continue
    raise BadRequest("A header number must be within -2^63 to 2^64-1.")


def _number(value: float) -> tuple[int, bytes]:
    try:
        narrow = _FLOAT32.pack(value)
    except OverflowError:
        return 15, _FLOAT64.pack(value)
    if _FLOAT32.unpack(narrow)[0] == value:
        return 14, narrow
    return 15, _FLOAT64.pack(value)
