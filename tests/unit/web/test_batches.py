import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import BadRequest, SerializationError
from bridge.web.wire.batches import BATCH_OUTLINE, divided_batch
from tests.support.events import generic_event, order_event, user_event
from tests.support.submissions import read_batch

_EVENTS = st.lists(
    st.sampled_from(
        [
            user_event(),
            order_event(),
            generic_event([{"id": 1}, {"id": 2}]),
            generic_event({"id": {"id": "]"}, "e": "}, {"}),
            generic_event([]),
        ]
    ),
    min_size=1,
    max_size=4,
)
_WRITTEN: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}]
_KEYS = st.sampled_from([None, "k", "[", "]", "[]", '{"id"', "},{", "ü"])
_CUTS = st.sampled_from(
    [b"", b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"[]", b"},{", b'{"id"', b"null", b"\xff"]
)


def _payloads(body: bytes) -> list[bytes]:
    return list(read_batch(body, messages_max=9).messages.payloads)


def _of_parser(body: bytes) -> list[bytes]:
    return list(map(bytes, BATCH_OUTLINE.decode(body).events))


@given(_EVENTS, _KEYS, st.sampled_from(_WRITTEN), st.booleans())
def test_events_of_a_batch_are_their_own_bytes_however_it_is_written(
    events: list[dict[str, Any]], key: str | None, written: dict[str, Any], key_first: bool
) -> None:
    members: dict[str, Any] = {"events": events}
    if key is not None:
        members = {"partition_key": key, **members} if key_first else {**members, "partition_key": key}
    body = json.dumps(members, **written).encode()
    payloads = _payloads(body)
    assert payloads == _of_parser(body)
    assert list(map(json.loads, payloads)) == events


@given(
    _EVENTS,
    _KEYS,
    st.sampled_from(_WRITTEN),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3), _CUTS), min_size=1, max_size=3),
)
@example([user_event()], '[{"id"', {}, [])
def test_a_body_that_is_taken_is_json_and_its_events_are_those_that_a_parser_finds(
    events: list[dict[str, Any]],
    key: str | None,
    written: dict[str, Any],
    edits: list[tuple[int, int, bytes]],
) -> None:
    body = json.dumps({"events": events, "partition_key": key}, **written).encode()
    for place, dropped, added in edits:
        at = place % (len(body) + 1)
        body = body[:at] + added + body[at + dropped :]
    try:
        taken = _payloads(body)
    except (SerializationError, BadRequest):
        return
    json.loads(body)
    assert taken == _of_parser(body)


_ONE = json.dumps(user_event()).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"partition_key":"[%b]","events":[]}' % _ONE,
        b'{"partition_key":"[%b]","events":[0]}' % _ONE,
        b'{"partition_key":"a","events":[],"[%b]":1}' % _ONE,
        b'{"events":[],"partition_key":"[%b]"}' % _ONE,
        b'{"events":[%b]"}' % _ONE,
        b'{"events":[%b}]' % _ONE,
        b'{"events":[%b,]}' % _ONE,
        b'{"events":[,%b]}' % _ONE,
        b'{"events":[%b][%b]}' % (_ONE, _ONE),
        b'{"events":[%b],"events":[%b]}' % (_ONE, _ONE),
        b"[%b]" % _ONE,
        b"]" + _ONE + b"[",
    ],
)
def test_events_that_are_in_no_list_of_events_are_not_taken(body: bytes) -> None:
    with pytest.raises(SerializationError):
        _payloads(body)


@pytest.mark.parametrize("written", _WRITTEN)
def test_a_body_of_a_program_is_divided_by_its_text(written: dict[str, Any]) -> None:
    events = [user_event(), generic_event({"id": 1, "lines": [1]}), order_event()]
    body = json.dumps({"events": events, "partition_key": "k"}, **written).encode()
    divided = divided_batch(body)
    assert divided is not None
    payloads, key = divided
    assert (list(map(json.loads, payloads)), key) == (events, "k")
    assert payloads == _of_parser(body)


def test_events_that_hold_objects_like_themselves_are_found_by_the_parser() -> None:
    events = [generic_event([{"id": 1}, {"id": 2}]), generic_event({})]
    body = json.dumps({"events": events}).encode()
    divided = divided_batch(body)
    assert divided is not None
    with pytest.raises(msgspec.DecodeError):
        list(map(msgspec.json.decode, divided[0]))
    assert list(map(json.loads, _payloads(body))) == events


def test_only_the_first_objects_within_an_event_are_passed_over() -> None:
    events = [generic_event({"a": [{"id": {"id": {"id": number}}} for number in range(9)]})] * 2
    body = json.dumps({"events": events}).encode()
    assert list(map(json.loads, _payloads(body))) == events
