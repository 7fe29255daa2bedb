"""Request bodies that hold events (pure): bytes in, checked messages out."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.events import (
    Event,
    EventIds,
    Steps,
    comma_steps,
    event_steps,
    is_well_formed,
    known_ids,
    plain_events,
    result_of,
    sure_id,
    sure_ids,
    whole_value,
)
from bridge.limits import (
    JSON_FAST_BYTES_MAX,
    JSON_STEP_BYTES,
    MESSAGE_PAYLOAD_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX,
)
from bridge.messagelog import NO_HEADERS, Balanced, ByKey, Headers, NewRecords, Placement
from bridge.messagelog.records import NO_HEADERS_AT_ALL, headers_of_all
from bridge.web.wire.batches import BATCH_OUTLINE, divided_batch
from bridge.web.wire.envelopes import outline_steps
from bridge.web.wire.payload_forms import fitting


class Submission(msgspec.Struct, frozen=True, gc=False):
    """Events on their way into the log, in order.

    Attributes:
        event_ids: as UUIDs are written, in lower case.
        messages: the events' own bytes, under the same ids.
    """

    event_ids: Sequence[str]
    messages: NewRecords
    placement: Placement


class _MessageOutline(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event: msgspec.Raw
    partition_key: str | UnsetType | None = UNSET


# What these say to the document alone is checked by hand, for the sake of the fault's words.
_Key = Annotated[
    str,
    Meta(
        description="1 to 255 bytes of UTF-8; the same key always goes to one partition",
        extra_json_schema={"minLength": 1, "maxLength": PARTITION_KEY_BYTES_MAX},
    ),
]


class MessageBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One event to be stored."""

    event: Event
    partition_key: _Key | UnsetType | None = UNSET


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """Events to be stored, all or none, in order, in one partition; up to BATCH_MAX_SIZE of them."""

    events: Annotated[list[Event], Meta(extra_json_schema={"minItems": 1})]
    partition_key: _Key | UnsetType | None = UNSET


_ANYWHERE: Final = Balanced()
_MESSAGE_OUTLINE: Final = msgspec.json.Decoder(_MessageOutline)
_MESSAGE: Final = msgspec.json.Decoder(MessageBody)
# The envelope, and for a batch its list: levels around an event.
_LEVELS_AROUND_EVENT: Final = 1
_LEVELS_AROUND_EVENTS: Final = 2


def read_message(body: bytes, headers: Headers = NO_HEADERS) -> Submission:
    """`plain_message`, else `message_steps` in one go."""
    return plain_message(body, headers) or result_of(message_steps(body, headers))


def plain_message(body: bytes, headers: Headers = NO_HEADERS) -> Submission | None:
    """What `message_steps` gives, where it is plain to see that each of its checks passes; None says nothing."""
    message = whole_value(body, _MESSAGE) if len(body) <= JSON_FAST_BYTES_MAX else None
    if message is None or (ids := sure_id(message.event)) is None:
        return None
    payload = bytes(_MESSAGE_OUTLINE.decode(body).event)
    return _one_event(payload, ids, _placement(message.partition_key), headers)


def message_steps(body: bytes, headers: Headers = NO_HEADERS) -> Steps[Submission]:
    """What `POST /messages` asks to store.

    Args:
        body: `{"event": Event, "partition_key"?: 1..255 bytes of UTF-8}`.
        headers: of the message.

    Raises:
        SerializationError: if it is no such JSON; `path` says where.
        BadRequest: if the partition key is out of bounds.
    """
    outline = yield from outline_steps(body, _MESSAGE_OUTLINE)
    payload, placement = bytes(outline.event), _placement(outline.partition_key)
    if len(payload) > JSON_STEP_BYTES:
        yield
    event_id = yield from event_steps(payload, at="$.event", levels_around=_LEVELS_AROUND_EVENT)
    return _one_event(payload, EventIds([str(event_id)], event_id.bytes), placement, headers)


def _one_event(payload: bytes, ids: EventIds, placement: Placement, headers: Headers) -> Submission:
    _check_size(payload, "$.event")
    by_index = {0: headers} if headers else NO_HEADERS_AT_ALL
    # By place: a class whose arguments are named takes 1,500 instructions more.
    return Submission(ids.texts, NewRecords([payload], ids.packed, by_index, True), placement)


def batch_steps(body: bytes, headers: Headers = NO_HEADERS, *, messages_max: int) -> Steps[Submission]:
    """What `POST /messages/batch` asks to store; every event is checked before anything is returned.

    Args:
        body: `{"events": [Event, ...], "partition_key"?: 1..255 bytes of UTF-8}`.
        headers: of each message.
        messages_max: most events taken, 1 or more.

    Raises:
        SerializationError: if it is no such JSON; `path` names the index.
        BadRequest: if there is no event, too many, or the partition key is out of bounds.
    """
    plain = None
    if len(body) <= JSON_FAST_BYTES_MAX:
        plain = _plain_batch(body)
    else:
        yield from _refuse_ten_million_numbers(body, messages_max)
    if plain is not None:
        payloads, ids, partition_key = plain
        _check_count(len(payloads), messages_max)
        placement = _placement(partition_key)
        if len(body) > MESSAGE_PAYLOAD_BYTES_MAX:
            for index, payload in enumerate(payloads):
                _check_size(payload, f"$.events[{index}]")
    else:
        outline = yield from outline_steps(body, BATCH_OUTLINE)
        _check_count(len(outline.events), messages_max)
        placement = _placement(outline.partition_key)
        payloads = list(map(bytes, outline.events))
        yield
        ids = yield from _ids_of_runs(payloads)
    by_index = headers_of_all(len(payloads), headers)
    return Submission(ids.texts, NewRecords(payloads, ids.packed, by_index, events=True), placement)


def _plain_batch(body: bytes) -> tuple[list[bytes], EventIds, str | UnsetType | None] | None:
    """The events of a batch, their ids and its key, where it is plain to see that each check passes; None says nothing."""
    divided = divided_batch(body)
    if divided is None:
        return None
    payloads, partition_key = divided
    events = plain_events(payloads, body)
    if events is None:
        return None
    # Between the events, and before the key.
    commas = len(events) - (partition_key is UNSET)
    ids = sure_ids(events, body, whole=BatchBody(events, partition_key), commas_around=commas)
    return None if ids is None else (payloads, ids, partition_key)


def _refuse_ten_million_numbers(body: bytes, messages_max: int) -> Steps[None]:
    """Each would become an object before it is known that they are too many, or no events."""
    if not is_well_formed(body):
        # For the parser to say why.
        return
    yield
    commas = yield from comma_steps(body, level=_LEVELS_AROUND_EVENTS)
    if commas >= messages_max:
        _check_count(commas + 1, messages_max)


def _check_count(count: int, messages_max: int) -> None:
    if not count:
        raise BadRequest("A batch holds at least one event.", path="$.events", limit=1)
    if count > messages_max:
        raise BadRequest(
            f"The batch holds {count} events; at most {messages_max} are taken.",
            path="$.events",
            limit=messages_max,
        )


def _ids_of_runs(payloads: list[bytes]) -> Steps[EventIds]:
    """The ids of events, checked in runs of `JSON_STEP_BYTES`; where one run is not plain to see, event by event."""
    texts: list[str] = []
    packed: list[bytes] = []
    while len(texts) < len(payloads):
        first = len(texts)
        run = fitting(payloads, first, bytes_max=JSON_STEP_BYTES)
        ids = known_ids(run) if len(run) > 1 else None
        if ids is not None:
            texts += ids.texts
            packed.append(ids.packed)
            yield
            continue
        for index, payload in enumerate(run, start=first):
            at = f"$.events[{index}]"
            event_id = yield from event_steps(payload, at=at, levels_around=_LEVELS_AROUND_EVENTS)
            _check_size(payload, at)
            texts.append(str(event_id))
            packed.append(event_id.bytes)
        yield
    return EventIds(texts, b"".join(packed))


def _check_size(payload: bytes, at: str) -> None:
    if len(payload) > MESSAGE_PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"The event has {len(payload)} bytes; a message holds at most {MESSAGE_PAYLOAD_BYTES_MAX}.",
            path=at,
            limit=MESSAGE_PAYLOAD_BYTES_MAX,
        )


def placement_of(partition_key: str, *, path: str) -> ByKey:
    """Where messages of this key go.

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
