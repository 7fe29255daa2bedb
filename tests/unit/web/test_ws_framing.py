import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web.sockets.framing import (
    CloseCode,
    Frame,
    FrameFault,
    FrameReader,
    Opcode,
    close_frame,
    frame_of,
)
from tests.support.ws_frames import client_close, client_frame, client_text

BYTES_MAX = 70_000
FRAGMENTS_MAX = 4


def reader() -> FrameReader:
    return FrameReader(message_bytes_max=BYTES_MAX, fragments_max=FRAGMENTS_MAX)


def taken(data: bytes, *, cuts: tuple[int, ...] = ()) -> list[Frame]:
    """What comes of *data*, fed in pieces."""
    found: list[Frame] = []
    frames = reader()
    for start, stop in itertools.pairwise((0, *sorted(cuts), len(data))):
        frames.feed(data[start:stop])
        while (frame := frames.take()) is not None:
            found.append(frame)
    return found


def fault(data: bytes) -> CloseCode:
    with pytest.raises(FrameFault) as raised:
        taken(data)
    assert raised.value.reason.isascii()
    assert len(raised.value.reason) <= 123
    return raised.value.code


@pytest.mark.parametrize("count", [0, 1, 125, 126, 65_535, 65_536, BYTES_MAX])
def test_a_message_of_any_length_arrives_as_it_was_sent(count: int) -> None:
    text = bytes(32 + index % 90 for index in range(count))
    assert taken(client_text(text)) == [Frame(Opcode.TEXT, text)]


@pytest.mark.parametrize(
    "data,code",
    [
        pytest.param(client_frame(1, b"x", mask=None), CloseCode.PROTOCOL_ERROR, id="unmasked"),
        pytest.param(client_frame(9, b"x", mask=None), CloseCode.PROTOCOL_ERROR, id="unmasked-ping"),
        *(
            pytest.param(client_frame(1, b"x", reserved=bits), CloseCode.PROTOCOL_ERROR, id=f"reserved-{bits}")
            for bits in (1, 2, 4)
        ),
        *(
            pytest.param(client_frame(opcode, b"x"), CloseCode.PROTOCOL_ERROR, id=f"opcode-{opcode}")
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        ),
        pytest.param(client_frame(9, b"x", final=False), CloseCode.PROTOCOL_ERROR, id="fragmented-ping"),
        pytest.param(client_frame(9, b"x" * 126), CloseCode.PROTOCOL_ERROR, id="long-ping"),
        pytest.param(client_frame(0, b"x"), CloseCode.PROTOCOL_ERROR, id="continues-nothing"),
        pytest.param(
            client_frame(1, b"x", final=False) + client_text(b"y"), CloseCode.PROTOCOL_ERROR, id="two-begun"
        ),
        pytest.param(
            client_frame(1, b"", final=False) + client_text(b"y"), CloseCode.PROTOCOL_ERROR, id="empty-begun"
        ),
        pytest.param(client_frame(1, b"x", length_bytes=2), CloseCode.PROTOCOL_ERROR, id="16-bit-for-1"),
        pytest.param(client_frame(1, b"x" * 126, length_bytes=8), CloseCode.PROTOCOL_ERROR, id="64-bit-for-126"),
        pytest.param(b"\x81\xff" + b"\xff" * 8, CloseCode.PROTOCOL_ERROR, id="negative-length"),
        pytest.param(client_frame(2, b"x"), CloseCode.UNSUPPORTED, id="binary"),
        pytest.param(client_frame(2, b"x" * BYTES_MAX * 2), CloseCode.UNSUPPORTED, id="large-binary"),
        pytest.param(client_text(b"\xff"), CloseCode.INVALID_TEXT, id="latin-1"),
        pytest.param(client_text(b"\xed\xa0\x80"), CloseCode.INVALID_TEXT, id="surrogate"),
        pytest.param(
            client_frame(1, b"\xc3", final=False) + client_frame(0, b"x"), CloseCode.INVALID_TEXT, id="cut-character"
        ),
        pytest.param(client_text(b"x" * (BYTES_MAX + 1)), CloseCode.TOO_BIG, id="too-big"),
        pytest.param(
            client_frame(1, b"x" * BYTES_MAX, final=False) + client_frame(0, b"y"), CloseCode.TOO_BIG, id="grown"
        ),
        pytest.param(
            client_frame(1, final=False) + client_frame(0, final=False) * FRAGMENTS_MAX, CloseCode.POLICY, id="empty-fragments"
        ),
        pytest.param(client_frame(8, b"\x03"), CloseCode.PROTOCOL_ERROR, id="half-a-code"),
        *(
            pytest.param(client_close(close_code), CloseCode.PROTOCOL_ERROR, id=f"code-{close_code}")
            for close_code in (0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65535)
        ),
        pytest.param(client_close(1000, b"\xff"), CloseCode.INVALID_TEXT, id="reason-no-text"),
    ],
)  # fmt: skip
def test_what_breaks_the_rules_ends_the_socket_with_the_code_for_it(data: bytes, code: CloseCode) -> None:
    assert fault(data) == code


def test_a_message_too_long_is_refused_by_its_head_alone() -> None:
    frames = reader()
    frames.feed(client_text(b"x" * (BYTES_MAX + 1))[:10])
    with pytest.raises(FrameFault):
        frames.take()
    assert frames.held_bytes == 10


def test_a_binary_message_is_refused_before_its_length_is_known() -> None:
    assert fault(client_frame(2, b"x" * 10)[:2]) == CloseCode.UNSUPPORTED


def test_control_frames_may_stand_between_fragments() -> None:
    data = client_frame(1, b"one ", final=False) + client_frame(9, b"p") + client_frame(0, b"two")
    assert taken(data) == [Frame(Opcode.PING, b"p"), Frame(Opcode.TEXT, b"one two")]


def test_a_message_may_come_in_as_many_fragments_as_are_taken() -> None:
    data = client_frame(1, b"a", final=False) + client_frame(0, b"b", final=False) * (FRAGMENTS_MAX - 2)
    assert taken(data + client_frame(0, b"c")) == [Frame(Opcode.TEXT, b"abbc")]


@pytest.mark.parametrize("code", [1000, 1001, 1014, 3000, 4999])
def test_a_close_frame_tells_its_code_and_reason(code: int) -> None:
    assert taken(client_close(code, "für".encode())) == [Frame(Opcode.CLOSE, "für".encode(), code)]


def test_a_close_frame_may_be_empty() -> None:
    assert taken(client_close(None)) == [Frame(Opcode.CLOSE, b"")]


def test_a_message_whose_end_is_missing_is_not_given() -> None:
    assert taken(client_text(b"hello")[:-1]) == []


def test_nothing_is_held_of_what_was_taken() -> None:
    frames = reader()
    frames.feed(client_frame(1, b"a" * 200, final=False) + client_frame(0, b"b" * 200))
    assert frames.take() is not None
    assert frames.held_bytes == 0


@pytest.mark.parametrize(
    "sent,expected",
    [
        (frame_of(Opcode.TEXT, b"x" * 125), b"\x81\x7d" + b"x" * 125),
        (frame_of(Opcode.TEXT, b"x" * 126), b"\x81\x7e\x00\x7e" + b"x" * 126),
        (frame_of(Opcode.TEXT, b"x" * 65_536), b"\x81\x7f" + (65_536).to_bytes(8, "big") + b"x" * 65_536),
        (frame_of(Opcode.PING), b"\x89\x00"),
        (frame_of(Opcode.PONG, b"abc"), b"\x8a\x03abc"),
        (close_frame(None), b"\x88\x00"),
        (close_frame(1008, "no"), b"\x88\x04\x03\xf0no"),
        (close_frame(1008, "x" * 200), b"\x88\x7d\x03\xf0" + b"x" * 123),
    ],
)
def test_frames_are_sent_unmasked_and_in_their_shortest_form(sent: bytes, expected: bytes) -> None:
    assert sent == expected


MESSAGES = st.text(max_size=300).map(str.encode)


@given(
    messages=st.lists(st.tuples(MESSAGES, st.lists(st.integers(0, 300), max_size=FRAGMENTS_MAX - 1)), max_size=5),
    mask=st.binary(min_size=4, max_size=4),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)  # fmt: skip
def test_however_messages_are_cut_into_fragments_and_reads_they_arrive_whole(
    messages: list[tuple[bytes, list[int]]], mask: bytes, cuts: list[int]
) -> None:
    data = b""
    for text, marks in messages:
        edges = [0, *sorted(min(mark, len(text)) for mark in marks), len(text)]
        parts = [text[start:stop] for start, stop in itertools.pairwise(edges)]
        for index, part in enumerate(parts):
            opcode = Opcode.CONTINUATION if index else Opcode.TEXT
            data += client_frame(opcode, part, final=index == len(parts) - 1, mask=mask)
    found = taken(data, cuts=tuple(min(cut, len(data)) for cut in cuts))
    assert [frame.payload for frame in found] == [text for text, _ in messages]


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_whatever_comes_there_is_a_frame_or_a_fault_and_how_it_was_cut_changes_nothing(
    data: bytes, cuts: list[int]
) -> None:
    def outcome(cuts: tuple[int, ...]) -> tuple[list[Frame], CloseCode | None]:
        frames, found = reader(), []
        try:
            for start, stop in itertools.pairwise((0, *sorted(cuts), len(data))):
                frames.feed(data[start:stop])
                while (frame := frames.take()) is not None:
                    found.append(frame)
        except FrameFault as raised:
            return found, raised.code
        return found, None

    assert outcome(()) == outcome(tuple(min(cut, len(data)) for cut in cuts))


@given(payload=st.binary(max_size=200), mask=st.binary(min_size=4, max_size=4))
def test_a_mask_is_taken_off(payload: bytes, mask: bytes) -> None:
    assert taken(client_frame(Opcode.PING, payload[:125], mask=mask)) == [Frame(Opcode.PING, payload[:125])]
