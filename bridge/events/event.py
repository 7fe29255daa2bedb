"""The domain event (pure): what is checked of it, and the bytes of it that are stored."""

import re
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import SerializationError
from bridge.events.duplicates import duplicate_steps
from bridge.events.faults import fault_of
from bridge.events.instants import before_leap_second, instant_of
from bridge.events.json_rules import Steps, check_json, result_of
from bridge.events.payloads import Payload
from bridge.events.plain import plain_id, plain_value
from bridge.events.plain_shapes import PlainEvent
from bridge.limits import EVENT_TYPE_CHARS_MAX

__all__ = ("Event", "decode_event", "event_steps", "is_event")

# Unicode's category Cc: C0, DEL and C1.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

EventType: TypeAlias = Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]


class Event(msgspec.Struct, frozen=True):
    """
    One domain event; fields not named here are kept in its bytes and not looked at.

    Attributes:
        id: also the message's id in the log; never the nil UUID, which there means "give it a random one".
        event_type: 1..256 characters without control characters.
        timestamp: RFC 3339 with a zone; a leap second is the moment a second later (`instants.instant_of`).
    """

    id: UUID
    event_type: EventType
    timestamp: Timestamp
    payload: Payload
    correlation_id: UUID | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.id.int == 0:
            raise ValueError("'id' must not be the nil UUID")
        if _CONTROL.search(self.event_type) is not None:
            raise ValueError("'event_type' must not hold control characters")


class _Stamped(msgspec.Struct):
    timestamp: str


_DECODER: Final = msgspec.json.Decoder(Event)
_STAMPED: Final = msgspec.json.Decoder(_Stamped)
_PLAIN: Final = msgspec.json.Decoder(PlainEvent)


def decode_event(raw: bytes | msgspec.Raw, *, at: str = "$") -> Event:
    """`event_steps` in one go."""
    return result_of(event_steps(bytes(raw), at=at))


def event_steps(raw: bytes, *, at: str = "$") -> Steps[Event]:
    """
    The event that *raw* spells.

    Args:
        raw: one JSON object that `json_rules.check_json` let pass, alone or in a larger body.
        at: its JSON path in the body, for faults.

    Raises:
        SerializationError: if it is no event; `path` says where.
    """
    try:
        event = _decoded(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, at=at, written=raw) from None
    yield from duplicate_steps(raw, at=at)
    return event


def _decoded(raw: bytes) -> Event:
    try:
        return _DECODER.decode(raw)
    except msgspec.ValidationError:
        if b":60" not in raw:
            raise
        # The decoder knows no leap seconds.
        written = _STAMPED.decode(raw).timestamp
        earlier = before_leap_second(written)
        if earlier is None:
            raise
        event = _DECODER.decode(raw.replace(b'"%b"' % written.encode(), b'"%b"' % earlier.encode()))
        return msgspec.structs.replace(event, timestamp=instant_of(written))


def is_event(stored: bytes) -> bool:
    """Whether a message of the log, which anybody may have written, is an event in every respect."""
    plain = plain_value(stored, _PLAIN)
    if plain is not None and plain_id(plain) is not None:
        return True
    try:
        # Before anything dear: most of what is no event is no object either, or lacks a field.
        _decoded(stored)
        check_json(stored)
        result_of(duplicate_steps(stored, at="$"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SerializationError):
        return False
    return True
