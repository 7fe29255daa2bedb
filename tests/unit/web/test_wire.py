import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest, PayloadTooLarge, SerializationError
from bridge.limits import JSON_FAST_BYTES_MAX, PARTITIONS_MAX, RETENTION_AGE_S_MAX
from bridge.messagelog import Balanced, ByKey, Durability, NewEvent, Retention
from bridge.web.wire import submissions as wire
from bridge.web.wire.submissions import batch_steps, read_message
from bridge.web.wire.topics import read_stream, read_topic
from tests.support.events import generic_event, order_event, user_event
from tests.support.submissions import read_batch

_VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(_VALUES, st.sampled_from([None, 2]), st.booleans())
def test_the_stored_bytes_are_the_ones_that_were_sent(value: Any, indent: int | None, escaped: bool) -> None:
    sent = json.dumps(generic_event(value, more=value), indent=indent, ensure_ascii=escaped).encode()
    submission = read_message(b' {"partition_key" : null,\n"event":  ' + sent + b"\t} ")
    assert submission.messages[0].payload == sent
    assert submission.messages[0].id == UUID(json.loads(sent)["id"]).int
    assert submission.placement == Balanced()


def test_a_batch_keeps_each_events_bytes_in_order() -> None:
    sent = [json.dumps(user_event(source=str(index)), indent=index).encode() for index in range(5)]
    submission = read_batch(b'{"events":[' + b" , ".join(sent) + b'],"partition_key":"k"}', messages_max=5)
    assert [message.payload for message in submission.messages] == sent
    assert list(submission.event_ids) == [json.loads(event)["id"] for event in sent]
    assert submission.placement == ByKey(b"k")


@pytest.mark.parametrize("key", ["k", "x" * 255, "\u00e9" * 127, "\x00"])
def test_a_partition_key_has_1_to_255_bytes(key: str) -> None:
    assert read_message(_body({"event": user_event(), "partition_key": key})).placement == ByKey(key.encode())


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9" * 128])
def test_a_partition_key_of_any_other_length_is_refused(key: str) -> None:
    with pytest.raises(BadRequest) as fault:
        read_message(_body({"event": user_event(), "partition_key": key}))
    assert fault.value.path == "$.partition_key"
    assert fault.value.limit == 255


@pytest.mark.parametrize(
    "body, path",
    [
        (b"", None),
        (b"{", None),
        (b'{"event":1}trailing', None),
        (b"[]", "$"),
        (b"null", "$"),
        (b"{}", "$"),
        (b'{"event":{}}', "$.event"),
        (b'{"event":null}', "$.event"),
        (b'{"event":' + _body(user_event()) + b',"partitionkey":"a"}', "$.partitionkey"),
        (b'{"event":' + _body(user_event()) + b',"<b>":"a"}', "$"),
        (b'{"event":' + _body(user_event()) + b',"partition_key":7}', "$.partition_key"),
        (b'{"event":1,"event":' + _body(user_event()) + b"}", "$"),
        (b'{"\\u0065vent":1,"event":' + _body(user_event()) + b"}", "$"),
        (b'{"event":' + _body(user_event()) + b',"partition_key":"a","partition_key":"b"}', "$"),
    ],
)
def test_an_envelope_of_another_shape_is_refused_with_the_place(body: bytes, path: str | None) -> None:
    with pytest.raises(SerializationError) as fault:
        read_message(body)
    assert fault.value.path == path
    assert "<b>" not in fault.value.detail


_AS_WRITTEN_HERE = [
    json.dumps(event | {"timestamp": "2026-01-02T03:04:05.678000Z"}, separators=(",", ":")).encode()
    for event in (
        generic_event([1, "\\u0022"], source="s"),
        user_event(correlation_id=None),
        order_event(source=None),
    )
]


@pytest.mark.parametrize("begin", [b'{"events":[', b'{ "events":[', b'{"partition_key":"k","events":['])
@pytest.mark.parametrize(
    "end",
    [b"]}", b"]} ", b'],"partition_key":null}', b'],"partition_key":"k"}', b'],"partition_key":"\\u006b"}'],
)
@pytest.mark.parametrize("between", [b",", b", "])
def test_a_batch_means_the_same_however_it_is_written(begin: bytes, between: bytes, end: bytes) -> None:
    if b"key" in begin and b"key" in end:
        return
    submission = read_batch(begin + between.join(_AS_WRITTEN_HERE) + end, messages_max=3)
    assert [message.payload for message in submission.messages] == _AS_WRITTEN_HERE
    assert list(submission.event_ids) == [json.loads(event)["id"] for event in _AS_WRITTEN_HERE]
    assert [message.id for message in submission.messages] == [UUID(one).int for one in submission.event_ids]
    assert {type(message) for message in submission.messages} == {NewEvent}
    assert submission.placement == (
        ByKey(b"k") if b'k"' in begin or b'k"' in end or b"6b" in end else Balanced()
    )


def test_what_is_unusual_in_one_event_of_many_is_kept() -> None:
    first, *others = _AS_WRITTEN_HERE
    unusual = [event.replace(b'"event_type"', b'"more":[1],"event_type"') for event in others]
    submission = read_batch(b'{"events":[' + b",".join((first, *unusual)) + b"]}", messages_max=3)
    assert [message.payload for message in submission.messages] == [first, *unusual]


def test_a_doubled_key_anywhere_in_a_batch_is_refused() -> None:
    first, second, third = _AS_WRITTEN_HERE
    doubled = second.replace(b'"event_type"', b'"id":"' + str(UUID(int=7)).encode() + b'","event_type"')
    with pytest.raises(SerializationError) as fault:
        read_batch(b'{"events":[' + b",".join((first, doubled, third)) + b"]}", messages_max=3)
    assert fault.value.path == "$.events[1]"
    listed = b",".join(_AS_WRITTEN_HERE)
    for body in (
        b'{"events":[%b],"events":[%b]}' % (listed, listed),
        b'{"events":[%b],"partition_key":"j","partition_key":"k"}' % listed,
    ):
        with pytest.raises(SerializationError) as fault:
            read_batch(body, messages_max=3)
        assert fault.value.path == "$"


def test_a_fault_in_a_batch_names_the_index_and_the_field() -> None:
    events = [user_event() for _ in range(20)]
    del events[17]["payload"]["data"]["email"]
    with pytest.raises(SerializationError, match="`email`") as fault:
        read_batch(_body({"events": events}), messages_max=20)
    assert fault.value.path == "$.events[17].payload.data"


@pytest.mark.parametrize("count, limit", [(0, 1), (4, 3)])
def test_a_batch_holds_one_event_to_as_many_as_configured(count: int, limit: int) -> None:
    with pytest.raises(BadRequest) as fault:
        read_batch(_body({"events": [user_event()] * count}), messages_max=3)
    assert (fault.value.path, fault.value.limit) == ("$.events", limit)


def test_a_large_batch_of_too_much_is_refused_before_any_of_it_is_an_object() -> None:
    with pytest.raises(BadRequest) as fault:
        read_batch(b'{"events":[' + b"1," * JSON_FAST_BYTES_MAX + b"1]}", messages_max=1000)
    assert (fault.value.path, fault.value.limit) == ("$.events", 1000)
    numbers = b"1" * JSON_FAST_BYTES_MAX
    with pytest.raises(SerializationError) as other:
        read_batch(b'{"events":[%b,1]}' % numbers, messages_max=1000)
    assert other.value.path == "$.events[0]"


def test_a_large_batch_is_taken() -> None:
    events = [generic_event("x" * 400_000) for _ in range(3)]
    assert len(read_batch(_body({"events": events}), messages_max=3).messages) == 3


def test_a_large_batch_of_small_events_keeps_its_order_and_its_faults() -> None:
    events = [generic_event("x" * 800, source=str(number)) for number in range(1_000)]
    body = _body({"events": events})
    assert len(body) > JSON_FAST_BYTES_MAX
    submission = read_batch(body, messages_max=1000)
    assert list(submission.event_ids) == [event["id"] for event in events]
    assert [json.loads(message.payload) for message in submission.messages] == events
    events[777]["id"] = "x"
    with pytest.raises(SerializationError) as fault:
        read_batch(_body({"events": events}), messages_max=1000)
    assert fault.value.path == "$.events[777].id"


def test_a_long_batch_is_read_in_steps() -> None:
    events = [generic_event("x" * 800, more=1) for _ in range(1_000)]
    steps = batch_steps(_body({"events": events}), messages_max=1000)
    assert sum(1 for _ in steps) >= 5


def test_a_stream_has_a_name() -> None:
    assert read_stream(b'{"name":"a-stream"}') == "a-stream"


@pytest.mark.parametrize(
    "body", [b'{"name":"7"}', b'{"name":""}', b'{"name":1}', b'{"name":null}', b'{"name":"a","b":1}', b"{}"]
)
def test_no_other_stream_is_made(body: bytes) -> None:
    with pytest.raises((BadRequest, SerializationError)):
        read_stream(body)


def test_a_name_in_a_body_is_a_fault_of_the_body() -> None:
    with pytest.raises(BadRequest) as fault:
        read_stream(b'{"name":"a b"}')
    assert fault.value.path == "$.name"


def test_a_topic_has_one_partition_and_no_retention_unless_told() -> None:
    assert read_topic(b'{"name":"t"}') == ("t", 1, None, Retention())


def test_a_topic_takes_partitions_durability_and_retention() -> None:
    order = read_topic(
        _body({"name": "t", "partitions": 1000, "durability": "replicated",
               "retention": {"max_age_seconds": 60, "max_bytes": 10**10}})
    )  # fmt: skip
    assert order == ("t", PARTITIONS_MAX, Durability.REPLICATED, Retention(age_s=60, size_bytes=10**10))


@pytest.mark.parametrize(
    "field, value, path",
    [
        ("partitions", 0, "$.partitions"),
        ("partitions", -1, "$.partitions"),
        ("partitions", 1001, "$.partitions"),
        ("partitions", "3", "$.partitions"),
        ("partitions", None, "$.partitions"),
        ("durability", "eternal", "$.durability"),
        ("retention", {"max_age_seconds": 0}, "$.retention.max_age_seconds"),
        ("retention", {"max_age_seconds": RETENTION_AGE_S_MAX + 1}, "$.retention.max_age_seconds"),
        ("retention", {"max_bytes": 2**63}, "$.retention.max_bytes"),
        ("retention", {"max_age": 1}, "$.retention.max_age"),
        ("partition", 3, "$.partition"),
    ],
)
def test_a_topic_out_of_bounds_is_refused_with_the_place(field: str, value: Any, path: str) -> None:
    with pytest.raises((BadRequest, SerializationError)) as fault:
        read_topic(_body({"name": "t", field: value}))
    assert fault.value.path == path
    assert "eternal" not in fault.value.detail


def test_an_event_larger_than_a_message_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MESSAGE_PAYLOAD_BYTES_MAX", 1000)
    with pytest.raises(PayloadTooLarge) as fault:
        read_batch(_body({"events": [user_event(), generic_event("x" * 1000)]}), messages_max=2)
    assert (fault.value.path, fault.value.limit) == ("$.events[1]", 1000)
