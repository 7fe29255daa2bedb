import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SerializationError
from bridge.events import Event, EventIds, known_ids, sure_id, whole_value
from bridge.limits import JSON_DEPTH_MAX
from tests.support.events import ORDER_CREATED, checked_event, generic_event, order_event, user_event

_EVENT = msgspec.json.Decoder(Event)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(['"', "\x01", "]", "e"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _sure(*events: bytes) -> EventIds | None:
    ids = known_ids(events)
    if len(events) == 1:
        # What is made for one says the same, or leaves it to a closer look.
        event = whole_value(events[0], _EVENT)
        one = None if event is None else sure_id(event)
        assert ids == one or (one is None and _is_taken(events[0]))
    return ids


def _is_taken(event: bytes) -> bool:
    try:
        checked_event(event)
    except SerializationError:
        return False
    return True


def _bytes(event: dict[str, Any], **options: Any) -> bytes:
    return json.dumps(event, **options).encode()


@pytest.mark.parametrize("options", [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}])
@pytest.mark.parametrize(
    "event",
    [
        user_event(),
        user_event(source="s\u00e9 \\ / \x7f", correlation_id=str(uuid.uuid4())),
        user_event(source=None, correlation_id=None),
        order_event(),
        order_event(ORDER_CREATED | {"total_amount": 59.98}),
        order_event({"action": "Cancelled", "order_id": str(uuid.uuid4()), "reason": "[{"}),
        generic_event({"id": "4e1234", "n": [1, -2.5, True, None, "e", {"type": "x"}], "quote": '"'}),
        generic_event([1e-7, 1e22, 2.5e100]),
        generic_event(7),
    ],
)
def test_events_as_people_write_them_are_surely_events(
    event: dict[str, Any], options: dict[str, Any]
) -> None:
    for others in ((), (_bytes(user_event()), _bytes(generic_event([])))):
        found = _sure(_bytes(event, **options), *others)
        assert found is not None
        assert found.texts[0] == event["id"]
        assert found.packed[:16] == uuid.UUID(event["id"]).bytes
        assert len(found.texts) == len(found.packed) / 16 == 1 + len(others)


def test_ids_in_capitals_are_told_in_lower_case() -> None:
    event_ids = [str(uuid.uuid4()) for _ in range(3)]
    bodies = [_bytes(generic_event(1, id=event_id.upper())) for event_id in event_ids]
    for count in (1, 3):
        packed = b"".join(uuid.UUID(event_id).bytes for event_id in event_ids[:count])
        assert _sure(*bodies[:count]) == EventIds(event_ids[:count], packed)


def test_brackets_are_counted_for_each_event_and_not_for_all_together() -> None:
    levels = JSON_DEPTH_MAX - 4
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    most, more = _bytes(generic_event(value)), _bytes(generic_event([value]))
    assert _sure(most, most, most) is not None
    assert _sure(most) is not None
    for events in ((more,), (more, most), (most, more), (most, more, most)):
        assert _sure(*events) is None


def test_a_mark_of_json_spelled_as_a_number_is_seen_through_where_nothing_is_too_many() -> None:
    text = json.dumps(generic_event(1, source="s"))
    for escape in ('"\\u0022"', '"\\u002c"', '"\\u002c\\u002C"'):
        event = text.replace('"s"', escape).encode()
        assert _sure(event, event) is not None
        assert _sure(event[:-1] + b',"more":1}', event) is None
        assert _sure(event[:-1] + b',"source":""}', event) is None


_ID = "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11"
_DEEP = "[" * (JSON_DEPTH_MAX - 3) + "]" * (JSON_DEPTH_MAX - 3)


@pytest.mark.parametrize(
    "old, new",
    [
        ('{"id"', f'{{"id": "{_ID}", "id"'),
        ('{"id"', f'{{"\\u0069d": "{_ID}", "id"'),
        ('"s"', '"\\u0022\\u0022", "id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12"'),
        ('"payload"', '"more": 1, "payload"'),
        ('"DATA"', "1e400"),
        ('"DATA"', "[-1E+0400]"),
        ('"DATA"', "1" * 310),
        ('"DATA"', _DEEP),
        ('"DATA"', '"\\ud800"'),
        ('"DATA"', "[1,]"),
        ('"anything"', '"a\\nb"'),
        ('"anything"', '"a\\u0085b"'),
        ('"anything"', '""'),
        (f'"{_ID}"', '"00000000-0000-0000-0000-000000000000"'),
        (f'"{_ID}"', '"0b6a4a0e4a7b4c439d6f0a0f6a3e8f11"'),
        (f'"{_ID}"', '"0b6a4a0e 4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '"-0b6a4a0-4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '" 0b6a4a0-4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '"  6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '"xb6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '"\u0130b6a4a0-4a7b-4c43-9d6f-0a0f6a3e8f11"'),
        (f'"{_ID}"', '"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f1"'),
        ("Z", ""),
    ],
)  # fmt: skip
def test_what_is_unusual_or_wrong_is_left_to_a_closer_look(old: str, new: str) -> None:
    text = json.dumps(generic_event("DATA", id=_ID, source="s"))
    assert old in text
    event = text.replace(old, new, 1).encode()
    others = _bytes(user_event()), _bytes(generic_event(1))
    assert _sure(event) is None
    assert _sure(event, *others) is None
    assert _sure(*others, event) is None


@pytest.mark.parametrize(
    "amount", ['"x"', "null", "[1]", "1e3", '"1e3"', '"01"', '"1', "1" * 40, '"1,2"', '""', "-", "true"]
)
def test_an_amount_that_is_not_a_short_decimal_is_left_to_a_closer_look(amount: str) -> None:
    text = json.dumps(order_event(ORDER_CREATED | {"total_amount": "AMOUNT"}))
    event = text.replace('"AMOUNT"', amount).encode()
    assert _sure(event) is None
    assert _sure(event, _bytes(order_event())) is None


def test_what_is_no_utf8_is_no_event() -> None:
    event = _bytes(generic_event("DATA")).replace(b"DATA", b"\xff")
    assert _sure(event) is None


@given(
    st.lists(st.tuples(_VALUES, st.text(max_size=3), _VALUES), min_size=1, max_size=3),
    st.sampled_from(["id", "event_type", "timestamp", "payload", "source", "x", None]),
    st.booleans(),
)
def test_whatever_surely_is_an_event_is_one(
    parts: list[tuple[Any, str, Any]], field: str | None, escaped: bool
) -> None:
    bodies = []
    for value, name, other in parts:
        more = {} if field is None else {field: other}
        event = generic_event(value, **more) if name else user_event(**more)
        bodies.append(_bytes(event | ({name: other} if field == "x" else {}), ensure_ascii=escaped))
    found = _sure(*bodies)
    if found is not None:
        assert all(map(_is_taken, bodies))
        assert found.texts == [checked_event(body).id.lower() for body in bodies]


_FRAGMENTS = st.sampled_from(
    ['"id"', ":", ",", f'"{_ID}"', '"source"', '"\\u0022"', "\\", '"', "{", "}", "[", "]", " ", "1e400", "e", "1", "x"]
)  # fmt: skip


@given(st.lists(_FRAGMENTS, max_size=6).map("".join), st.integers(0, 200), st.integers(0, 3))
def test_no_change_to_an_event_makes_it_sure_and_wrong(inserted: str, at: int, removed: int) -> None:
    text = json.dumps(generic_event({"id": "a", "n": 1.5}, id=_ID, source="s"))
    event = (text[:at] + inserted + text[at + removed :]).encode()
    found = _sure(event)
    if found is not None:
        assert _is_taken(event)
        assert found.packed == uuid.UUID(checked_event(event).id).bytes
