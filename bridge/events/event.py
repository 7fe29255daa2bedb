"""The domain event (pure): what is checked of it, and the bytes of it that are stored."""

import re
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import SerializationError
from bridge.events.duplicates import refuse_duplicates
from bridge.events.faults import fault_of
from bridge.events.json_rules import check_json
from bridge.events.payloads import Payload
from bridge.limits import EVENT_TYPE_CHARS_MAX

__all__ = ("Event", "decode_event", "is_event")

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
        timestamp: RFC 3339 with a zone.
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


_DECODER: Final = msgspec.json.Decoder(Event)


def decode_event(raw: bytes | msgspec.Raw, *, at: str = "$") -> Event:
    """
    The event that *raw* spells.

    Args:
        raw: one JSON object that `json_rules.check_json` let pass, alone or in a larger body.
        at: its JSON path in the body, for faults.

    Raises:
        SerializationError: if it is no event; `path` says where.
    """
    try:
        event = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, at=at) from None
    refuse_duplicates(bytes(raw), at=at)
    return event


def is_event(stored: bytes) -> bool:
    """Whether a message of the log, which anybody may have written, is an event in every respect."""
    try:
        # Before anything dear: most of what is no event is no object either, or lacks a field.
        _DECODER.decode(stored)
        check_json(stored)
        refuse_duplicates(stored, at="$")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SerializationError):
        return False
    return True
