import struct

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.iggy import encoding
from bridge.iggy.send_requests import base_offset, send_request
from bridge.messagelog import HeaderValue, NewMessage, NewRecords, TopicRef
from bridge.messagelog.records import headers_of_all

TOPIC = TopicRef("st", "tö")
ROUTE = struct.pack("<I", 19) + b"\x02\x02st" + b"\x02\x03t\xc3\xb6" + b"\x02\x04" + struct.pack("<I", 9)

_VALUES = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.binary(min_size=1, max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
_MESSAGES = st.lists(
    st.builds(
        NewMessage,
        payload=st.binary(min_size=1, max_size=50),
        id=st.integers(1, 2**128 - 1),
        headers=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), _VALUES),
    ),
    min_size=1,
    max_size=5,
)


def _batch(body: bytes, count: int) -> bytes:
    route = ROUTE + struct.pack("<I", count)
    assert body.startswith(route)
    return body[len(route) :]


@given(_MESSAGES, st.booleans())
def test_what_is_sent_is_read_as_it_was(messages: list[NewMessage], shared: bool) -> None:
    if shared:
        messages = [NewMessage(m.payload, m.id, messages[0].headers) for m in messages]
    records = NewRecords.of(messages)
    if shared:
        headers = headers_of_all(len(messages), messages[0].headers)
        records = NewRecords(records.payloads, records.ids, headers)
    batch = _batch(send_request(TOPIC, 9, records, 123), len(messages))
    page = encoding.parse_page(struct.pack("<IQI", 9, 0, 0) + batch, count_max=99, page_bytes_max=2**20)
    assert [(read.payload, read.id, dict(read.headers)) for read in page.records] == [
        (message.payload, message.id, dict(message.headers)) for message in messages
    ]
    assert [read.offset for read in page.records] == list(range(len(messages)))


@given(_MESSAGES)
def test_checksums_bind_every_byte_of_a_message_and_all_messages_of_a_batch(
    messages: list[NewMessage],
) -> None:
    batch = _batch(send_request(TOPIC, 9, NewRecords.of(messages), 123), len(messages))
    origin_us, length, checksum, count = struct.unpack_from("<24xQQQI", batch)
    assert (origin_us, length, count) == (123, len(batch), len(messages))
    assert not any(batch[52:256])
    of_frames = b""
    at = 256
    for _ in messages:
        headers_bytes, payload_bytes = struct.unpack_from("<II", batch, at + 32)
        end = at + 48 + headers_bytes + payload_bytes
        assert xxhash.xxh3_64_intdigest(batch[at + 8 : end]).to_bytes(8, "little") == batch[at : at + 8]
        of_frames += batch[at : at + 8]
        at = end
    assert at == len(batch)
    hashed = struct.pack("<QQQQQI", 0, 0, 0, origin_us, length, count) + of_frames
    assert checksum == xxhash.xxh3_64_intdigest(hashed)


def test_a_message_without_an_id_gets_one_of_its_own() -> None:
    batch = _batch(send_request(TOPIC, 9, NewRecords.of([NewMessage(b"a"), NewMessage(b"b")]), 1), 2)
    page = encoding.parse_page(bytes(16) + batch, count_max=9, page_bytes_max=2**20)
    assert len({message.id for message in page.records} | {0}) == 3


@pytest.mark.parametrize(
    "value, kind, encoded",
    [
        ("ü", 2, "ü".encode()),
        (b"\xff", 1, b"\xff"),
        (True, 3, b"\x01"),
        (0, 9, b"\x00"),
        (255, 9, b"\xff"),
        (256, 10, b"\x00\x01"),
        (2**16, 11, b"\x00\x00\x01\x00"),
        (2**64 - 1, 12, b"\xff" * 8),
        (-1, 4, b"\xff"),
        (-129, 5, b"\x7f\xff"),
        (-(2**15) - 1, 6, b"\xff\x7f\xff\xff"),
        (-(2**63), 7, b"\x00" * 7 + b"\x80"),
        (1.5, 14, struct.pack("<f", 1.5)),
        (0.1, 15, struct.pack("<d", 0.1)),
        (1e300, 15, struct.pack("<d", 1e300)),
    ],
)
def test_a_header_value_takes_the_narrowest_kind(value: HeaderValue, kind: int, encoded: bytes) -> None:
    body = send_request(TOPIC, 9, NewRecords.of([NewMessage(b"p", 1, {"k": value})]), 1)
    assert body.endswith(
        b"p" + struct.pack("<BI", 2, 1) + b"k" + struct.pack("<BI", kind, len(encoded)) + encoded
    )


def test_headers_are_in_order_of_their_keys() -> None:
    body = send_request(TOPIC, 9, NewRecords.of([NewMessage(b"p", 1, {"b": True, "é": True, "a": True})]), 1)
    assert body.index(b"\x00a\x03") < body.index(b"\x00b\x03") < body.index("\x00é\x03".encode())


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_a_number_that_iggy_has_no_kind_for_is_refused(value: HeaderValue) -> None:
    with pytest.raises(BadRequest):
        send_request(TOPIC, 9, NewRecords.of([NewMessage(b"p", 1, {"k": value})]), 1)


@pytest.mark.parametrize(
    "reply, offset",
    [
        (struct.pack("<IIIIQ", 1, 4, 5, 6, 77), 77),
        (struct.pack("<I", 0), None),
        (b"", None),
    ],
)
def test_a_confirmation_tells_the_first_offset_where_there_is_one(reply: bytes, offset: int | None) -> None:
    assert base_offset(reply) == offset
