"""The domain event (pure): what is checked of it, and the bytes of it that are stored."""

import re
from datetime import datetime
from typing import Annotated, Final, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import SerializationError
from bridge.events.amounts import amount_of
from bridge.events.duplicates import duplicate_steps
from bridge.events.faults import fault_of
from bridge.events.instants import before_leap_second, instant_of
from bridge.events.json_marks import comma_steps
from bridge.events.json_rules import Steps, json_steps, result_of
from bridge.events.payloads import (
    GenericPayload,
    OrderCancelled,
    OrderItem,
    OrderShipped,
    OrderUpdated,
    Payload,
    UserPayload,
)
from bridge.events.plain import plain_id, plain_value
from bridge.events.plain_shapes import PlainEvent
from bridge.limits import EVENT_TYPE_CHARS_MAX, JSON_STEP_BYTES

__all__ = ("Event", "decode_event", "event_steps", "is_event", "is_event_steps")

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


class _LargeOrderCreated(msgspec.Struct, frozen=True, tag_field="action", tag="Created"):
    order_id: UUID
    user_id: UUID
    items: list[msgspec.Raw]
    total_amount: msgspec.Raw

    def __post_init__(self) -> None:
        amount_of(self.total_amount, name="total_amount")


class _LargeOrderPayload(msgspec.Struct, frozen=True, tag_field="type", tag="Order"):
    data: _LargeOrderCreated | OrderUpdated | OrderCancelled | OrderShipped


class _LargeEvent(Event, frozen=True):
    payload: UserPayload | _LargeOrderPayload | GenericPayload  # type: ignore[assignment]


class _Stamped(msgspec.Struct):
    timestamp: str


class _KindOfPayload(msgspec.Struct):
    type: str
    data: msgspec.Raw


class _Kind(msgspec.Struct):
    payload: _KindOfPayload


class _Action(msgspec.Struct):
    action: str


class _Identified(msgspec.Struct):
    id: UUID
    event_type: EventType


E = TypeVar("E", bound=Event)
# Within the event, its payload, its data.
_LEVEL_OF_ITEMS: Final = 4
# {"product_id":"...","quantity":1,"unit_price":1} has 81.
_ITEM_BYTES_MIN: Final = 81
# Of an order, looked at between two turns: 1.5 ms.
_ITEMS_PER_STEP: Final = 256
_LARGE: Final = msgspec.json.Decoder(_LargeEvent)
_ITEM: Final = msgspec.json.Decoder(OrderItem)
_ITEMS: Final = msgspec.json.Decoder(list[OrderItem])
_KIND: Final = msgspec.json.Decoder(_Kind)
_ACTION: Final = msgspec.json.Decoder(_Action)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)
_DECODER: Final = msgspec.json.Decoder(Event)
_STAMPED: Final = msgspec.json.Decoder(_Stamped)
_PLAIN: Final = msgspec.json.Decoder(PlainEvent)


def decode_event(raw: bytes | msgspec.Raw, *, at: str = "$") -> Event:
    """
    The event that *raw* spells, in one go, whatever its size.

    Raises:
        SerializationError: as `event_steps`.
    """
    written = bytes(raw)
    result_of(event_steps(written, at=at))
    return _decoded(written, _DECODER)


def event_steps(raw: bytes, *, at: str = "$") -> Steps[UUID]:
    """
    The id of the event that *raw* spells.

    Args:
        raw: one JSON object that `json_rules.check_json` let pass, alone or in a larger body.
        at: its JSON path in the body, for faults.

    Raises:
        SerializationError: if it is no event; `path` says where.
    """
    try:
        event = (yield from _large(raw, at)) if len(raw) > JSON_STEP_BYTES else _decoded(raw, _DECODER)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, at=at, written=raw) from None
    yield from duplicate_steps(raw, at=at)
    return event.id


def _large(raw: bytes, at: str) -> Steps[Event]:
    """The event without the items of an order, which are many here and are looked at some at a time."""
    if b'"items"' in raw or b"\\u" in raw:
        commas = yield from comma_steps(raw, level=_LEVEL_OF_ITEMS)
        if commas > len(raw) // _ITEM_BYTES_MIN:
            # So many cannot be items, and each would become an object before that is known. What is no new order may have
            # so many of anything.
            if _is_new_order(raw):
                raise SerializationError(
                    "There are more items than there is room for.", path=f"{at}.payload.data.items"
                )
            yield
            return _decoded(raw, _DECODER)
    yield
    event = _decoded(raw, _LARGE)
    yield
    order = event.payload.data
    if isinstance(order, _LargeOrderCreated):
        for first in range(0, len(order.items), _ITEMS_PER_STEP):
            _check_items(order.items[first : first + _ITEMS_PER_STEP], first, at)
            yield
    return event


def _is_new_order(raw: bytes) -> bool:
    payload = _KIND.decode(raw).payload
    return payload.type == "Order" and _ACTION.decode(payload.data).action == "Created"


def _check_items(items: list[msgspec.Raw], first: int, at: str) -> None:
    try:
        _ITEMS.decode(b"[%b]" % b",".join(items))
    except msgspec.ValidationError:
        for index, item in enumerate(items, start=first):
            try:
                _ITEM.decode(item)
            except msgspec.ValidationError as error:
                raise fault_of(error, at=f"{at}.payload.data.items[{index}]") from None


def _decoded(raw: bytes, decoder: "msgspec.json.Decoder[E]") -> E:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        if b":60" not in raw:
            raise
        # The decoder knows no leap seconds.
        written = _STAMPED.decode(raw).timestamp
        earlier = before_leap_second(written)
        if earlier is None:
            raise
        event = decoder.decode(raw.replace(b'"%b"' % written.encode(), b'"%b"' % earlier.encode()))
        return msgspec.structs.replace(event, timestamp=instant_of(written))


def is_event(stored: bytes) -> bool:
    """Whether a message of the log, which anybody may have written, is an event in every respect."""
    return result_of(is_event_steps(stored))


def is_event_steps(stored: bytes) -> Steps[bool]:
    """`is_event`, in pieces."""
    if len(stored) <= JSON_STEP_BYTES:
        plain = plain_value(stored, _PLAIN)
        if plain is not None and plain_id(plain) is not None:
            return True
    try:
        # Before anything dear: most of what is no event is no object either, or lacks a field.
        _IDENTIFIED.decode(stored)
        yield
        # Some of the rest goes by its structure, which must be one.
        yield from json_steps(stored)
        yield from event_steps(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SerializationError):
        return False
    return True
