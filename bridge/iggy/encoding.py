"""Requests and replies of Iggy that the SDK has no method for, or loses a part of (pure).

All numbers are little endian. A reply to a poll is `u32 partition, u64 current offset, u32 count`, then batch records:
a header of 256 bytes and frames of `48 bytes, payload, user headers`.

Source: apache/iggy core/binary_protocol, `batch.rs`, `responses/messages/poll_messages.rs`, `user_headers.rs`,
`responses/system/get_cluster_metadata.rs`; measured against server 0.9.0-edge.5 with SDK 0.9.0.
"""

import struct
from typing import Final, NamedTuple

from bridge.limits import IGGY_NODES_MAX, OFFSET_MAX
from bridge.messagelog import (
    ConsumerKey,
    First,
    FromOffset,
    FromTimestamp,
    HeaderValue,
    Last,
    Position,
    Records,
    StoredOffset,
    TopicRef,
)

CLUSTER_METADATA: Final = 12
POLL: Final = 100
GET_OFFSET: Final = 120
STORE_OFFSET: Final = 121
DELETE_OFFSET: Final = 122

_SINGLE_CONSUMER: Final = b"\x01"
_NUMERIC_ID: Final = struct.Struct("<BBI")
_PARTITION: Final = struct.Struct("<BI")
_POLL_TAIL: Final = struct.Struct("<BQIB")
_STORE_TAIL: Final = struct.Struct("<QB")
_QUORUM: Final = 1
_POLL_HEAD: Final = struct.Struct("<IQI")
#: Before the records of a reply to `POLL`; only this differs while the same messages are asked for again.
POLL_HEAD_BYTES: Final = _POLL_HEAD.size
_OFFSET_REPLY: Final = struct.Struct("<IQQ")
# partition, base offset, base timestamp, origin timestamp, length, checksum, count; the rest is reserved.
_BATCH: Final = struct.Struct("<QQQQQQI")
_BATCH_BYTES: Final = 256
# checksum (skipped), id, offset delta, timestamp delta (skipped), headers length, payload length, reserved.
_FRAME: Final = struct.Struct("<8x16sI4xII8x")
_FRAME_BYTES: Final = _FRAME.size
#: Before the key and before the value of a header: kind, length.
FIELD: Final = struct.Struct("<BI")
_LENGTH: Final = struct.Struct("<I")
#: Of a node: the port for TCP, and what is of no use here.
_REST: Final = struct.Struct("<H8x")

_STRING_KIND: Final = 2
_BOOL_KIND: Final = 3
#: Kinds that are whole numbers: code -> (name, bytes, signed).
INT_KINDS: Final = {
    4: ("int8", 1, True),
    5: ("int16", 2, True),
    6: ("int32", 4, True),
    7: ("int64", 8, True),
    8: ("int128", 16, True),
    9: ("uint8", 1, False),
    10: ("uint16", 2, False),
    11: ("uint32", 4, False),
    12: ("uint64", 8, False),
    13: ("uint128", 16, False),
}
_FLOAT_KINDS: Final = {14: ("float32", struct.Struct("<f")), 15: ("float64", struct.Struct("<d"))}
#: Where a header block that cannot be taken apart is put, as it is: the message itself is never held back for it.
_BROKEN_HEADERS_KEY: Final = "iggy-headers"


class WireError(ValueError):
    """The bytes are not what this version of the protocol says."""


class PolledPage(NamedTuple):
    """A page and what it weighed.

    Attributes:
        current_offset: of the partition's newest message.
        record_bytes: sum over the page's frames: headers, payloads and user headers.
        cut: whether the reply held more messages than the page may.
    """

    partition_id: int
    current_offset: int
    records: Records
    record_bytes: int
    cut: bool


def identifier(name: str) -> bytes:
    """A stream, topic or consumer by its name, as every request has it."""
    encoded = name.encode()
    return bytes((2, len(encoded))) + encoded


def _partition_path(topic: TopicRef, partition_id: int, consumer: ConsumerKey) -> bytes:
    key = _NUMERIC_ID.pack(1, 4, consumer) if isinstance(consumer, int) else identifier(consumer)
    return b"".join(
        (
            _SINGLE_CONSUMER,
            key,
            identifier(topic.stream),
            identifier(topic.topic),
            _PARTITION.pack(1, partition_id),
        )
    )


def poll_request(topic: TopicRef, partition_id: int, position: Position, count: int) -> bytes:
    """Body of `POLL` that moves no stored offset; the consumer matters only for `Next`."""
    consumer: ConsumerKey = 0
    value = 0
    match position:
        case FromOffset(offset):
            kind, value = 1, offset
        case FromTimestamp(timestamp_us):
            kind, value = 2, timestamp_us
        case First():
            kind = 3
        case Last():
            kind = 4
        case _:
            kind, consumer = 5, position.consumer
    return _partition_path(topic, partition_id, consumer) + _POLL_TAIL.pack(kind, value, count, 0)


def offset_request(topic: TopicRef, partition_id: int, consumer: ConsumerKey) -> bytes:
    """Body of `GET_OFFSET`."""
    return _partition_path(topic, partition_id, consumer)


def store_offset_request(topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int) -> bytes:
    """Body of `STORE_OFFSET`; answered when a quorum has it."""
    return _partition_path(topic, partition_id, consumer) + _STORE_TAIL.pack(offset, _QUORUM)


def delete_offset_request(topic: TopicRef, partition_id: int, consumer: ConsumerKey) -> bytes:
    """Body of `DELETE_OFFSET`; answered when a quorum has it."""
    return _partition_path(topic, partition_id, consumer) + bytes((_QUORUM,))


def parse_offset(reply: bytes) -> StoredOffset | None:
    """The reply to `GET_OFFSET`: None for "nothing stored", which it also is for a topic that does not exist.

    An empty partition has no stored offsets, so that its newest message is the one told.

    Raises:
        WireError: if the reply is malformed.
    """
    if not reply:
        return None
    if len(reply) != _OFFSET_REPLY.size:
        raise WireError("a stored offset of another size")
    _, current_offset, stored_offset = _OFFSET_REPLY.unpack(reply)
    return StoredOffset(offset=stored_offset, end_offset=current_offset + 1)


def parse_page(reply: bytes, *, count_max: int, page_bytes_max: int) -> PolledPage:
    """The reply to `POLL`, cut after *count_max* messages or before the page grows past *page_bytes_max*.

    The first message is always taken, whatever its size.

    Raises:
        WireError: if the reply is malformed.
    """
    if len(reply) < POLL_HEAD_BYTES:
        raise WireError("a poll reply without its head")
    partition_id, current_offset, _ = _POLL_HEAD.unpack_from(reply)
    offsets: list[int] = []
    timestamps_us: list[int] = []
    ids: list[bytes] = []
    payloads: list[bytes] = []
    blocks: dict[int, bytes] = {}
    unpack = _FRAME.unpack_from
    record_bytes = 0
    cut = False
    at = POLL_HEAD_BYTES
    while at < len(reply) and not cut:
        base_offset, timestamp_us, end = _batch(reply, at)
        begin = at = at + _BATCH_BYTES
        next_at = at
        full_at = min(end, begin + page_bytes_max - record_bytes)
        # This runs for every message out: no object, call or comparison more than it needs (0.3 us; 1.4 us with an
        # object for each, measured).
        while at < end:
            try:
                message_id, offset_delta, headers_size, payload_size = unpack(reply, at)
            except struct.error:
                raise WireError("a message frame is cut short") from None
            payload_at = at + _FRAME_BYTES
            headers_at = payload_at + payload_size
            next_at = headers_at + headers_size
            if (next_at > full_at or len(offsets) == count_max) and (offsets or next_at > end):
                cut = True
                break
            if headers_size:
                blocks[len(offsets)] = reply[headers_at:next_at]
            offsets.append(base_offset + offset_delta)
            ids.append(message_id)
            payloads.append(reply[payload_at:headers_at])
            at = next_at
        if next_at > end:
            raise WireError("a message reaches past its batch")
        record_bytes += at - begin
        timestamps_us += [timestamp_us] * (len(offsets) - len(timestamps_us))
    ids.reverse()
    # Those of a batch mostly have the very same, which are taken apart once: a trace takes 0.7 us.
    taken_apart = {block: _headers(block) for block in set(blocks.values())}
    headers = {index: taken_apart[block] for index, block in blocks.items()}
    # Iggy's ids are little endian: backwards as a whole, their order and the bytes of each are both put right.
    records = Records(offsets, timestamps_us, b"".join(ids)[::-1], payloads, headers)
    return PolledPage(partition_id, current_offset, records, record_bytes, cut)


def with_head_of(polled: PolledPage, reply: bytes) -> PolledPage:
    """What was made of an earlier reply, for one that differs from it in its head only."""
    partition_id, current_offset, _ = _POLL_HEAD.unpack_from(reply)
    return polled._replace(partition_id=partition_id, current_offset=current_offset)


def _batch(reply: bytes, at: int) -> tuple[int, int, int]:
    if at + _BATCH_BYTES > len(reply):
        raise WireError("a batch header is cut short")
    _, base_offset, timestamp_us, _, length, _, _ = _BATCH.unpack_from(reply, at)
    end = at + length
    if length < _BATCH_BYTES or end > len(reply):
        raise WireError("a batch reaches past the reply")
    if base_offset > OFFSET_MAX:
        raise WireError("an offset beyond 63 bits")
    return base_offset, timestamp_us, end


def _headers(block: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    unpack = FIELD.unpack_from
    at = 0
    try:
        while at < len(block):
            kind, size = unpack(block, at)
            value_at = at + FIELD.size + size
            key = _key(kind, block[at + FIELD.size : value_at])
            kind, size = unpack(block, value_at)
            at = value_at + FIELD.size + size
            headers[key] = _value(kind, block[value_at + FIELD.size : at])
    except struct.error:
        return {_BROKEN_HEADERS_KEY: block}
    return headers if at == len(block) else {_BROKEN_HEADERS_KEY: block}


def _key(kind: int, encoded: bytes) -> str:
    """Text as it is; anything else as `kind:value`, bytes in hexadecimal, so that the same key is always spelt so."""
    value = _value(kind, encoded)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"raw:{value.hex()}"
    if kind == _BOOL_KIND:
        return f"bool:{'true' if value else 'false'}"
    name = INT_KINDS[kind][0] if kind in INT_KINDS else _FLOAT_KINDS[kind][0]
    return f"{name}:{value!r}"


def _value(kind: int, encoded: bytes) -> HeaderValue:
    """The value, or its bytes where its kind is not known or does not fit it."""
    if kind == _STRING_KIND:
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            return encoded
    if kind == _BOOL_KIND and len(encoded) == 1:
        return encoded != b"\x00"
    if kind in INT_KINDS:
        _, size, signed = INT_KINDS[kind]
        return int.from_bytes(encoded, "little", signed=signed) if len(encoded) == size else encoded
    if kind in _FLOAT_KINDS:
        _, layout = _FLOAT_KINDS[kind]
        if len(encoded) == layout.size:
            number: float = layout.unpack(encoded)[0]
            return number
    return encoded


def parse_roster(reply: bytes) -> tuple[str, ...]:
    """The reply to `CLUSTER_METADATA`: `name, u32 count`, then each node: `name, host, u16 TCP, QUIC, HTTP, WebSocket port,
    u8 role, u8 status`; a text is `u32 length, UTF-8`.

    Gives host:port of each node that takes clients over TCP, in the server's order, at most `IGGY_NODES_MAX`.

    Raises:
        WireError: if the reply is malformed.
    """
    try:
        _, at = _text(reply, 0)
        (count,) = _LENGTH.unpack_from(reply, at)
        at += _LENGTH.size
        nodes: list[str] = []
        for _ in range(min(count, IGGY_NODES_MAX)):
            _, at = _text(reply, at)
            host, at = _text(reply, at)
            (port,) = _REST.unpack_from(reply, at)
            at += _REST.size
            if host and port:
                nodes.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except (struct.error, UnicodeDecodeError):
        raise WireError("a roster that is cut short or no text") from None
    return tuple(nodes)


def _text(reply: bytes, at: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(reply, at)
    at += _LENGTH.size
    if at + length > len(reply):
        raise WireError("a text reaches past the roster")
    return reply[at : at + length].decode(), at + length
