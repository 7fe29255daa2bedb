"""What a client written for the original service sends, and every field that it reads."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec

from tests.support.bridge_app import BridgeApp

_ID = "6f1c2b9e-7c54-4b36-8f0a-6a9d1f0b7a01"
_USER = "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12"

# Bodies as the original's README and tests have them.
_USER_CREATED = (
    b'{"event":{"id":"6f1c2b9e-7c54-4b36-8f0a-6a9d1f0b7a01","event_type":"user.created",'
    b'"timestamp":"2026-01-15T10:30:00Z","payload":{"type":"User","data":{"action":"Created",'
    b'"user_id":"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12","email":"user@example.com","name":"John Doe"}}},'
    b'"partition_key":"user-123"}'
)
_ORDER_WITH_NUMBERS = (
    b'{"event":{"id":"6f1c2b9e-7c54-4b36-8f0a-6a9d1f0b7a02","event_type":"order.created",'
    b'"timestamp":"2026-01-15T10:30:00.123456789+00:00","payload":{"type":"Order","data":{"action":"Created",'
    b'"order_id":"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f21","user_id":"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12",'
    b'"items":[{"product_id":"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f31","quantity":2,"unit_price":29.99}],'
    b'"total_amount":59.98}},"correlation_id":null,"source":"shop"},"partition_key":null}'
)


class _Sent(msgspec.Struct):
    success: bool
    event_id: UUID
    stream: str
    topic: str
    timestamp: datetime


class _Received(msgspec.Struct):
    offset: int
    timestamp: datetime
    id: str
    event: dict[str, Any]
    size: int


class _Polled(msgspec.Struct):
    messages: list[_Received]
    count: int
    partition_id: int
    current_offset: int


#: Strictly: a client in Rust or Go fails on a string, on a negative number and on one of more than 32 bits.
_U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class _Stream(msgspec.Struct):
    id: _U32
    name: str
    created_at: datetime
    topics_count: int
    size_bytes: int
    messages_count: int


class _Topic(msgspec.Struct):
    id: _U32
    name: str
    stream_id: _U32
    created_at: datetime
    partitions_count: int
    size_bytes: int
    messages_count: int


class _Health(msgspec.Struct):
    status: str
    iggy_connected: bool
    version: str
    timestamp: datetime


class _Stats(msgspec.Struct):
    streams_count: int
    topics_count: int
    total_messages: int
    total_size_bytes: int
    uptime_seconds: int
    cache_age_seconds: int
    cache_stale: bool


async def test_a_user_is_created_and_polled(bridge: BridgeApp) -> None:
    answer = await bridge.call("POST", "/messages", _USER_CREATED)
    assert answer.status == 201
    sent = msgspec.json.decode(answer.body, type=_Sent)
    assert (sent.success, sent.event_id, sent.stream, sent.topic) == (True, UUID(_ID), *bridge.topic)
    partition_id = answer.json["partition_id"]
    answer = await bridge.call(
        "GET", f"/messages?partition_id={partition_id}&consumer_id=1&offset=0&count=10&auto_commit=true"
    )
    assert answer.status == 200
    polled = msgspec.json.decode(answer.body, type=_Polled)
    assert (polled.count, polled.partition_id, polled.current_offset) == (1, partition_id, 0)
    assert polled.messages[0].id == _ID
    assert polled.messages[0].event["payload"]["data"] == {
        "action": "Created",
        "user_id": _USER,
        "email": "user@example.com",
        "name": "John Doe",
    }


async def test_an_order_with_amounts_as_numbers_and_nulls_is_taken(bridge: BridgeApp) -> None:
    answer = await bridge.call("POST", "/messages", _ORDER_WITH_NUMBERS)
    assert answer.status == 201
    page = await bridge.call("GET", f"/messages?partition_id={answer.json['partition_id']}")
    assert b'"unit_price":29.99}],"total_amount":59.98}' in page.body


async def test_a_batch_is_a_list_of_the_same_answers(bridge: BridgeApp) -> None:
    event = msgspec.json.decode(_USER_CREATED)["event"]
    answer = await bridge.call("POST", "/messages/batch", {"events": [event, event], "partition_key": "k"})
    assert answer.status == 201
    assert [one.event_id for one in msgspec.json.decode(answer.body, type=list[_Sent])] == [UUID(_ID)] * 2


async def test_streams_topics_and_figures_have_the_fields_it_reads(bridge: BridgeApp) -> None:
    stream, topic = bridge.topic
    for path, shape in (
        (f"/streams/{stream}", _Stream),
        ("/streams", list[_Stream]),
        (f"/streams/{stream}/topics", list[_Topic]),
        (f"/streams/{stream}/topics/{topic}", _Topic),
        ("/health", _Health),
        ("/stats", _Stats),
    ):
        answer = await bridge.call("GET", path)
        assert answer.status == 200, path
        msgspec.json.decode(answer.body, type=shape)


async def test_what_it_makes_has_the_fields_it_reads(bridge: BridgeApp) -> None:
    stream = f"made-{uuid4().hex}"
    made = await bridge.call("POST", "/streams", {"name": stream})
    assert made.status == 201
    stream_id = msgspec.json.decode(made.body, type=_Stream).id
    made = await bridge.call("POST", f"/streams/{stream}/topics", {"name": "t", "partitions": 1})
    assert made.status == 201
    assert msgspec.json.decode(made.body, type=_Topic).stream_id == stream_id
    for method, path, body in (
        ("PATCH", f"/streams/{stream}/topics/t", {"retention": {"max_age_seconds": 60}}),
        ("POST", f"/streams/{stream}/topics/t/partitions", {"count": 1}),
    ):
        changed = await bridge.call(method, path, body)
        assert msgspec.json.decode(changed.body, type=_Topic).stream_id == stream_id


async def test_errors_have_the_code_and_message_it_reads(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/streams/missing-one")
    assert answer.status == 404
    assert answer.json["error"] == "not_found"
    assert answer.json["message"]
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
