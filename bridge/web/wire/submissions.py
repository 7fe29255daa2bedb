"""Request bodies that hold events (pure): bytes in, checked messages out."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.events import (
    PlainEvent,
    PlainIds,
    Steps,
    comma_steps,
    event_steps,
    events_as_written,
    is_all_of,
    is_well_formed,
    json_steps,
    plain_id,
    plain_ids,
    plain_value,
    result_of,
    text_value,
)
from bridge.limits import (
    JSON_FAST_BYTES_MAX,
    JSON_STEP_BYTES,
    MESSAGE_PAYLOAD_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX,
)
from bridge.messagelog import Balanced, ByKey, NewEvent, NewMessage, NewRecords, Placement
from bridge.web.wire.envelopes import outline_steps
from bridge.web.wire.payload_forms import fitting

__all__ = (
    "Submission",
    "batch_steps",
    "message_steps",
    "placement_of",
    "plain_message",
    "read_batch",
    "read_message",
)


class Submission(msgspec.Struct, frozen=True, gc=False):
    """Events on their way into the log, in order.

    Attributes:
        event_ids: as UUIDs are written, in lower case.
        messages: the events' own bytes, under the same ids.
    """

    event_ids: Sequence[str]
    messages: Sequence[NewMessage]
    placement: Placement


class _MessageBody(msgspec.Struct, forbid_unknown_fields=True):
    event: msgspec.Raw
    partition_key: str | None = None


class _BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    partition_key: str | None = None


class _PlainMessage(msgspec.Struct):
    event: PlainEvent
    partition_key: str | UnsetType | None = UNSET


class _PlainBatch(msgspec.Struct):
    events: list[PlainEvent]
    partition_key: str | UnsetType | None = UNSET


_ANYWHERE: Final = Balanced()
_MESSAGE_KEYS: Final = (b'"event"', b'"partition_key"')
_BATCH_KEYS: Final = (b'"events"', b'"partition_key"')
_BATCH_BEGIN: Final = b'{"events":['

_MESSAGE: Final = msgspec.json.Decoder(_MessageBody)
_BATCH: Final = msgspec.json.Decoder(_BatchBody)
_PLAIN_MESSAGE: Final = msgspec.json.Decoder(_PlainMessage)
_PLAIN_BATCH: Final = msgspec.json.Decoder(_PlainBatch)
_PLAIN_EVENTS: Final = msgspec.json.Decoder(list[PlainEvent])
# The envelope, and for a batch its list: levels around an event.
_LEVELS_AROUND_EVENT: Final = 1
_LEVELS_AROUND_EVENTS: Final = 2


def read_message(body: bytes) -> Submission:
    """`message_steps` in one go."""
    return result_of(message_steps(body))


def read_batch(body: bytes, *, messages_max: int) -> Submission:
    """`batch_steps` in one go."""
    return result_of(batch_steps(body, messages_max=messages_max))


def plain_message(body: bytes) -> Submission | None:
    """
    What `message_steps` gives, of a body of which that can be told in one short go; else None.

    Raises:
        BadRequest: as `message_steps`.
    """
    if len(body) > JSON_FAST_BYTES_MAX:
        return None
    plain = plain_value(body, _PLAIN_MESSAGE)
    if plain is None:
        return None
    named = plain_id(plain.event)
    if named is None:
        return None
    payload = bytes(_MESSAGE.decode(body).event)
    _check_size(payload, "$.event")
    event_id, number = named
    return Submission((event_id,), (NewEvent(payload, number),), _placement(plain.partition_key))


def message_steps(body: bytes) -> Steps[Submission]:
    """
    What `POST /messages` asks to store.

    Args:
        body: `{"event": Event, "partition_key"?: 1..255 bytes of UTF-8}`.

    Raises:
        SerializationError: if it is no such JSON; `path` says where.
        BadRequest: if the partition key is out of bounds.
    """
    submission = plain_message(body)
    if submission is not None:
        return submission
    outline = yield from outline_steps(body, _MESSAGE, _MESSAGE_KEYS)
    placement = _placement(outline.partition_key)
    payload = bytes(outline.event)
    if len(payload) > JSON_STEP_BYTES:
        yield
    event_id = yield from _checked_steps(payload, "$.event", _LEVELS_AROUND_EVENT)
    return Submission((str(event_id),), (NewEvent(payload, event_id.int),), placement)


def batch_steps(body: bytes, *, messages_max: int) -> Steps[Submission]:
    """
    What `POST /messages/batch` asks to store; every event is checked before anything is returned.

    Args:
        body: `{"events": [Event, ...], "partition_key"?: 1..255 bytes of UTF-8}`.
        messages_max: most events taken, 1 or more.

    Raises:
        SerializationError: if it is no such JSON; `path` names the index.
        BadRequest: if there is no event, too many, or the partition key is out of bounds.
    """
    if len(body) <= JSON_FAST_BYTES_MAX:
        plain = text_value(body, _PLAIN_BATCH)
        if plain is not None and 1 <= len(plain.events) <= messages_max:
            payloads = _plain_payloads(plain, body)
            ids = None if payloads is None else _plain_ids(plain.events, payloads)
            if payloads is not None and ids is not None:
                records = NewRecords(payloads, ids.packed, events=True)
                return Submission(ids.texts, records, _placement(plain.partition_key))
    else:
        yield from _refuse_ten_million_numbers(body, messages_max)
    outline = yield from outline_steps(body, _BATCH, _BATCH_KEYS)
    if not outline.events:
        raise BadRequest("A batch holds at least one event.", path="$.events", limit=1)
    _check_count(len(outline.events), messages_max)
    placement = _placement(outline.partition_key)
    yield
    payloads = list(map(bytes, outline.events))
    ids = yield from _ids_of_runs(payloads)
    return Submission(ids.texts, NewRecords(payloads, ids.packed, events=True), placement)


def _refuse_ten_million_numbers(body: bytes, messages_max: int) -> Steps[None]:
    """Each would become an object before it is known that they are too many, or no events."""
    if not is_well_formed(body):
        # For the parser to say why.
        return
    yield
    commas = yield from comma_steps(body, level=_LEVELS_AROUND_EVENTS)
    _check_count(commas + 1, messages_max)


def _check_count(count: int, messages_max: int) -> None:
    if count > messages_max:
        raise BadRequest(
            f"The batch holds {count} events; at most {messages_max} are taken.",
            path="$.events",
            limit=messages_max,
        )


def _plain_payloads(plain: _PlainBatch, body: bytes) -> list[bytes] | None:
    """The events' own bytes, if *body* surely holds nothing but what is in *plain*."""
    first = events_as_written(plain.events[:1])
    if body.startswith(first[0], len(_BATCH_BEGIN)):
        # Who writes without blanks and in the order of the contract sent just what comes of writing it again, in 0.3 us
        # an event. To count quotes, and parse once more to find the events' bytes, takes 0.7.
        payloads = events_as_written(plain.events)
        key = plain.partition_key
        listed = b",".join(payloads)
        end = b"]}" if isinstance(key, UnsetType) else b'],"partition_key":%b}' % msgspec.json.encode(key)
        # Compared in place.
        at = len(_BATCH_BEGIN)
        if body.startswith(_BATCH_BEGIN) and body.startswith(listed, at) and body[at + len(listed) :] == end:
            return payloads
    return list(map(bytes, _BATCH.decode(body).events)) if is_all_of(plain, body) else None


def _ids_of_runs(payloads: list[bytes]) -> Steps[PlainIds]:
    """The ids of events, checked in runs of `JSON_STEP_BYTES`; where one run is not plain, event by event."""
    texts: list[str] = []
    packed: list[bytes] = []
    while len(texts) < len(payloads):
        first = len(texts)
        run = fitting(payloads, first, bytes_max=JSON_STEP_BYTES)
        plain = plain_value(b"[%b]" % b",".join(run), _PLAIN_EVENTS) if len(run) > 1 else None
        ids = None if plain is None else _plain_ids(plain, run)
        if ids is not None:
            texts += ids.texts
            packed.append(ids.packed)
            yield
            continue
        for index, payload in enumerate(run, start=first):
            event_id = yield from _checked_steps(payload, f"$.events[{index}]", _LEVELS_AROUND_EVENTS)
            texts.append(str(event_id))
            packed.append(event_id.bytes)
        yield
    return PlainIds(texts, b"".join(packed))


def _plain_ids(events: Sequence[PlainEvent], payloads: list[bytes]) -> PlainIds | None:
    return plain_ids(events) if max(map(len, payloads)) <= MESSAGE_PAYLOAD_BYTES_MAX else None


def _checked_steps(payload: bytes, at: str, levels_around: int) -> Steps[UUID]:
    """The id of an event, once all of it was looked at."""
    yield from json_steps(payload, levels_around=levels_around, at=at)
    event_id = yield from event_steps(payload, at=at)
    _check_size(payload, at)
    return event_id


def _check_size(payload: bytes, at: str) -> None:
    if len(payload) > MESSAGE_PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"The event has {len(payload)} bytes; a message holds at most {MESSAGE_PAYLOAD_BYTES_MAX}.",
            path=at,
            limit=MESSAGE_PAYLOAD_BYTES_MAX,
        )


def placement_of(partition_key: str, *, path: str) -> ByKey:
    """
    Where messages of this key go.

    Raises:
        BadRequest: if it does not have 1..`PARTITION_KEY_BYTES_MAX` bytes of UTF-8.
    """
    key = partition_key.encode()
    if not 1 <= len(key) <= PARTITION_KEY_BYTES_MAX:
        raise BadRequest(
            f"The partition key has {len(key)} bytes; it takes 1 to {PARTITION_KEY_BYTES_MAX}.",
            path=path,
            limit=PARTITION_KEY_BYTES_MAX,
        )
    return ByKey(key)


def _placement(partition_key: str | UnsetType | None) -> Placement:
    if partition_key is UNSET or partition_key is None:
        return _ANYWHERE
    return placement_of(partition_key, path="$.partition_key")
