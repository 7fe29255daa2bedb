import json
import uuid
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SerializationError
from bridge.events import Event, amount_of, is_event
from bridge.events.payloads import GenericPayload, OrderCreated, OrderPayload
from tests.support.events import ORDER_CREATED, checked_event, generic_event, order_event, user_event

_USER = "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def _decoded(event: dict[str, Any]) -> Event:
    return checked_event(json.dumps(event).encode())


def _refused(event: dict[str, Any] | bytes, path: str | None) -> str:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    with pytest.raises(SerializationError) as fault:
        checked_event(body)
    assert fault.value.path == path
    assert not is_event(body)
    return fault.value.detail


@pytest.mark.parametrize(
    "data",
    [
        {"action": "Created", "user_id": _USER, "email": "e", "name": ""},
        {"action": "Updated", "user_id": _USER},
        {"action": "Updated", "user_id": _USER, "email": "e", "name": None},
        {"action": "Deleted", "user_id": _USER},
        {"action": "LoggedIn", "user_id": _USER, "ip_address": "::1"},
        {"user_id": _USER, "action": "Deleted", "more": [1]},
    ],
)
def test_each_thing_that_happens_to_a_user_is_an_event(data: dict[str, Any]) -> None:
    event = _decoded(user_event(payload={"type": "User", "data": data}))
    assert type(event.payload).__name__ == "UserPayload"


@pytest.mark.parametrize(
    "data",
    [
        ORDER_CREATED,
        ORDER_CREATED | {"items": [], "total_amount": 0},
        *({"action": "Updated", "order_id": _USER, "status": status}
          for status in ("pending", "confirmed", "processing", "shipped", "delivered", "cancelled")),
        {"action": "Cancelled", "order_id": _USER, "reason": "because"},
        {"action": "Shipped", "order_id": _USER, "tracking_number": "T", "carrier": "C"},
    ],
)  # fmt: skip
def test_each_thing_that_happens_to_an_order_is_an_event(data: dict[str, Any]) -> None:
    assert isinstance(_decoded(order_event(data)).payload, OrderPayload)


@pytest.mark.parametrize("spelling", ["0.1", '"0.1"'])
def test_an_amount_is_exact_as_a_number_and_as_a_string(spelling: str) -> None:
    body = json.dumps(order_event(ORDER_CREATED | {"total_amount": "AMOUNT"})).replace('"AMOUNT"', spelling)
    payload = checked_event(body.encode()).payload
    assert isinstance(payload, OrderPayload)
    assert isinstance(payload.data, OrderCreated)
    assert str(amount_of(payload.data.total_amount)) == "0.1"


@given(_JSON)
def test_any_json_fits_a_generic_event_and_comes_out_as_its_own_bytes(data: Any) -> None:
    body = json.dumps(generic_event(data), ensure_ascii=False).encode()
    payload = checked_event(body).payload
    assert isinstance(payload, GenericPayload)
    assert bytes(payload.data) == json.dumps(data, ensure_ascii=False).encode()
    assert is_event(body)


def test_fields_that_nobody_named_are_kept_and_not_looked_at() -> None:
    assert is_event(json.dumps(user_event(more={"id": 1}, trace="x")).encode())


def test_optional_fields_may_be_missing_or_null() -> None:
    assert _decoded(user_event(correlation_id=None, source=None)).source is None
    assert _decoded(user_event()).source is msgspec.UNSET
    correlation_id = uuid.uuid4()
    assert _decoded(user_event(correlation_id=str(correlation_id))).correlation_id == correlation_id


@pytest.mark.parametrize(
    "field, value, path",
    [
        ("id", "nonsense", "$.id"),
        ("id", 7, "$.id"),
        ("id", "00000000-0000-0000-0000-000000000000", "$"),
        ("event_type", "", "$.event_type"),
        ("event_type", "x" * 257, "$.event_type"),
        ("event_type", "a\nb", "$"),
        ("event_type", "a\x85", "$"),
        ("timestamp", "2026-01-02T03:04:05", "$.timestamp"),
        ("timestamp", "yesterday", "$.timestamp"),
        ("timestamp", 1_700_000_000, "$.timestamp"),
        ("correlation_id", "x", "$.correlation_id"),
        ("source", 1, "$.source"),
        ("payload", {"type": "Secret<b>", "data": 1}, "$.payload.type"),
        ("payload", {"data": 1}, "$.payload"),
        ("payload", {"type": "Generic"}, "$.payload"),
        ("payload", {"type": "User", "data": {"action": "Created", "user_id": _USER}}, "$.payload.data"),
        ("payload", {"type": "User", "data": {"action": "Exploded"}}, "$.payload.data.action"),
        ("payload", {"type": "User", "data": {"action": "Deleted", "user_id": "me"}}, "$.payload.data.user_id"),
        ("payload", {"type": "Order", "data": {"action": "Updated", "order_id": _USER, "status": "lost"}}, "$.payload.data.status"),
        ("payload", {"type": "Order", "data": ORDER_CREATED | {"total_amount": "NaN"}}, "$.payload.data"),
        ("payload", {"type": "Order", "data": ORDER_CREATED | {"items": [{"product_id": _USER, "quantity": 2**32, "unit_price": 1}]}}, "$.payload.data.items[0].quantity"),
        ("payload", {"type": "Order", "data": ORDER_CREATED | {"items": [{"product_id": _USER, "quantity": 1, "unit_price": "x"}]}}, "$.payload.data.items[0]"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place_and_without_what_was_sent(field: str, value: Any, path: str) -> None:
    detail = _refused(user_event() | {field: value}, path)
    for echo in ("nonsense", "yesterday", "Secret", "<b>", "Exploded", "lost", "NaN"):
        assert echo not in detail


@pytest.mark.parametrize("field", ["id", "event_type", "timestamp", "payload"])
def test_a_missing_field_is_named(field: str) -> None:
    event = user_event()
    del event[field]
    assert f"`{field}`" in _refused(event, "$")


def _written_twice(event: dict[str, Any], old: str, new: str) -> bytes:
    text = json.dumps(event)
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "old, new, path",
    [
        ('{"id"', '{"id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12", "id"', "$"),
        ('{"id"', '{"\\u0069d": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12", "id"', "$"),
        ('{"id"', '{"source":"a","source" : "b" , "id"', "$"),
        ('{"type"', '{"type": "User", "type"', "$.payload"),
        (
            '"data"',
            '"data": {"action": "Deleted", "user_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12"}, "data"',
            "$.payload",
        ),
        ('{"action"', '{"action": "Created", "action"', "$.payload.data"),
        ('"email"', '"\\u0065mail": "b", "email"', "$.payload.data"),
    ],
)
def test_a_key_that_decides_what_an_event_is_is_there_once(old: str, new: str, path: str) -> None:
    assert "twice" in _refused(_written_twice(user_event(), old, new), path)


def test_the_same_keys_deeper_down_are_nobody_elses_business() -> None:
    inner = {"id": 1, "type": "x", "payload": {"data": {"id": 2}}, 'sch\u00f6n "': "\u00e9", "source": "s"}
    for ensure_ascii in (True, False):
        for indent in (None, 4):
            for event in (generic_event([inner, inner]), user_event(**{"x \u00e9\\": inner})):
                assert is_event(json.dumps(event, ensure_ascii=ensure_ascii, indent=indent).encode())


def test_generic_data_may_hold_a_key_twice_since_nobody_here_reads_it() -> None:
    assert is_event(_written_twice(generic_event("DATA"), '"DATA"', '{"id":1,"id":2}'))


@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_event_or_are_not(stored: bytes) -> None:
    assert not is_event(stored)


@given(
    _JSON,
    st.text(min_size=1, max_size=5),
    st.sampled_from(["id", "timestamp", "event_type", "payload", "source"]),
)
def test_whatever_counts_as_an_event_can_be_handed_out(value: Any, name: str, field: str) -> None:
    body = json.dumps(generic_event(value) | {name: value} | {field: value}).encode()
    if is_event(body):
        assert orjson.loads(orjson.dumps({"event": orjson.Fragment(body)}))["event"] == orjson.loads(body)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"1", b"null", b'{"id":"\xff"}', b'"x"', b"[" * 100_000])
def test_what_is_no_object_is_no_event(raw: bytes) -> None:
    with pytest.raises(SerializationError):
        checked_event(raw)


def test_the_place_counts_from_where_the_event_stands() -> None:
    with pytest.raises(SerializationError) as fault:
        checked_event(json.dumps(user_event(id="x")).encode(), at="$.events[17]")
    assert fault.value.path == "$.events[17].id"
