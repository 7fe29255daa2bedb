import base64
import json
import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.clock import rfc3339
from bridge.events import is_event
from bridge.limits import OFFSET_MAX, PAGE_SIZES_KEPT_MAX
from bridge.messagelog import NO_RECORDS, Headers, Message, Page, Records
from bridge.web.wire.pages import PageEncoder
from tests.support.events import generic_event, user_event


class _Shown(msgspec.Struct, forbid_unknown_fields=True):
    offset: int
    timestamp: datetime
    id: UUID
    size: int
    event: msgspec.Raw
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    payload_base64: str | msgspec.UnsetType = msgspec.UNSET
    headers: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class _Page(msgspec.Struct):
    messages: list[_Shown]


def _shown(payload: bytes, **more: Any) -> _Shown:
    fields: dict[str, Any] = {"offset": 0, "timestamp_us": 0, "id": 1, "headers": {}}
    page = PageEncoder().page_json(Page(0, 0, Records.of((Message(payload=payload, **(fields | more)),))))
    json.loads(page)
    return msgspec.convert(msgspec.json.decode(page, type=dict[str, msgspec.Raw]) and _first(page), _Shown)


def _first(page: bytes) -> _Shown:
    class _Page(msgspec.Struct):
        messages: list[_Shown]

    return msgspec.json.decode(page, type=_Page).messages[0]


def _given_back(shown: _Shown) -> bytes:
    """The bytes of the message as a client gets them back from its page."""
    if bytes(shown.event) != b"null":
        return bytes(shown.event)
    if isinstance(shown.payload, msgspec.Raw):
        return bytes(shown.payload)
    if isinstance(shown.text, str):
        return shown.text.encode()
    assert isinstance(shown.payload_base64, str)
    return base64.b64decode(shown.payload_base64, validate=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


@given(st.binary() | st.text().map(str.encode) | _JSON)
@example(b"")
@example(b"null")
@example(b"[" * 100_000)
@example(b"[" * 65 + b"]" * 65)
@example(b"1e400")
@example(b"18446744073709551616")
@example(b"NaN")
@example(b'"\\ud800"')
@example(b"\xed\xa0\x80")
@example(b"\xef\xbb\xbf{}")
@example(b"\x00\x1b[31m")
@example(b'{"a":1,"a":2}')
@example(b'"</script>"')
@example(b'{"a":1}\n{"b":2}')
def test_any_bytes_in_the_log_give_a_page_that_gives_them_back(payload: bytes) -> None:
    shown = _shown(payload)
    assert shown.size == len(payload)
    # White space around a JSON value is no part of the value, and no parser gives it back.
    assert _given_back(shown) in (payload, payload.strip(b" \t\r\n"))


@pytest.mark.parametrize("indent", [None, 1])
def test_an_event_goes_out_as_the_bytes_it_came_in(indent: int | None) -> None:
    stored = json.dumps(user_event(more=2**70), indent=indent).encode()
    shown = _shown(stored)
    assert bytes(shown.event) == stored
    assert shown.payload is shown.text is shown.payload_base64 is shown.headers is msgspec.UNSET


@pytest.mark.parametrize(
    "payload, field",
    [
        (b'{"a": 1}', "payload"),
        (b"null", "payload"),
        (b"12345678901234567890123", "payload"),
        (b"hello", "text"),
        (b"", "text"),
        (b"[" * 65 + b"]" * 65, "text"),
        (b"1e999", "text"),
        (b"\xff\x00", "payload_base64"),
    ],
)
def test_what_is_no_event_goes_out_as_what_it_is(payload: bytes, field: str) -> None:
    shown = _shown(payload, headers={"k": "v"})
    assert bytes(shown.event) == b"null"
    assert shown.headers == {"k": "v"}
    others = {"payload", "text", "payload_base64"} - {field}
    assert getattr(shown, field) is not msgspec.UNSET
    assert all(getattr(shown, other) is msgspec.UNSET for other in others)


def test_an_event_with_a_fault_is_no_event_and_still_goes_out() -> None:
    stored = json.dumps(generic_event(1) | {"timestamp": "now"}).encode()
    assert not is_event(stored)
    shown = _shown(stored)
    assert isinstance(shown.payload, msgspec.Raw)
    assert bytes(shown.payload) == stored


@given(
    st.dictionaries(
        st.text(alphabet=st.characters(exclude_categories=())),
        st.binary()
        | st.text(alphabet=st.characters(exclude_categories=()))
        | st.booleans()
        | st.integers()
        | st.floats(),
    )
)
@example({"n": math.nan, "i": math.inf, "big": 2**127, "low": -(2**127), "k\udc80": "\udc80"})
def test_no_header_breaks_the_page(headers: dict[str, Any]) -> None:
    typed: Headers = headers
    shown = json.loads(PageEncoder().lines(Records.of([Message(0, 0, 0, b"x", typed)]))[0])["headers"]
    for key, value in headers.items():
        name = key.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, bytes):
            assert base64.b64decode(shown[name]["base64"]) == value
        elif isinstance(value, float) and not math.isfinite(value):
            assert shown[name] == {"number": str(value)}
        elif not isinstance(value, str):
            assert shown[name] == value


def test_an_event_with_headers_shows_them() -> None:
    assert _shown(json.dumps(user_event()).encode(), headers={"trace": b"\xff"}).headers == {
        "trace": {"base64": "/w=="}
    }


@pytest.mark.parametrize("number", [0, 1, 2**53 + 1, 2**128 - 1])
def test_an_id_is_the_uuid_of_all_its_bits(number: int) -> None:
    assert _shown(b"x", id=number).id.int == number


def test_a_page_counts_its_messages_and_says_where_the_partition_ends() -> None:
    messages = tuple(Message(offset, 0, 0, b"1", {}) for offset in (5, 6))
    page = json.loads(PageEncoder().page_json(Page(2, 10, Records.of(messages))))
    assert (page["count"], page["partition_id"], page["current_offset"]) == (2, 2, 9)
    assert [message["offset"] for message in page["messages"]] == [5, 6]


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_time_is_told_to_the_microsecond(time_us: int) -> None:
    text = rfc3339(time_us)
    assert len(text) == 27
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds == time_us


@pytest.mark.parametrize(
    "time_us, text",
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-5, "1970-01-01T00:00:00.000000Z"),
        (2**64, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_that_no_calendar_holds_breaks_no_page(time_us: int, text: str) -> None:
    assert rfc3339(time_us) == text


def test_what_a_kept_page_looks_like_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = PageEncoder()
    stored = json.dumps(user_event()).encode()
    records = Records.of((Message(5, 0, 1, stored, {}), Message(6, 0, 1, b"x", {"k": 1})))
    records.kept = True
    first = encoder.page_json(Page(0, 7, records))
    with monkeypatch.context() as patch:
        patch.delattr(PageEncoder, "lines")
        again = encoder.page_json(Page(0, 8, records))
    assert again == first.replace(b'"current_offset":6', b'"current_offset":7')


@given(
    st.lists(
        st.sampled_from([json.dumps(generic_event({"n": [1]})).encode(), b"[1]", b"text", b"\xff"]),
        max_size=6,
    ),
    st.booleans(),
)
def test_all_messages_as_one_are_each_by_itself_with_the_ends_between(
    payloads: list[bytes], headed: bool
) -> None:
    records = Records.of(
        [
            Message(n * 1000, n * 10**6, 2**127 + n, payload, {"h": n} if headed and n == 1 else {})
            for n, payload in enumerate(payloads)
        ]
    )
    encoder = PageEncoder()
    lines = encoder.lines(records, lead=b'{"a":1,')
    assert encoder.joined(records, lead=b'{"a":1,') == b",".join(lines)
    assert encoder.joined(records, lead=b'{"a":1,', end=b"\n") == b"".join([line + b"\n" for line in lines])


_EVENT_OF_SOME_SIZE = st.integers(0, 300).map(
    lambda size: json.dumps(generic_event({"n": "x" * size})).encode()
)
_TIME_US = st.sampled_from([0, 1_767_323_045_678_901]) | st.integers(0, 2**62)


@given(
    st.lists(
        st.builds(
            Message,
            st.integers(0, OFFSET_MAX),
            _TIME_US,
            st.integers(0, 2**128 - 1),
            _EVENT_OF_SOME_SIZE,
            st.just({}),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([b"{", b'{"partition_id":4294967295,', b'{"a":"b,c",']),
    st.sampled_from([b"", b"\n"]),
)
def test_events_written_all_at_once_are_what_they_are_one_by_one(
    messages: list[Message], lead: bytes, end: bytes
) -> None:
    encoder = PageEncoder()
    records = Records.of(messages)
    lines = encoder.lines(records, lead=lead)
    for message, line in zip(messages, lines, strict=True):
        shown = json.loads(line)
        assert (shown["offset"], shown["id"]) == (message.offset, str(UUID(int=message.id)))
        assert (shown["size"], shown["event"]) == (len(message.payload), json.loads(message.payload))
    assert encoder.joined(records, lead=lead, end=end) == (end or b",").join(lines) + end


def test_no_message_is_nothing() -> None:
    assert PageEncoder().joined(NO_RECORDS) == PageEncoder().joined(NO_RECORDS, end=b"\n") == b""
    assert PageEncoder().lines(NO_RECORDS) == []


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=5))
def test_ids_are_told_as_uuids(ids: list[int]) -> None:
    page = PageEncoder().page_json(Page(0, 0, Records.of([Message(0, 0, one, b"x", {}) for one in ids])))
    assert [shown["id"] for shown in json.loads(page)["messages"]] == [str(UUID(int=one)) for one in ids]


@pytest.mark.parametrize("headers", [{}, {0: {"h": 1}}])
def test_what_the_log_knows_to_be_an_event_is_not_judged_again(headers: dict[int, Headers]) -> None:
    payload = json.dumps(generic_event({"n": [1]})).encode()
    encoder = PageEncoder()
    judged = encoder.lines(Records([3], [5], bytes(16), [payload], headers))
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(type(encoder.forms), "forms_of")
        assert encoder.lines(Records([3], [5], bytes(16), [payload], headers, events=True)) == judged


def test_a_size_is_told_of_an_event_of_any_length_as_often_as_it_is_read() -> None:
    events = [json.dumps(generic_event({"n": "x" * more})).encode() for more in (0, PAGE_SIZES_KEPT_MAX)]
    records = Records.of([Message(n, 0, 1, event, {}) for n, event in enumerate(events * 2)])
    for _ in range(2):
        page = json.loads(PageEncoder().page_json(Page(0, 4, records)))
        assert [message["size"] for message in page["messages"]] == list(map(len, events * 2))
