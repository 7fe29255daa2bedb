import struct

import pytest

from bridge.iggy.encoding import PolledPage, WireError
from bridge.iggy.reader import HotReplies
from bridge.limits import PAGE_BYTES_MAX, PAGE_LIGHT_BYTES
from bridge.messagelog import TopicRef

TOPIC = TopicRef("stream", "topic")
FRAME = struct.Struct("<QQQIIIIQ")


def reply(*payloads: bytes, base: int = 0, current: int = 9, timestamp_us: int = 5) -> bytes:
    frames = b"".join(
        FRAME.pack(0, 1, 2, place, 0, 0, len(payload), 0) + payload for place, payload in enumerate(payloads)
    )
    head = struct.pack("<QQQQQQI", 0, base, timestamp_us, 0, 256 + len(frames), 0, len(payloads))
    return struct.pack("<IQI", 0, current, len(payloads)) + head.ljust(256, b"\0") + frames


def parsed(hot: HotReplies, body: bytes, topic: TopicRef = TOPIC, *, count: int = 10) -> PolledPage:
    return hot.parsed(topic, 0, body, count_max=count, page_bytes_max=PAGE_BYTES_MAX)


def test_a_reply_that_comes_again_and_again_gives_the_same_records() -> None:
    hot = HotReplies()
    first, second, third = (parsed(hot, reply(b"a", b"b")) for _ in range(3))
    assert first == second == third
    assert not first.records.kept
    assert second.records.kept
    assert third.records is second.records


def test_the_head_is_always_that_of_the_new_reply() -> None:
    hot = HotReplies()
    for current in (1, 2, 3, 4):
        polled = parsed(hot, reply(b"a", b"b", current=current))
        assert (polled.current_offset, len(polled.records)) == (current, 2)


@pytest.mark.parametrize(
    "other",
    [
        reply(b"a", b"c"),
        reply(b"a", b"b", timestamp_us=6),
        reply(b"a", b"b", base=7),
        reply(b"a"),
        reply(),
    ],
)
def test_other_bytes_at_the_same_place_are_never_taken_for_those_kept(other: bytes) -> None:
    hot = HotReplies()
    for _ in range(3):
        parsed(hot, reply(b"a", b"b"))
    for _ in range(3):
        assert parsed(hot, other) == parsed(HotReplies(), other)
    assert parsed(hot, reply(b"a", b"b")) == parsed(HotReplies(), reply(b"a", b"b"))


def test_a_page_of_fewer_messages_is_another_page() -> None:
    hot = HotReplies()
    for _ in range(3):
        assert len(parsed(hot, reply(b"a", b"b"), count=2).records) == 2
        assert len(parsed(hot, reply(b"a", b"b"), count=1).records) == 1


def test_a_malformed_reply_is_refused_however_often_it_comes() -> None:
    hot = HotReplies()
    for _ in range(3):
        with pytest.raises(WireError):
            parsed(hot, reply(b"a")[:-1])


def test_a_heavy_reply_is_taken_apart_each_time() -> None:
    hot = HotReplies()
    heavy = reply(b"\0" * (PAGE_LIGHT_BYTES + 1))
    assert not any(parsed(hot, heavy).records.kept for _ in range(3))
