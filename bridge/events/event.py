"""The domain event (pure): what is checked of it.

Each rule has one exact check, and before it, where that is dear, a pass in C over all events at hand that mostly tells
that nothing can be wrong. What it cannot tell is looked at event by event (`event_steps`), and refused there or not.
"""

import re
from binascii import unhexlify
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import SerializationError
from bridge.events.duplicates import doubled_key_steps, is_all_of
from bridge.events.faults import fault_of
from bridge.events.instants import before_leap_second
from bridge.events.json_rules import (
    Steps,
    are_surely_safe,
    comma_steps,
    count_by_leaps,
    is_surely_safe,
    json_steps,
    result_of,
)
from bridge.events.payloads import (
    GenericPayload,
    OrderCreated,
    OrderItem,
    Payload,
    amount_of,
    are_short_amounts,
)
from bridge.limits import EVENT_TYPE_CHARS_MAX, JSON_STEP_BYTES

EventType: TypeAlias = Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]


_NIL_TEXT: Final = "00000000-0000-0000-0000-000000000000"


class Event(msgspec.Struct, gc=False):
    """One domain event; fields not named here are kept in its bytes and not looked at.

    Attributes:
        id: a UUID, also the message's id in the log; left as text, since making one takes as long as all the rest. Never
            the nil UUID, which in the log means "give it a random one".
        event_type: 1..256 characters without control characters.
        timestamp: RFC 3339 with a zone; a leap second is the moment a second later (`instants.instant_of`).
    """

    id: Annotated[str, Meta(extra_json_schema={"format": "uuid", "not": {"const": _NIL_TEXT}})]
    event_type: Annotated[EventType, Meta(extra_json_schema={"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"})]
    timestamp: Timestamp
    payload: Payload
    correlation_id: UUID | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET


class EventIds(msgspec.Struct, frozen=True, gc=False):
    """The ids of events in order: as UUIDs are written (36 characters, lower case), and packed: 16 bytes each, none 0."""

    texts: list[str]
    packed: bytes


class _IdentifiedEvent(Event, gc=False):
    id: UUID  # type: ignore[assignment]


class _Identified(msgspec.Struct):
    id: UUID
    event_type: EventType


class _Stamped(msgspec.Struct):
    timestamp: str


class _KindOfPayload(msgspec.Struct):
    type: str
    data: msgspec.Raw


class _Kind(msgspec.Struct):
    payload: _KindOfPayload


class _Action(msgspec.Struct):
    action: str


_EVENT: Final = msgspec.json.Decoder(Event)
_IDENTIFIED_EVENT: Final = msgspec.json.Decoder(_IdentifiedEvent)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)
_STAMPED: Final = msgspec.json.Decoder(_Stamped)
_KIND: Final = msgspec.json.Decoder(_Kind)
_ACTION: Final = msgspec.json.Decoder(_Action)
_ITEM: Final = msgspec.json.Decoder(OrderItem)
_ITEMS: Final = msgspec.json.Decoder(list[OrderItem])
# Spelled without escapes, as all but a writer with intent spells them.
_DECIDING_KEYS: Final = (
    b'"id"', b'"event_type"', b'"timestamp"', b'"payload"', b'"type"', b'"data"', b'"action"', b'"correlation_id"',
    b'"source"',
)  # fmt: skip
# Unicode's category Cc: C0, DEL and C1.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UUID_CHARS: Final = 36
_UUID_BYTES: Final = 16
# With a comma behind, what stands between its digits.
_PARTED_CHARS: Final = _UUID_CHARS + 1
_PARTED: Final = ((8, b"-"), (13, b"-"), (18, b"-"), (23, b"-"), (_UUID_CHARS, b","))
_UUID_DASHES_AT: Final = slice(8, 24, 5)
_NIL: Final = bytes(_UUID_BYTES)
# Levels around the data of a generic event: the envelope, its list, the event, its payload.
_LEVELS_AROUND_DATA: Final = 4
# Within the event, its payload, its data.
_LEVEL_OF_ITEMS: Final = 4
# {"product_id":"...","quantity":1,"unit_price":1} has 81.
_ITEM_BYTES_MIN: Final = 81
# Of an order, looked at between two turns: 1.5 ms.
_ITEMS_PER_STEP: Final = 256


# --- what is plain to see of many -----------------------------------------------------------------------------------


def known_ids(payloads: Sequence[bytes]) -> EventIds | None:
    """The ids of *payloads*, where each of them, which anybody may have written, surely is an event; else None."""
    # As they are encoded together: where each is written so, as most are, one comparison tells it.
    joined = b"[%b]" % b",".join(payloads)
    events = plain_events(payloads, joined)
    return sure_ids(events, joined, whole=events, commas_around=len(events) - 1) if events else None


def plain_events(payloads: Sequence[bytes], body: bytes) -> list[Event] | None:
    """*payloads* as far as their decoder checks them, where all of them are events to it and *body*, they or more, is UTF-8."""
    try:
        if not body.isascii():
            body.decode()
        return list(map(_EVENT.decode, payloads))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def sure_ids(events: Sequence[Event], body: bytes, *, whole: object, commas_around: int) -> EventIds | None:
    """The ids of *events*, where *body* surely holds nothing else and each surely keeps every other rule; else None.

    Args:
        events: as `plain_events` gives them.
        whole: what is written as *body*, with these events in it (`is_all_of`).
        commas_around: commas of *whole* that stand outside of all events.
    """
    payloads = [event.payload for event in events]
    data = [payload.data for payload in payloads if type(payload) is GenericPayload]
    if data and not are_surely_safe(data, levels_around=_LEVELS_AROUND_DATA):
        return None
    mixed = len(data) < len(payloads)
    if (mixed or not _are_all_of(events, data, body, commas_around)) and not is_all_of(whole, body):
        return None
    if mixed:
        orders = [payload.data for payload in payloads if type(payload.data) is OrderCreated]
        items = list(chain.from_iterable([order.items for order in orders]))
        if orders and not _are_plain_items(items, [order.total_amount for order in orders]):
            return None
    if _CONTROL.search("".join({event.event_type for event in events})) is not None:
        return None
    return _ids([event.id for event in events])


def _are_all_of(
    events: Sequence[Event], data: Sequence[msgspec.Raw], body: bytes, commas_around: int
) -> bool:
    """`is_all_of` of events with generic *data*, without writing them again (3,000 instructions each instead of 6,000).

    Whatever the decoder dropped has a comma beside it, and so has a comma in a text: nothing makes up for one too many.
    """
    missing = [event.correlation_id for event in events].count(UNSET)
    missing += [event.source for event in events].count(UNSET)
    # One less than an event has members, and one in its payload.
    commas = len(Event.__struct_fields__) * len(events) - missing
    return count_by_leaps(body, b",") == commas + count_by_leaps(b"".join(data), b",") + commas_around


def _are_plain_items(written: Sequence[msgspec.Raw], totals: Sequence[msgspec.Raw] = ()) -> bool:
    try:
        items = _ITEMS.decode(b"[%b]" % b",".join(written))
    except msgspec.DecodeError:
        return False
    return are_short_amounts([*totals, *[item.unit_price for item in items]])


def sure_id(event: Event) -> EventIds | None:
    """As `sure_ids` of one event, in a third of the time."""
    payload = event.payload
    if type(payload) is GenericPayload:
        if not is_surely_safe(bytes(payload.data), levels_around=_LEVELS_AROUND_DATA):
            return None
    elif type(order := payload.data) is OrderCreated and not _are_plain_items(
        order.items, (order.total_amount,)
    ):
        return None
    if not event.event_type.isprintable() and _CONTROL.search(event.event_type) is not None:
        return None
    text = event.id.lower()
    if len(text) != _UUID_CHARS or text[_UUID_DASHES_AT] != "----":
        return None
    try:
        # Blanks are skipped here, so that the number of bytes tells that there were none, nor any other dash.
        packed = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return None if len(packed) != _UUID_BYTES or packed == _NIL else EventIds([text], packed)


def _ids(texts: list[str]) -> EventIds | None:
    count = len(texts)
    # What is no ASCII is no digit afterwards either.
    joined = ",".join(texts).encode("ascii", "replace")
    # A pattern for all of them takes 0.3 us an id, this 0.1.
    if len(joined) != _PARTED_CHARS * count - 1 or any(
        joined[at::_PARTED_CHARS] != part * len(range(at, len(joined), _PARTED_CHARS)) for at, part in _PARTED
    ):
        return None
    # From behind, so that each stands where it did; by `replace` it takes three times as long.
    digits = bytearray(joined)
    for turn, (at, _) in enumerate(reversed(_PARTED)):
        del digits[at :: _PARTED_CHARS - turn]
    try:
        packed = unhexlify(digits)
    except ValueError:
        return None
    # So many digits leave no room for another comma or dash, so each text has its 36 characters. So many zeros in a row
    # may be the end of one id and the beginning of the next.
    if len(packed) != _UUID_BYTES * count or _NIL in packed:
        return None
    if packed.hex().encode() != digits:
        texts = joined.decode().lower().split(",")
    return EventIds(texts, packed)


# --- the rules for one ------------------------------------------------------------------------------------------------


def event_steps(raw: bytes, *, at: str = "$", levels_around: int = 0) -> Steps[UUID]:
    """The id of the event that *raw* spells.

    Args:
        raw: well-formed JSON, alone or in a larger body; where it is not, this says so.
        at: its JSON path in the body, for faults.
        levels_around: as for `json_steps`.

    Raises:
        SerializationError: if it is no event; `path` says where.
    """
    yield from json_steps(raw, levels_around=levels_around, at=at)
    try:
        if len(raw) > JSON_STEP_BYTES:
            yield from _refuse_too_many_items(raw, at)
            yield
        event = _decoded(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, at=at, written=raw) from None
    if type(event.payload.data) is OrderCreated:
        yield from _order_steps(event.payload.data, at)
    if event.id.int == 0:
        raise SerializationError("'id' must not be the nil UUID.", path=at)
    if _CONTROL.search(event.event_type) is not None:
        raise SerializationError("'event_type' must not hold control characters.", path=at)
    if not is_all_of(event, raw):
        yield from _doubled_key_steps(raw, event, at)
    return event.id


def _refuse_too_many_items(raw: bytes, at: str) -> Steps[None]:
    """So many cannot be items, and each would become an object before that is known; what is no new order may have them."""
    if b'"items"' not in raw and b"\\u" not in raw:
        return
    if (yield from comma_steps(raw, level=_LEVEL_OF_ITEMS)) <= len(raw) // _ITEM_BYTES_MIN:
        return
    payload = _KIND.decode(raw).payload
    if payload.type == "Order" and _ACTION.decode(payload.data).action == "Created":
        raise SerializationError(
            "There are more items than there is room for.", path=f"{at}.payload.data.items"
        )


def _decoded(raw: bytes) -> _IdentifiedEvent:
    try:
        return _IDENTIFIED_EVENT.decode(raw)
    except msgspec.ValidationError:
        if b":60" not in raw:
            raise
        # The decoder knows no leap seconds.
        written = _STAMPED.decode(raw).timestamp
        earlier = before_leap_second(written)
        if earlier is None:
            raise
        return _IDENTIFIED_EVENT.decode(raw.replace(b'"%b"' % written.encode(), b'"%b"' % earlier.encode()))


def _order_steps(order: OrderCreated, at: str) -> Steps[None]:
    for first in range(0, len(order.items), _ITEMS_PER_STEP):
        if first:
            yield
        items = order.items[first : first + _ITEMS_PER_STEP]
        if not _are_plain_items(items):
            for index, item in enumerate(items, start=first):
                _check_item(item, f"{at}.payload.data.items[{index}]")
    _check_amount(order.total_amount, "total_amount", f"{at}.payload.data")


def _check_item(written: msgspec.Raw, at: str) -> None:
    try:
        item = _ITEM.decode(written)
    except msgspec.DecodeError as error:
        raise fault_of(error, at=at) from None
    _check_amount(item.unit_price, "unit_price", at)


def _check_amount(written: msgspec.Raw, name: str, at: str) -> None:
    try:
        amount_of(written, name=name)
    except ValueError as error:
        raise SerializationError(f"{error}.", path=at) from None


def _doubled_key_steps(raw: bytes, event: Event, at: str) -> Steps[None]:
    single = b"\\u" not in raw
    for key in _DECIDING_KEYS:
        if len(raw) > JSON_STEP_BYTES:
            yield
        single = single and raw.count(key) <= 1
    if single:
        return
    payload = (yield from doubled_key_steps(raw, at=at))["payload"]
    fields = yield from doubled_key_steps(bytes(payload), at=f"{at}.payload")
    if type(event.payload) is not GenericPayload:
        yield from doubled_key_steps(bytes(fields["data"]), at=f"{at}.payload.data")


def is_event(stored: bytes) -> bool:
    """Whether a message of the log, which anybody may have written, is an event in every respect."""
    return result_of(is_event_steps(stored))


def is_event_steps(stored: bytes) -> Steps[bool]:
    """`is_event`, in pieces."""
    if len(stored) <= JSON_STEP_BYTES and known_ids((stored,)) is not None:
        return True
    try:
        # Before anything dear: most of what is no event is no object either, or lacks a field.
        _IDENTIFIED.decode(stored)
        yield
        yield from event_steps(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SerializationError):
        return False
    return True
