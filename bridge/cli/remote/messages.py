"""Messages as a bridge gives them (pure): JSON lines to values, and to a line for people."""

from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, UnsetType

__all__ = ("MessageLine", "SeenMessage", "message_line", "seen_message")


class SeenMessage(msgspec.Struct, gc=False):
    """
    A message, of which `event` and `payload` are the bytes that are stored.

    Attributes:
        event: `null` where it is no event.
        token: of its lease, where a group gave it.
    """

    offset: int
    timestamp: str
    id: str
    event: msgspec.Raw
    partition_id: int = 0
    size: int = 0
    headers: dict[str, Any] = {}
    payload: msgspec.Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    payload_base64: str | UnsetType = UNSET
    token: str = ""
    delivery_count: int = 0


class MessageLine(NamedTuple):
    """Where and when a message is, and what it holds."""

    place: str
    time: str
    content: str


_SEEN = msgspec.json.Decoder(SeenMessage)


def seen_message(line: bytes) -> SeenMessage:
    """
    The message that *line* spells.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _SEEN.decode(line)


def message_line(message: SeenMessage) -> MessageLine:
    """*message* for people."""
    headers = f"  {orjson.dumps(message.headers).decode()}" if message.headers else ""
    return MessageLine(
        f"{message.partition_id}:{message.offset}", message.timestamp, _content(message) + headers
    )


def _content(message: SeenMessage) -> str:
    if not isinstance(message.text, UnsetType):
        return message.text
    if not isinstance(message.payload_base64, UnsetType):
        return f"base64:{message.payload_base64}"
    value = message.event if isinstance(message.payload, UnsetType) else message.payload
    return bytes(value).decode()
