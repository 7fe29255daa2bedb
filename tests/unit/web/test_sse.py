"""Nothing that was stored can be more than the data of its own event."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.flow.following.batches import Gap
from bridge.messagelog import Message, Records, TopicRef
from bridge.web.live import sse
from bridge.web.live.streams import EndReason
from bridge.web.wire.pages import PageEncoder
from tests.support.event_source import EventStream, SeenEvent
from tests.support.events import generic_event
from tests.support.raw_http import dechunked

_ID = b"AQAB-_09"
#: What ends lines, or looks like it; what begins streams, fields and comments.
_SHARP = st.sampled_from(
    [
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "\u2028",
        "\u2029",
        "\x85",
        "\x0b",
        "\x0c",
        "\ufeff",
        "\x00",
        ":",
        " ",
        "\x1b",
        "data: x",
        "id: forged",
        "event: bye",
        "retry: 1",
        "\ndata: x\n\n",
        "\r\rid: 7\r\r",
        "{",
        '"',
        "\\",
    ]
)
_TEXT = st.lists(_SHARP | st.text(max_size=5), max_size=12).map("".join)
_BLANK = st.sampled_from(["\n", "\r", "\r\n", " ", "\t", "\n\nid: 1\n\n".replace("id: 1", "")])


@st.composite
def _spaced_json(draw: st.DrawFn) -> bytes:
    """A JSON value as somebody may have written it: line breaks of every kind between its tokens."""
    blank = draw(_BLANK)
    value = draw(st.dictionaries(_TEXT, _TEXT | st.lists(_TEXT, max_size=3), max_size=3))
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        indent=None,
        separators=(f"{blank},{blank}", f"{blank}:{blank}"),
    )
    return f"{blank}{text}{blank}".encode("utf-8", "surrogatepass")


_PAYLOADS = _spaced_json() | _TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary()


def _stream(*payloads: bytes, headers: dict[str, Any] | None = None) -> bytes:
    messages = [Message(i, 0, i + 1, payload, headers or {}) for i, payload in enumerate(payloads)]
    objects = PageEncoder().lines(Records.of(messages), lead=b'{"partition_id":3,')
    return b"".join(sse.message_blocks([b"%b%d" % (_ID, i) for i in range(len(payloads))], objects))


def _seen(stream: bytes) -> EventStream:
    seen = EventStream()
    seen.feed(stream)
    return seen


@given(st.lists(_PAYLOADS, min_size=1, max_size=4), st.dictionaries(_TEXT, _TEXT, max_size=2))
@example([b'{"a":\r\n\r\nid: 7\r\n1}', b"\ndata: x\n\n"], {"\n\nid: 1": "\r\rdata: x"})
@example([b"\xef\xbb\xbfdata: x", b"x" * 1_000_000, b"[\n" * 60 + b"]" * 60], {})
def test_whatever_is_stored_each_message_is_one_event_with_its_own_id(
    payloads: list[bytes], headers: dict[str, str]
) -> None:
    seen = _seen(_stream(*payloads, headers=headers))
    assert [event.type for event in seen.events] == ["message"] * len(payloads)
    assert [event.last_event_id for event in seen.events] == [
        f"{_ID.decode()}{i}" for i in range(len(payloads))
    ]
    for index, (event, payload) in enumerate(zip(seen.events, payloads, strict=True)):
        told = json.loads(event.data)
        assert (told["partition_id"], told["offset"], told["size"]) == (3, index, len(payload))
    assert (seen.retry_ms, seen.comments) == (None, [])


@given(_TEXT.filter(bool))
def test_a_text_comes_back_as_it_was_stored(text: str) -> None:
    (event,) = _seen(_stream(json.dumps({"said": text}).encode())).events
    assert json.loads(event.data)["payload"] == {"said": text}


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=256))
@example("\u2028\u2029data: x")
def test_no_event_type_becomes_the_type_of_an_event(event_type: str) -> None:
    stored = json.dumps(generic_event(1, event_type=event_type), ensure_ascii=False).encode()
    (event,) = _seen(_stream(stored)).events
    assert event.type == "message"
    assert json.loads(event.data)["event"]["event_type"] == event_type


@given(st.lists(_PAYLOADS, min_size=1, max_size=3), st.lists(st.integers(0, 400), max_size=4))
def test_however_the_bytes_are_cut_the_events_are_the_same(payloads: list[bytes], cuts: list[int]) -> None:
    stream = _stream(*payloads)
    edges = [0, *sorted(cuts), len(stream)]
    piecewise = EventStream()
    for begin, end in itertools.pairwise(edges):
        piecewise.feed(stream[begin:end])
    assert piecewise.events == _seen(stream).events


@given(st.binary(min_size=1, max_size=5000))
def test_a_chunk_holds_what_was_put_in(blocks: bytes) -> None:
    assert dechunked(sse.chunk(blocks)) == blocks


def test_a_stream_begins_with_an_event_that_tells_its_place_and_a_time_to_come_back() -> None:
    seen = _seen(sse.open_block(_ID, topic=TopicRef("s", "t"), retry_ms=2317))
    told = '{"stream":"s","topic":"t","cursor":"AQAB-_09","retry_ms":2317}'
    assert (seen.events, seen.retry_ms) == ([SeenEvent("open", told, _ID.decode())], 2317)


def test_a_heartbeat_is_a_comment_and_ends_no_block() -> None:
    seen = _seen(sse.progress_block(_ID) + dechunked(sse.HEARTBEAT))
    assert (len(seen.events), seen.comments, seen.last_event_id) == (1, [":"], _ID.decode())
    assert b"\n\n" not in dechunked(sse.HEARTBEAT)


@pytest.mark.parametrize(
    "block, expected",
    [
        (sse.progress_block(_ID), SeenEvent("progress", '{"cursor":"AQAB-_09"}', _ID.decode())),
        (
            sse.gap_block(_ID, gap=Gap(2, 5, 9)),
            SeenEvent("gap", '{"partition_id":2,"from_offset":5,"to_offset":9}', _ID.decode()),
        ),
        (
            sse.bye_block(_ID, retry_ms=900, reason=EndReason.SHUTDOWN),
            SeenEvent("bye", '{"reason":"shutdown","cursor":"AQAB-_09","retry_ms":900}', _ID.decode()),
        ),
        (
            sse.bye_block(_ID, retry_ms=900, reason=EndReason.GONE, problem={"status": 404}),
            SeenEvent(
                "bye",
                '{"reason":"gone","cursor":"AQAB-_09","retry_ms":900,"problem":{"status":404}}',
                _ID.decode(),
            ),
        ),
    ],
)
def test_whatever_else_is_told_is_an_event_of_its_own_name(block: bytes, expected: SeenEvent) -> None:
    assert _seen(block).events == [expected]


def test_the_reference_reader_follows_the_examples_of_the_standard() -> None:
    example = b"\xef\xbb\xbf: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    seen = _seen(example)
    assert seen.events == [
        SeenEvent("message", "first event", "1"),
        SeenEvent("message", "second event", ""),
        SeenEvent("message", " third event", ""),
    ]
    seen = _seen(b"data\n\ndata\ndata\n\ndata:")
    assert [event.data for event in seen.events] == ["", "\n"]
    seen = _seen(b"id: a\0b\ndata:x\r\n\r\nretry: 1x\rretry:77\r\r")
    assert (seen.events, seen.retry_ms) == ([SeenEvent("message", "x", "")], 77)
