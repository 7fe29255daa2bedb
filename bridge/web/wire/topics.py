"""Request bodies that make and change streams and topics (pure): bytes in, checked values out."""

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from bridge.errors import BadRequest
from bridge.events import doubled_key_steps, result_of
from bridge.limits import OFFSET_MAX, PARTITIONS_MAX, RETENTION_AGE_S_MAX
from bridge.messagelog import Durability, Retention
from bridge.policy.names import NAME_SCHEMA, check_name
from bridge.web.wire.envelopes import decode_envelope


class NewTopic(NamedTuple):
    """A topic to be made; *durability* None takes the configured one."""

    name: str
    partitions_count: int
    durability: Durability | None
    retention: Retention


# What these say to the document alone is checked by hand, for the sake of the fault's words.
_Name = Annotated[str, Meta(extra_json_schema=NAME_SCHEMA)]
_Count = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": PARTITIONS_MAX})]


class StreamBody(msgspec.Struct, forbid_unknown_fields=True):
    """A stream to be made."""

    name: _Name


class RetentionBody(msgspec.Struct, forbid_unknown_fields=True):
    """What may be removed; what is left out or null is "never"."""

    max_age_seconds: Annotated[int, Meta(ge=1, le=RETENTION_AGE_S_MAX)] | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=OFFSET_MAX)] | None = None


class TopicBody(msgspec.Struct, forbid_unknown_fields=True):
    """A topic to be made; without `durability` it gets the configured one."""

    name: _Name
    partitions: _Count = 1
    durability: Durability | None = None
    retention: RetentionBody | None = None


class TopicChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """What takes the place of the topic's retention."""

    retention: RetentionBody


class _Outline(msgspec.Struct):
    retention: msgspec.Raw = msgspec.Raw(b"null")


class PartitionsBody(msgspec.Struct, forbid_unknown_fields=True):
    """How many empty partitions a topic gets."""

    count: _Count


_STREAM: Final = msgspec.json.Decoder(StreamBody)
_TOPIC: Final = msgspec.json.Decoder(TopicBody)
_CHANGE: Final = msgspec.json.Decoder(TopicChangeBody)
_OUTLINE: Final = msgspec.json.Decoder(_Outline)
_PARTITIONS: Final = msgspec.json.Decoder(PartitionsBody)


def read_stream(body: bytes) -> str:
    """The name of the stream that `POST /streams` asks for.

    Raises:
        SerializationError, BadRequest: if *body* is no `StreamBody`.
    """
    return _checked_name(decode_envelope(body, _STREAM).name, "stream")


def read_topic(body: bytes) -> NewTopic:
    """The topic that `POST /streams/{stream}/topics` asks for.

    Raises:
        SerializationError, BadRequest: if *body* is no `TopicBody`.
    """
    order = decode_envelope(body, _TOPIC)
    if not 1 <= order.partitions <= PARTITIONS_MAX:
        raise BadRequest(
            f"A topic has 1 to {PARTITIONS_MAX} partitions.",
            path="$.partitions",
            limit=1 if order.partitions < 1 else PARTITIONS_MAX,
        )
    return NewTopic(
        _checked_name(order.name, "topic"),
        order.partitions,
        order.durability,
        _retention(order.retention, body),
    )


def read_retention(body: bytes) -> Retention:
    """The retention that `PATCH /streams/{stream}/topics/{topic}` asks for.

    Raises:
        SerializationError: if *body* is no `TopicChangeBody`.
    """
    return _retention(decode_envelope(body, _CHANGE).retention, body)


def read_partitions(body: bytes) -> int:
    """How many partitions `POST .../partitions` adds.

    Raises:
        SerializationError, BadRequest: if *body* is no `PartitionsBody`.
    """
    count = decode_envelope(body, _PARTITIONS).count
    if not 1 <= count <= PARTITIONS_MAX:
        raise BadRequest(
            f"1 to {PARTITIONS_MAX} partitions are added.",
            path="$.count",
            limit=1 if count < 1 else PARTITIONS_MAX,
        )
    return count


def _retention(retention: RetentionBody | None, body: bytes) -> Retention:
    if retention is None:
        return Retention()
    result_of(doubled_key_steps(bytes(_OUTLINE.decode(body).retention), at="$.retention"))
    return Retention(age_s=retention.max_age_seconds, size_bytes=retention.max_bytes)


def _checked_name(name: str, kind: str) -> str:
    try:
        return check_name(name, kind=kind)
    except BadRequest as error:
        error.path = "$.name"
        raise
