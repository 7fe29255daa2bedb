"""Request bodies that hold events (pure): bytes in, checked messages out."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.events import (
    PlainEvent,
    Steps,
    event_steps,
    json_steps,
    plain_ids,
    plain_value,
    result_of,
)
from bridge.limits import (
    JSON_FAST_BYTES_MAX,
    JSON_STEP_BYTES,
    MESSAGE_PAYLOAD_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX,
)
from bridge.messagelog import Balanced, ByKey, NewEvent, NewMessage, Placement
from bridge.web.wire_envelopes import decode_outline

__all__ = (
    "Submission",
    "batch_steps",
    "message_steps",
    "placement_of",
    "plain_message",
    "read_batch",
    "read_message",
)


class Submission(NamedTuple):
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


class _Identified(msgspec.Struct):
    id: UUID


class _BatchOutline(msgspec.Struct):
    """What tells a list of things that can be events from one of ten million numbers, at the first that cannot."""

    events: list[_Identified]


_MESSAGE_KEYS: Final = (b'"event"', b'"partition_key"')
_BATCH_KEYS: Final = (b'"events"', b'"partition_key"')

_MESSAGE: Final = msgspec.json.Decoder(_MessageBody)
_BATCH: Final = msgspec.json.Decoder(_BatchBody)
_OUTLINE: Final = msgspec.json.Decoder(_BatchOutline)
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
    ids = plain_ids((plain.event,))
    if ids is None:
        return None
    payload = bytes(_MESSAGE.decode(body).event)
    _check_size(payload, "$.event")
    event = NewEvent(payload, ids.numbers[0])
    return Submission(ids.texts, (event,), _placement(plain.partition_key))


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
    outline = decode_outline(body, _MESSAGE, _MESSAGE_KEYS)
    placement = _placement(outline.partition_key)
    event_id, message = yield from _checked_steps(bytes(outline.event), "$.event", _LEVELS_AROUND_EVENT)
    return Submission((event_id,), (message,), placement)


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
        plain = plain_value(body, _PLAIN_BATCH)
        if plain is not None and 1 <= len(plain.events) <= messages_max:
            payloads = list(map(bytes, _BATCH.decode(body).events))
            taken = _plain(plain.events, payloads)
            if taken is not None:
                return Submission(*taken, _placement(plain.partition_key))
    else:
        decode_outline(body, _OUTLINE, ())
        yield
    outline = decode_outline(body, _BATCH, _BATCH_KEYS)
    if not outline.events:
        raise BadRequest("A batch holds at least one event.", path="$.events", limit=1)
    if len(outline.events) > messages_max:
        raise BadRequest(
            f"The batch holds {len(outline.events)} events; at most {messages_max} are taken.",
            path="$.events",
            limit=messages_max,
        )
    placement = _placement(outline.partition_key)
    yield
    event_ids, messages = yield from _runs(outline.events)
    return Submission(event_ids, messages, placement)


def _runs(events: list[msgspec.Raw]) -> Steps[tuple[list[str], list[NewMessage]]]:
    """Events in runs of `JSON_STEP_BYTES`; where one run is not plain, event by event."""
    event_ids: list[str] = []
    messages: list[NewMessage] = []
    while len(messages) < len(events):
        first = len(messages)
        run = _run(events, first)
        plain = plain_value(b"[%b]" % b",".join(run), _PLAIN_EVENTS) if len(run) > 1 else None
        taken = None if plain is None else _plain(plain, run)
        if taken is not None:
            event_ids += taken[0]
            messages += taken[1]
            yield
            continue
        for index, payload in enumerate(run, start=first):
            event_id, message = yield from _checked_steps(
                payload, f"$.events[{index}]", _LEVELS_AROUND_EVENTS
            )
            event_ids.append(event_id)
            messages.append(message)
        yield
    return event_ids, messages


def _run(events: list[msgspec.Raw], first: int) -> list[bytes]:
    run: list[bytes] = []
    run_bytes = 0
    for index in range(first, len(events)):
        payload = bytes(events[index])
        run_bytes += len(payload)
        if run and run_bytes > JSON_STEP_BYTES:
            break
        run.append(payload)
    return run


def _plain(events: Sequence[PlainEvent], payloads: list[bytes]) -> tuple[list[str], list[NewMessage]] | None:
    ids = plain_ids(events)
    if ids is None or max(map(len, payloads)) > MESSAGE_PAYLOAD_BYTES_MAX:
        return None
    return ids.texts, list(map(NewEvent, payloads, ids.numbers))


def _checked_steps(payload: bytes, at: str, levels_around: int) -> Steps[tuple[str, NewMessage]]:
    yield from json_steps(payload, levels_around=levels_around, at=at)
    event = yield from event_steps(payload, at=at)
    _check_size(payload, at)
    return str(event.id), NewEvent(payload, event.id.int)


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
    if partition_key is None or isinstance(partition_key, UnsetType):
        return Balanced()
    return placement_of(partition_key, path="$.partition_key")
