import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest, RequestError, SerializationError
from bridge.web.sockets.operations import (
    Ack,
    Extend,
    Nack,
    Permit,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    base64_payload,
    decode_operation,
    operation_id,
)
from tests.support.events import user_event

#: The smallest of each kind.
SMALLEST: dict[str, dict[str, Any]] = {
    "subscribe": {"id": "a", "permits": 0},
    "unsubscribe": {"subscription": "a"},
    "permit": {"subscription": "a", "count": 1},
    "publish": {"id": "a", "payload": None},
    "ack": {"subscription": "a", "tokens": ["t"]},
    "nack": {"subscription": "a", "tokens": ["t"]},
    "extend": {"subscription": "a", "tokens": ["t"]},
    "ping": {},
}
KINDS = {
    "subscribe": Subscribe, "unsubscribe": Unsubscribe, "permit": Permit, "publish": Publish, "ack": Ack, "nack": Nack,
    "extend": Extend, "ping": Ping,
}  # fmt: skip


def written(op: str, **changed: Any) -> bytes:
    return orjson.dumps({"op": op, **SMALLEST[op], **changed})


@pytest.mark.parametrize("op", SMALLEST)
def test_the_smallest_operation_of_each_kind_is_taken(op: str) -> None:
    assert type(decode_operation(written(op))) is KINDS[op]


@pytest.mark.parametrize("op", SMALLEST)
def test_a_field_that_is_not_known_is_refused_by_its_name(op: str) -> None:
    with pytest.raises(SerializationError) as raised:
        decode_operation(written(op, extra=1))
    assert raised.value.path == "$.extra"


@pytest.mark.parametrize("op,name", [(op, name) for op, fields in SMALLEST.items() for name in fields])
def test_a_field_that_is_there_twice_is_refused(op: str, name: str) -> None:
    text = written(op)[:-1] + b',"%b":%b}' % (name.encode(), orjson.dumps(SMALLEST[op][name]))
    with pytest.raises(SerializationError):
        decode_operation(text)


@pytest.mark.parametrize("op,name", [(op, name) for op, fields in SMALLEST.items() for name in fields])
def test_a_field_that_must_be_there_is_missed(op: str, name: str) -> None:
    fields = {key: value for key, value in SMALLEST[op].items() if key != name}
    with pytest.raises(RequestError):
        decode_operation(orjson.dumps({"op": op, **fields}))


@pytest.mark.parametrize("order", [("op", "id", "event"), ("id", "op", "event"), ("op", "event", "id")])
def test_an_event_is_taken_in_whatever_order_the_fields_stand(order: tuple[str, ...]) -> None:
    fields = {"op": "publish", "id": "p", "event": user_event(), "partition_key": "k"}
    text = orjson.dumps({name: fields[name] for name in (*order, "partition_key")})
    operation = decode_operation(text)
    assert isinstance(operation, Publish)
    assert bytes(operation.event) == orjson.dumps(fields["event"])  # type: ignore[arg-type]
    assert (operation.id, operation.partition_key, operation.partition_id) == ("p", "k", None)


@pytest.mark.parametrize(
    "more,path",
    [
        (b'"id":"p"', "$"),
        (b'"event":null', "$"),
        (b'"op":"publish"', "$"),
        (b'"secret":1', "$.secret"),
        (b'"partition_id":"1"', "$.partition_id"),
        (b'"partition_id":-1', "$.partition_id"),
        (b'"stream":""', "$.stream"),
        (b'"text":"x"', "$.text"),
        (b'"partition_id":1e400', None),
    ],
)
def test_an_event_hides_no_fault_of_the_fields_around_it(more: bytes, path: str | None) -> None:
    text = b'{"op":"publish","id":"p","event":%b,%b}' % (orjson.dumps(user_event()), more)
    with pytest.raises(RequestError) as raised:
        decode_operation(text)
    assert raised.value.path == path


@pytest.mark.parametrize("name", ["", "a b", "a\n", "ä", "a" * 65, '"', 7, None])
def test_an_id_is_short_and_plain(name: Any) -> None:
    with pytest.raises(SerializationError) as raised:
        decode_operation(written("publish", id=name))
    assert raised.value.path == "$.id"


@pytest.mark.parametrize(
    "op,changed,path",
    [
        ("permit", {"count": 0}, "$.count"),
        ("permit", {"count": 1_000_001}, "$.count"),
        ("permit", {"count": 1.5}, "$.count"),
        ("permit", {"count": "1"}, "$.count"),
        ("ack", {"tokens": []}, "$.tokens"),
        ("ack", {"tokens": ["t"] * 1_001}, "$.tokens"),
        ("ack", {"tokens": ["t", "x" * 257]}, "$.tokens[1]"),
        ("nack", {"delay_ms": -1}, "$.delay_ms"),
        ("extend", {"visibility_ms": 99}, "$.visibility_ms"),
        ("extend", {"visibility_ms": 600_001}, "$.visibility_ms"),
        ("subscribe", {"event_type": ["x"] * 65}, "$.event_type"),
        ("subscribe", {"event_type": [""]}, "$.event_type[0]"),
        ("subscribe", {"partitions": list(range(1001))}, "$.partitions"),
        ("subscribe", {"partitions": [-1]}, "$.partitions[0]"),
        ("subscribe", {"cursor": "x" * 14_701}, "$.cursor"),
        ("subscribe", {"stream": ""}, "$.stream"),
    ],
)
def test_every_field_has_bounds(op: str, changed: dict[str, Any], path: str) -> None:
    with pytest.raises(SerializationError) as raised:
        decode_operation(written(op, **changed))
    assert raised.value.path == path


def test_null_is_as_good_as_a_field_that_is_not_there() -> None:
    nothing = dict.fromkeys(("stream", "topic", "partitions", "cursor", "from", "event_type", "group"))
    asked = decode_operation(written("subscribe", **nothing))
    assert asked == decode_operation(written("subscribe"))


def test_a_group_and_a_place_contradict_each_other() -> None:
    for name, value in (("cursor", "x"), ("partitions", [1]), ("from", "first"), ("event_type", ["x"])):
        with pytest.raises(BadRequest) as raised:
            decode_operation(written("subscribe", group="g", **{name: value}))
        assert raised.value.path == f"$.{name}"
    decode_operation(written("subscribe", group="g", visibility_ms=500, max_deliveries=3))


@pytest.mark.parametrize(
    "text,expected", [("", b""), ("AA==", b"\0"), ("+/8=", b"\xfb\xff"), ("QUJD", b"ABC")]
)
def test_base64_is_read(text: str, expected: bytes) -> None:
    assert base64_payload(text) == expected


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "A A=", "AA==\n", "_-8=", "QUJD=", "ä", "AA==AA=="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        base64_payload(text)


@pytest.mark.parametrize(
    "message,expected",
    [
        (b'{"id":"a","op":5}', "a"),
        (b'{"id":"a b"}', None),
        (b'{"id":5}', None),
        (b'{"id":"a"', None),
        (b"[]", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_name_of_a_faulty_operation_is_told_where_it_has_a_proper_one(
    message: bytes, expected: str | None
) -> None:
    assert operation_id(message) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["op", "id", "subscription", "permits", "count", "stream", "topic", "partitions", "cursor", "from", "event_type",
     "group", "event", "payload", "text", "payload_base64", "headers", "partition_key", "tokens", "delay_ms", "x"]
)  # fmt: skip


@given(op=st.sampled_from([*SMALLEST, "shout"]), fields=st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_is_asked_is_an_operation_or_a_fault_with_a_path(op: str, fields: dict[str, Any]) -> None:
    message = orjson.dumps({**SMALLEST.get(op, {}), **fields, "op": op})
    path: str | None = "$"
    try:
        operation = decode_operation(message)
    except RequestError as error:
        path = error.path
    else:
        assert type(operation) is KINDS[op]
        assert operation.id == json.loads(message).get("id")
    assert path is None or path.startswith("$")


@given(message=st.binary(max_size=200))
def test_whatever_bytes_come_they_are_an_operation_or_a_fault(message: bytes) -> None:
    operation_id(message)
    with pytest.raises(RequestError):
        decode_operation(message)
