"""Request bodies (pure): bytes in, checked values out."""

from typing import Annotated, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.events import Event, are_surely_single, check_json, decode_event, fault_of, refuse_doubled_keys
from bridge.limits import (
    JSON_FAST_BYTES_MAX,
    MESSAGE_PAYLOAD_BYTES_MAX,
    OFFSET_MAX,
    PARTITION_KEY_BYTES_MAX,
    PARTITIONS_MAX,
    RETENTION_AGE_S_MAX,
)
from bridge.messagelog import Balanced, ByKey, Durability, NewMessage, Placement, Retention
from bridge.policy.names import check_name

__all__ = ("Submission", "TopicOrder", "read_batch", "read_message", "read_stream", "read_topic")

T = TypeVar("T")


class Submission(NamedTuple):
    """Events on their way into the log, in order; *messages* holds the same as it will be stored."""

    events: tuple[Event, ...]
    messages: tuple[NewMessage, ...]
    placement: Placement


class TopicOrder(NamedTuple):
    """A topic to be made; *durability* None takes the configured one."""

    name: str
    partitions_count: int
    durability: Durability | None
    retention: Retention


class _MessageBody(msgspec.Struct, forbid_unknown_fields=True):
    event: msgspec.Raw
    partition_key: str | None = None


class _BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    partition_key: str | None = None


class _Identified(msgspec.Struct):
    id: UUID


class _BatchOutline(msgspec.Struct):
    """What tells a list of things that can be events from one of ten million numbers, at the first that cannot."""

    events: list[_Identified]


class _StreamBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _RetentionBody(msgspec.Struct, forbid_unknown_fields=True):
    max_age_seconds: Annotated[int, Meta(ge=1, le=RETENTION_AGE_S_MAX)] | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=OFFSET_MAX)] | None = None


class _TopicBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    partitions: int = 1
    durability: Durability | None = None
    retention: _RetentionBody | None = None


_MESSAGE_KEYS: Final = (b'"event"', b'"partition_key"')
_BATCH_KEYS: Final = (b'"events"', b'"partition_key"')
_STREAM_KEYS: Final = (b'"name"',)
_TOPIC_KEYS: Final = (b'"name"', b'"partitions"', b'"durability"', b'"retention"')

_MESSAGE: Final = msgspec.json.Decoder(_MessageBody)
_BATCH: Final = msgspec.json.Decoder(_BatchBody)
_OUTLINE: Final = msgspec.json.Decoder(_BatchOutline)
_STREAM: Final = msgspec.json.Decoder(_StreamBody)
_TOPIC: Final = msgspec.json.Decoder(_TopicBody)


def read_message(body: bytes) -> Submission:
    """
    What `POST /messages` asks to store.

    Args:
        body: `{"event": Event, "partition_key"?: 1..255 bytes of UTF-8}`.

    Raises:
        SerializationError: if it is no such JSON; `path` says where.
        BadRequest: if the partition key is out of bounds.
    """
    envelope = _decode(body, _MESSAGE, _MESSAGE_KEYS)
    event, message = _checked(envelope.event, "$.event")
    return Submission((event,), (message,), _placement(envelope.partition_key))


def read_batch(body: bytes, *, messages_max: int) -> Submission:
    """
    What `POST /messages/batch` asks to store; every event is checked before anything is returned.

    Args:
        body: `{"events": [Event, ...], "partition_key"?: 1..255 bytes of UTF-8}`.
        messages_max: most events taken, 1 or more.

    Raises:
        SerializationError: if it is no such JSON; `path` names the index.
        BadRequest: if there is no event, too many, or the partition key is out of bounds.
    """
    if len(body) > JSON_FAST_BYTES_MAX:
        _decode(body, _OUTLINE, _BATCH_KEYS)
    envelope = _decode(body, _BATCH, _BATCH_KEYS)
    if not envelope.events:
        raise BadRequest("A batch holds at least one event.", path="$.events", limit=1)
    if len(envelope.events) > messages_max:
        raise BadRequest(
            f"The batch holds {len(envelope.events)} events; at most {messages_max} are taken.",
            path="$.events",
            limit=messages_max,
        )
    placement = _placement(envelope.partition_key)
    checked = [_checked(raw, f"$.events[{index}]") for index, raw in enumerate(envelope.events)]
    return Submission(
        tuple(event for event, _ in checked), tuple(message for _, message in checked), placement
    )


def read_stream(body: bytes) -> str:
    """
    The name of the stream that `POST /streams` asks for.

    Raises:
        SerializationError, BadRequest: if the body is not `{"name": name}`.
    """
    return _checked_name(_decode(body, _STREAM, _STREAM_KEYS).name, "stream")


def read_topic(body: bytes) -> TopicOrder:
    """
    The topic that `POST /streams/{stream}/topics` asks for.

    Args:
        body: `{"name", "partitions"?: 1..1000, "durability"?, "retention"?: {"max_age_seconds"?, "max_bytes"?}}`.

    Raises:
        SerializationError, BadRequest: if it is anything else.
    """
    order = _decode(body, _TOPIC, _TOPIC_KEYS)
    if not 1 <= order.partitions <= PARTITIONS_MAX:
        raise BadRequest(
            f"A topic has 1 to {PARTITIONS_MAX} partitions.",
            path="$.partitions",
            limit=1 if order.partitions < 1 else PARTITIONS_MAX,
        )
    retention = order.retention or _RetentionBody()
    return TopicOrder(
        _checked_name(order.name, "topic"),
        order.partitions,
        order.durability,
        Retention(age_s=retention.max_age_seconds, size_bytes=retention.max_bytes),
    )


def _decode(body: bytes, decoder: "msgspec.json.Decoder[T]", keys: tuple[bytes, ...]) -> T:
    check_json(body)
    try:
        value = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error) from None
    if not are_surely_single(body, keys):
        refuse_doubled_keys(body, at="$")
    return value


def _checked(raw: msgspec.Raw, at: str) -> tuple[Event, NewMessage]:
    event = decode_event(raw, at=at)
    payload = bytes(raw)
    if len(payload) > MESSAGE_PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"The event has {len(payload)} bytes; a message holds at most {MESSAGE_PAYLOAD_BYTES_MAX}.",
            path=at,
            limit=MESSAGE_PAYLOAD_BYTES_MAX,
        )
    return event, NewMessage(payload=payload, id=event.id.int)


def _checked_name(name: str, kind: str) -> str:
    try:
        return check_name(name, kind=kind)
    except BadRequest as error:
        error.path = "$.name"
        raise


def _placement(partition_key: str | None) -> Placement:
    if partition_key is None:
        return Balanced()
    key = partition_key.encode()
    if not 1 <= len(key) <= PARTITION_KEY_BYTES_MAX:
        raise BadRequest(
            f"The partition key has {len(key)} bytes; it takes 1 to {PARTITION_KEY_BYTES_MAX}.",
            path="$.partition_key",
            limit=PARTITION_KEY_BYTES_MAX,
        )
    return ByKey(key)
