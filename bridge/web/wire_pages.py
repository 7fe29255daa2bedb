"""The answer to a poll (pure): whatever is in the log goes out as what it is, and nothing in it breaks the page."""

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from bridge.errors import SerializationError
from bridge.events import check_json, is_event, is_well_formed
from bridge.messagelog import Headers, HeaderValue, Message, Page
from bridge.web.wire_times import rfc3339

__all__ = ("message_json", "page_json")

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1


def page_json(page: Page) -> bytes:
    """`{"messages": [...], "count", "partition_id", "current_offset"}`, see `message_json`."""
    return orjson.dumps(
        {
            "messages": [_message(message) for message in page.messages],
            "count": len(page.messages),
            "partition_id": page.partition_id,
            "current_offset": page.current_offset,
        }
    )


def message_json(message: Message) -> bytes:
    """
    One message as JSON: `offset`, `timestamp`, `id` (UUID text of all 128 bits), `size` (bytes of payload), `event`.

    `event` is the stored bytes where they are a domain event. Where they are not it is null, and there is one of
    `payload` (the bytes are JSON, given as they are), `text` (they are UTF-8) or `payload_base64`; and `headers`.
    A header of bytes is `{"base64": ...}`, a number that JSON does not have `{"number": "NaN"}`.
    """
    return orjson.dumps(_message(message))


def _message(message: Message) -> dict[str, Any]:
    payload = message.payload
    shown: dict[str, Any] = {
        "offset": message.offset,
        "timestamp": rfc3339(message.timestamp_us),
        "id": str(UUID(int=message.id)),
        "size": len(payload),
    }
    if is_event(payload):
        shown["event"] = orjson.Fragment(payload)
        if message.headers:
            shown["headers"] = _headers(message.headers)
        return shown
    shown["event"] = None
    shown["headers"] = _headers(message.headers)
    if _is_json(payload):
        shown["payload"] = orjson.Fragment(payload)
        return shown
    try:
        shown["text"] = payload.decode()
    except UnicodeDecodeError:
        shown["payload_base64"] = b64encode(payload).decode()
    return shown


def _is_json(payload: bytes) -> bool:
    try:
        check_json(payload)
    except SerializationError:
        return False
    return is_well_formed(payload)


def _headers(headers: Headers) -> Mapping[str, Any]:
    return {_text(key): _header(value) for key, value in headers.items()}


def _header(value: HeaderValue) -> Any:
    match value:
        case bytes():
            return {"base64": b64encode(value).decode()}
        case str():
            return _text(value)
        case float() if not math.isfinite(value):
            return {"number": str(value)}
        case int() if not _INT64_MIN <= value <= _UINT64_MAX:
            return orjson.Fragment(str(int(value)))
        case _:
            return value


def _text(text: str) -> str:
    """The text itself; half a surrogate pair, where an adapter left one, is spelled out as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
