import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.iggy import encoding
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    HeaderValue,
    Last,
    Next,
    Position,
    StoredOffset,
    TopicRef,
)

TOPIC = TopicRef("st", "to")


def _frame(delta: int, payload: bytes, headers: bytes = b"", message_id: int = 7) -> bytes:
    head = struct.pack(
        "<QQQIIIIQ", 0, message_id & 2**64 - 1, message_id >> 64, delta, 0, len(headers), len(payload), 0
    )
    return head + payload + headers


def _batch(base_offset: int, *frames: bytes) -> bytes:
    blob = b"".join(frames)
    head = struct.pack("<QQQQQQI", 0, base_offset, 99, 98, 256 + len(blob), 0, len(frames))
    return head.ljust(256, b"\0") + blob


def _reply(*batches: bytes, current: int = 50) -> bytes:
    return struct.pack("<IQI", 2, current, 0) + b"".join(batches)


def _header(key: bytes, value: bytes, key_kind: int = 2, value_kind: int = 2) -> bytes:
    return struct.pack("<BI", key_kind, len(key)) + key + struct.pack("<BI", value_kind, len(value)) + value


@pytest.mark.parametrize(
    "position, tail",
    [
        (FromOffset(5), (1, 5)),
        (FromTimestamp(6), (2, 6)),
        (First(), (3, 0)),
        (Last(), (4, 0)),
        (Next("me"), (5, 0)),
        (Next(9), (5, 0)),
    ],
)
def test_a_poll_names_its_place_and_commits_nothing(position: Position, tail: tuple[int, int]) -> None:
    body = encoding.poll_request(TOPIC, 3, position, 10)
    assert struct.unpack("<BQIB", body[-14:]) == (*tail, 10, 0)
    place = b"\x02\x02st\x02\x02to\x01\x03\0\0\0"
    consumer = {"me": b"\x02\x02me", 9: b"\x01\x04\x09\0\0\0"}[
        position.consumer if isinstance(position, Next) else 9
    ]
    if isinstance(position, Next):
        assert body[:-14] == b"\x01" + consumer + place
    else:
        assert body[:-14].endswith(place)


def test_offsets_are_asked_for_stored_and_deleted_at_the_same_place() -> None:
    asked = encoding.offset_request(TOPIC, 1, "me")
    assert encoding.store_offset_request(TOPIC, 1, "me", 77) == asked + struct.pack("<QB", 77, 1)
    assert encoding.delete_offset_request(TOPIC, 1, "me") == asked + b"\x01"


def test_a_stored_offset_is_read() -> None:
    assert encoding.parse_offset(b"") is None
    assert encoding.parse_offset(struct.pack("<IQQ", 1, 20, 10)) == StoredOffset(10, 21)
    with pytest.raises(encoding.WireError):
        encoding.parse_offset(b"\0" * 19)


def test_messages_of_several_batches_come_in_order() -> None:
    reply = _reply(
        _batch(10, _frame(2, b"a", message_id=2**127 + 5), _frame(3, b"bc")), _batch(14, _frame(0, b"d"))
    )
    polled = encoding.parse_page(reply, count_max=10, page_bytes_max=10**6)
    assert [(m.offset, m.payload) for m in polled.records] == [(12, b"a"), (13, b"bc"), (14, b"d")]
    assert polled.records[0].id == 2**127 + 5
    assert (polled.partition_id, polled.current_offset) == (2, 50)
    assert (polled.records.payload_bytes, polled.record_bytes, polled.cut) == (4, 3 * 48 + 4, False)


def test_headers_stay_with_their_message_wherever_the_page_is_cut() -> None:
    frames = [_frame(n, b"%d" % n, _header(b"n", b"%d" % n) if n % 2 else b"") for n in range(6)]
    reply = _reply(_batch(0, *frames[:3]), _batch(0, *frames[3:]))
    for count in range(1, 7):
        found = encoding.parse_page(reply, count_max=count, page_bytes_max=10**6)
        assert [(m.payload, m.headers) for m in found.records] == [
            (b"%d" % n, {"n": str(n)} if n % 2 else {}) for n in range(count)
        ]
        assert found.cut is (count < 6)
        assert found.record_bytes == sum(map(len, frames[:count]))


def test_headers_that_messages_share_are_taken_apart_once() -> None:
    frames = [_frame(n, b"", _header(b"n", b"%d" % (n == 2))) for n in range(4)]
    found = encoding.parse_page(_reply(_batch(0, *frames)), count_max=9, page_bytes_max=10**6).records
    assert [found.headers[index] for index in range(4)] == [{"n": "0"}, {"n": "0"}, {"n": "1"}, {"n": "0"}]
    assert found.headers[0] is found.headers[1] is found.headers[3]


def test_a_message_that_reaches_into_the_next_batch_is_refused() -> None:
    short = _batch(0, _frame(0, b"a"), _frame(1, b"bcd")[:-1])
    with pytest.raises(encoding.WireError):
        encoding.parse_page(_reply(short, _batch(2, _frame(0, b"e"))), count_max=10, page_bytes_max=1000)


def test_a_page_is_cut_by_bytes_and_by_count_but_never_empty() -> None:
    reply = _reply(_batch(0, *(_frame(number, b"x" * 52) for number in range(5))))
    for count, size, expected in ((5, 500, 5), (5, 499, 4), (5, 100, 1), (5, 1, 1), (2, 500, 2), (1, 500, 1)):
        polled = encoding.parse_page(reply, count_max=count, page_bytes_max=size)
        assert len(polled.records) == expected
        assert polled.cut is (expected < 5)


@pytest.mark.parametrize(
    "key_kind, key, spelt",
    [
        (2, b"text", "text"),
        (2, b"\xff", "raw:ff"),
        (1, b"\x01\x02", "raw:0102"),
        (3, b"\x00", "bool:false"),
        (4, b"\xff", "int8:-1"),
        (10, b"\x01\x01", "uint16:257"),
        (15, struct.pack("<d", 0.5), "float64:0.5"),
        (77, b"z", "raw:7a"),
    ],
)
def test_header_keys_are_spelt_the_same_each_time(key_kind: int, key: bytes, spelt: str) -> None:
    reply = _reply(_batch(0, _frame(0, b"x", _header(key, b"v", key_kind))))
    message = encoding.parse_page(reply, count_max=1, page_bytes_max=1000).records[0]
    assert message.headers == {spelt: "v"}


@pytest.mark.parametrize(
    "kind, encoded, value",
    [
        (2, "é".encode(), "é"),
        (2, b"\xff", b"\xff"),
        (3, b"\x01", True),
        (3, b"\x01\x01", b"\x01\x01"),
        (7, b"\xfe" + b"\xff" * 7, -2),
        (7, b"\x01", b"\x01"),
        (14, struct.pack("<f", 0.25), 0.25),
        (14, b"\x00", b"\x00"),
        (200, b"new", b"new"),
    ],
)
def test_header_values_that_do_not_fit_their_kind_stay_bytes(
    kind: int, encoded: bytes, value: HeaderValue
) -> None:
    reply = _reply(_batch(0, _frame(0, b"x", _header(b"k", encoded, value_kind=kind))))
    assert encoding.parse_page(reply, count_max=1, page_bytes_max=1000).records[0].headers == {"k": value}


@pytest.mark.parametrize("block", [b"\x02", _header(b"key", b"value")[:-1], _header(b"key", b"value")[:8]])
def test_a_broken_header_block_never_holds_a_message_back(block: bytes) -> None:
    reply = _reply(_batch(0, _frame(0, b"payload", block)))
    message = encoding.parse_page(reply, count_max=1, page_bytes_max=1000).records[0]
    assert (message.payload, message.headers) == (b"payload", {"iggy-headers": block})


@pytest.mark.parametrize(
    "reply",
    [
        b"\0" * 15,
        _reply(b"\0" * 255),
        _reply(b"\0" * 256),
        _reply(_batch(0, _frame(0, b"abc"))[:-1]),
        _reply(struct.pack("<QQQQQQI", 0, 0, 0, 0, 256 + 10, 0, 1).ljust(266, b"\0")),
        _reply(_batch(0, _frame(0, b"abc")[:-1])),
    ],
)
def test_what_is_cut_short_is_refused(reply: bytes) -> None:
    with pytest.raises(encoding.WireError):
        encoding.parse_page(reply, count_max=10, page_bytes_max=1000)


def test_an_offset_that_no_log_gives_out_is_refused() -> None:
    """JSON numbers of more than 64 bits cannot be written, and one such offset would fail the whole page."""
    last = _reply(_batch(2**63 - 1, _frame(0, b"abc")))
    assert encoding.parse_page(last, count_max=10, page_bytes_max=1000).records[0].offset == 2**63 - 1
    with pytest.raises(encoding.WireError):
        encoding.parse_page(_reply(_batch(2**63, _frame(0, b"abc"))), count_max=10, page_bytes_max=1000)


@given(data=st.data())
def test_mangled_bytes_raise_nothing_else(data: st.DataObject) -> None:
    good = _reply(
        _batch(0, _frame(0, b"abc", _header(b"k", b"v")), _frame(1, b"d")), _batch(2, _frame(0, b"e"))
    )
    mangled = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=6)):
        mangled[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    for reply in (bytes(mangled), bytes(mangled[:cut]), data.draw(st.binary(max_size=400))):
        with contextlib.suppress(encoding.WireError):
            encoding.parse_page(reply, count_max=10, page_bytes_max=1000)
        with contextlib.suppress(encoding.WireError):
            encoding.parse_offset(reply)
