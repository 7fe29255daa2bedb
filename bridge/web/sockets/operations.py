"""What a client of a WebSocket may ask (pure): a text message to one checked operation."""

import re
from base64 import b64decode
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import BadRequest
from bridge.limits import (
    CURSOR_CHARS_MAX,
    CURSOR_PARTITIONS_MAX,
    EVENT_TYPE_CHARS_MAX,
    GROUP_DELIVERIES_MAX,
    GROUP_NACK_DELAY_MS_MAX,
    GROUP_TOKENS_MAX,
    GROUP_VISIBILITY_MS_MAX,
    GROUP_VISIBILITY_MS_MIN,
    LIVE_EVENT_TYPES_MAX,
    WS_PERMITS_MAX,
)
from bridge.messagelog import TopicRef
from bridge.telemetry.trace_context import TraceContext
from bridge.web.wire.envelopes import decode_envelope

#: Chosen by the client and told back to it, so that nothing but these characters is ever repeated.
Id: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Tokens: TypeAlias = Annotated[list[Token], Meta(min_length=1, max_length=GROUP_TOKENS_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=WS_PERMITS_MAX)]
PartitionId: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
EventType: TypeAlias = Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
Visibility: TypeAlias = Annotated[int, Meta(ge=GROUP_VISIBILITY_MS_MIN, le=GROUP_VISIBILITY_MS_MAX)]


class _Operation(msgspec.Struct, tag_field="op", tag=str.lower, forbid_unknown_fields=True, frozen=True):
    pass


class Subscribe(_Operation, frozen=True):
    """Send messages of a topic, or of a group of a topic, as far as there are permits.

    Attributes:
        id: names the subscription from now on.
        stream, topic: both or neither; neither is the default topic.
        partitions: None for all, those added later too.
        cursor, from_: where to begin, one of them at most; without either at what comes next.
        event_type: only these; None for all messages.
        permits: messages that may be sent at once.
        group: hand messages out under leases, as the other members of this group do.
        visibility_ms, max_deliveries: of the group's leases.
    """

    id: Id
    permits: Annotated[int, Meta(ge=0, le=WS_PERMITS_MAX)]
    stream: Name | None = None
    topic: Name | None = None
    partitions: Annotated[list[PartitionId], Meta(min_length=1, max_length=CURSOR_PARTITIONS_MAX)] | None = (
        None
    )
    cursor: Annotated[str, Meta(min_length=1, max_length=CURSOR_CHARS_MAX)] | None = None
    from_: Annotated[str, Meta(min_length=1, max_length=64)] | None = msgspec.field(default=None, name="from")
    event_type: Annotated[list[EventType], Meta(min_length=1, max_length=LIVE_EVENT_TYPES_MAX)] | None = None
    group: Name | None = None
    visibility_ms: Visibility | None = None
    max_deliveries: Annotated[int, Meta(ge=1, le=GROUP_DELIVERIES_MAX)] | None = None


class Unsubscribe(_Operation, frozen=True):
    """End the subscription of that id; the answer is its `ended`."""

    subscription: Id
    id: Id | None = None


class Permit(_Operation, frozen=True):
    """So many messages more may be sent; no answer."""

    subscription: Id
    count: Count
    id: Id | None = None


class Publish(_Operation, frozen=True):
    """Store one message; the answer is a `receipt`.

    Attributes:
        stream, topic: both or neither; neither is the default topic.
        event, payload, text, payload_base64: exactly one of them, the message as a `message` frame would show it.
        headers: of a message that is no event.
        partition_key, partition_id: one of them at most.
        traceparent, tracestate: of the trace that the message belongs to, as in HTTP; they become headers of it.
    """

    id: Id
    stream: Name | None = None
    topic: Name | None = None
    event: msgspec.Raw | UnsetType = UNSET
    payload: msgspec.Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    payload_base64: str | UnsetType = UNSET
    headers: dict[str, str] | None = None
    partition_key: str | None = None
    partition_id: PartitionId | None = None
    traceparent: str | None = None
    tracestate: str | None = None


class Ack(_Operation, frozen=True):
    """These messages of a group are done; the answer has the results."""

    subscription: Id
    tokens: Tokens
    id: Id | None = None


class Nack(_Operation, frozen=True):
    """These messages of a group shall come again, after so long; answered as `ack`."""

    subscription: Id
    tokens: Tokens
    delay_ms: Annotated[int, Meta(ge=0, le=GROUP_NACK_DELAY_MS_MAX)] = 0
    id: Id | None = None


class Extend(_Operation, frozen=True):
    """The leases of these messages hold for so long from now, or for what is configured; answered as `ack`."""

    subscription: Id
    tokens: Tokens
    visibility_ms: Visibility | None = None
    id: Id | None = None


class Ping(_Operation, frozen=True):
    """Answered by `pong`; for clients that cannot send a frame of that kind, as browsers."""

    id: Id | None = None


Acknowledgement: TypeAlias = Ack | Nack | Extend
SocketOperation: TypeAlias = Subscribe | Unsubscribe | Permit | Publish | Acknowledgement | Ping


class OperationContext(NamedTuple):
    """What is told of an operation beside its outcome.

    Attributes:
        name: as its `op` says; None of a message that is none.
        id: that the client gave it.
        topic: that it is about, as the client names it.
        trace: it belongs to; None for that of the socket.
    """

    name: str | None = None
    id: str | None = None
    topic: TopicRef | None = None
    group: str | None = None
    trace: TraceContext | None = None


def context_of(
    operation: SocketOperation, of_subscription: OperationContext | None, default_topic: TopicRef
) -> OperationContext:
    """What is told of *operation*; *of_subscription* is that of the subscription it names, None where there is none."""
    name = type(operation).__name__.lower()
    if isinstance(operation, Publish | Subscribe):
        stream, topic = operation.stream, operation.topic
        named = default_topic if stream is None or topic is None else TopicRef(stream, topic)
        return OperationContext(
            name, operation.id, named, operation.group if isinstance(operation, Subscribe) else None
        )
    if of_subscription is None:
        return OperationContext(name, operation.id)
    return OperationContext(name, operation.id, of_subscription.topic, of_subscription.group)


class _WithId(msgspec.Struct):
    id: Id | None = None


_DECODER: Final[msgspec.json.Decoder[SocketOperation]] = msgspec.json.Decoder(SocketOperation)
_NAMED: Final = msgspec.json.Decoder(_WithId)
_BODIES: Final = ("event", "payload", "text", "payload_base64")
_OF_GROUPS: Final = ("partitions", "cursor", "from_", "event_type")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def decode_operation(message: bytes) -> SocketOperation:
    """The operation that a text message spells.

    Raises:
        SerializationError: if it is no such JSON; `path` says where.
        BadRequest: if its fields contradict each other.
    """
    operation = decode_envelope(message, _DECODER)
    if isinstance(operation, Subscribe):
        _check_place(operation)
        _check_subscribe(operation)
    elif isinstance(operation, Publish):
        _check_place(operation)
        _check_publish(operation)
    return operation


def operation_id(message: bytes) -> str | None:
    """The `id` of a message that is no operation, where it has a proper one, so that the fault can name it."""
    try:
        return _NAMED.decode(message).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def base64_payload(text: str) -> bytes:
    """The bytes that *text* spells.

    Raises:
        BadRequest: if it is no base64 of the standard alphabet, with its padding (RFC 4648 section 4).
    """
    # Python's decoder lets several spellings pass that other readers refuse.
    if _BASE64.fullmatch(text) is None:
        raise BadRequest("'payload_base64' is not base64.", path="$.payload_base64")
    return b64decode(text)


def _check_place(operation: Subscribe | Publish) -> None:
    if (operation.stream is None) != (operation.topic is None):
        missing = "stream" if operation.stream is None else "topic"
        raise BadRequest("Give both 'stream' and 'topic', or neither.", path=f"$.{missing}")


def _check_subscribe(operation: Subscribe) -> None:
    if operation.cursor is not None and operation.from_ is not None:
        raise BadRequest("A subscription begins in one place: give 'cursor' or 'from'.", path="$.from")
    if operation.partitions is not None and len(set(operation.partitions)) != len(operation.partitions):
        raise BadRequest("A partition is named twice.", path="$.partitions")
    if operation.group is None:
        for name in ("visibility_ms", "max_deliveries"):
            if getattr(operation, name) is not None:
                raise BadRequest(f"'{name}' is for a subscription to a group.", path=f"$.{name}")
        return
    for name in _OF_GROUPS:
        if getattr(operation, name) is not None:
            shown = name.rstrip("_")
            raise BadRequest(
                f"A group has its own place in all partitions: leave '{shown}' out.", path=f"$.{shown}"
            )


def _check_publish(operation: Publish) -> None:
    given = [name for name in _BODIES if getattr(operation, name) is not UNSET]
    if len(given) != 1:
        raise BadRequest(
            "A message is one of 'event', 'payload', 'text' and 'payload_base64'.",
            path=f"$.{given[1]}" if given else "$",
        )
    if operation.headers is not None and given == ["event"]:
        raise BadRequest("An event carries no headers: leave 'headers' out.", path="$.headers")
    if operation.partition_key is not None and operation.partition_id is not None:
        raise BadRequest("Give 'partition_key' or 'partition_id', not both.", path="$.partition_id")
