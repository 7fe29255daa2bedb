"""Lines that are messages with all that belongs to them, as `GET` gives them (pure): values in, columns out."""

from base64 import b64decode
from binascii import Error as NoBase64
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from bridge.errors import BridgeError, SerializationError
from bridge.events import Steps
from bridge.limits import NDJSON_WHOLE_LINE_SPARE_BYTES
from bridge.messagelog import NO_HEADERS, Headers, HeaderValue, NewMessage, check_message
from bridge.web.bodies.ndjson import LINES_PER_STEP, LineFault, Lines
from bridge.web.wire.envelopes import outline_steps

_NULL: Final = b"null"


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line of `GET .../messages`; where it was, and when, is taken and not used."""

    id: UUID | UnsetType = UNSET
    headers: msgspec.Raw | UnsetType = UNSET
    event: msgspec.Raw | UnsetType = UNSET
    payload: msgspec.Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    payload_base64: bytes | UnsetType = UNSET
    partition_id: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    cursor: str | UnsetType = UNSET


class _IdAlone(msgspec.Struct, gc=False):
    id: UUID


_LINE: Final = msgspec.json.Decoder(_Line)
_HEADERS: Final = msgspec.json.Decoder(dict[str, str | bool | int | float | dict[str, str]])
_NAMED: Final = msgspec.json.Decoder(_IdAlone)


def whole_line_bytes_max(payload_bytes_max: int) -> int:
    """How long a line may be, so that a message of so many bytes fits, whatever they are, as reads give it."""
    return -(-payload_bytes_max // 3) * 4 + NDJSON_WHOLE_LINE_SPARE_BYTES


def whole_steps(
    lines: Lines[bytes], *, faults_told: int, headers: Headers = NO_HEADERS
) -> Steps[Lines[NewMessage]]:
    """The messages that the values of *lines* spell, and the faults of *lines* with those found here, in their order.

    Their ids are their own, 0 where none was given.

    Args:
        lines: every value is JSON that was checked.
        faults_told: so many faults are explained.
        headers: of every message, but where it has one of that name.
    """
    messages: list[NewMessage] = []
    numbers: list[int] = []
    faults = list(lines.faults)
    for value, number in zip(lines.messages, lines.numbers, strict=True):
        if number % LINES_PER_STEP == 0:
            yield
        try:
            message = yield from _message(value, headers)
            check_message(message)
        except BridgeError as error:
            path = getattr(error, "path", None)
            faults.append(LineFault(number, f"{error.detail} ({path})" if path else error.detail))
            continue
        messages.append(message)
        numbers.append(number)
    failed = lines.failed + len(lines.messages) - len(messages)
    return Lines(messages, numbers, sorted(faults)[:faults_told], failed)


def _message(value: bytes, of_all: Headers) -> Steps[NewMessage]:
    line = yield from outline_steps(value, _LINE)
    given = [
        each
        for each in (_raw(line.event, null_is_none=True), _raw(line.payload), line.text, line.payload_base64)
        if each is not UNSET
    ]
    if len(given) != 1:
        raise SerializationError(
            "A message is one of 'event', 'payload', 'text' and 'payload_base64'.", path="$"
        )
    payload: Any = given[0]
    if isinstance(payload, str):
        payload = payload.encode()
    headers = of_all
    if not isinstance(line.headers, UnsetType):
        headers = {**of_all, **(yield from _headers(line.headers))}
    return NewMessage(payload, _id(line, payload), headers)


def _raw(raw: msgspec.Raw | UnsetType, *, null_is_none: bool = False) -> bytes | UnsetType:
    if isinstance(raw, UnsetType):
        return raw
    payload = bytes(raw)
    return UNSET if null_is_none and payload == _NULL else payload


def _id(line: _Line, payload: bytes) -> int:
    """The id that the line gives, else that of its event; 0 where there is none, for a random one."""
    id_, path = line.id, "$.id"
    if isinstance(id_, UnsetType):
        if isinstance(line.event, UnsetType):
            return 0
        try:
            id_, path = _NAMED.decode(payload).id, "$.event.id"
        except msgspec.DecodeError:
            return 0
    if not id_.int:
        raise SerializationError(
            "The id must not be the nil UUID; who gives none gets a random one.", path=path
        )
    return id_.int


def _headers(raw: msgspec.Raw) -> Steps[Headers]:
    try:
        # By itself, so that a name that is there twice is seen.
        named = yield from outline_steps(bytes(raw), _HEADERS)
    except SerializationError as error:
        error.path = f"$.headers{(error.path or '$').removeprefix('$')}"
        raise
    return {name: _header(value) for name, value in named.items()}


def _header(value: str | bool | float | dict[str, str]) -> HeaderValue:
    match value:
        case {"base64": str(text), **rest} if not rest:
            try:
                return b64decode(text, validate=True)
            except NoBase64:
                raise SerializationError("A header is not base64.", path="$.headers") from None
        case {"number": "NaN" | "nan" | "inf" | "-inf" as text, **rest} if not rest:
            return float(text)
        case dict():
            raise SerializationError(
                "A header is text, a number, true or false, or an object with 'base64' or 'number'.",
                path="$.headers",
            )
        case _:
            return value
