"""Messages as a bridge gives them (pure): JSON lines to values, and to a line for people."""

from base64 import b64encode
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, UnsetType


class SeenMessage(msgspec.Struct, gc=False):
    """A message, of which `event` and `payload` are the bytes that are stored.

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
    place: str
    time: str
    content: str


class _Page(msgspec.Struct, gc=False):
    messages: list[msgspec.Raw]


#: Of a line with the largest message that any log takes, six characters for each of its bytes, and what stands around it.
LINE_BYTES_MAX: Final = 400 * 1024 * 1024
# What a bridge takes of any line.
_LINE_BYTES_SURE: Final = 1024 * 1024
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_SEEN = msgspec.json.Decoder(SeenMessage)
_PAGE = msgspec.json.Decoder(_Page)


def seen_message(line: bytes) -> SeenMessage:
    """The message that *line* spells.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _SEEN.decode(line)


def messages_of(page: bytes) -> list[tuple[SeenMessage, bytes]]:
    """The messages of a page with their own JSON.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    lines = map(bytes, _PAGE.decode(page).messages)
    return [(seen_message(line), line) for line in lines]


def packed(line: bytes) -> bytes:
    """*line*, as `lines=messages` takes it, with its text as base64 where it is long and that is shorter.

    A bridge takes what its largest message needs in base64; text that must be escaped may need six times its bytes.
    """
    if len(line) <= _LINE_BYTES_SURE:
        return line
    try:
        fields = _FIELDS.decode(line)
        text = _TEXT.decode(fields.pop("text"))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        # There is none; or the bridge says what is wrong with it.
        return line
    fields["payload_base64"] = msgspec.Raw(b'"%b"' % b64encode(text.encode()))
    shorter = msgspec.json.encode(fields)
    return shorter if len(shorter) < len(line) else line


def line_of(message: SeenMessage, headers: dict[str, Any]) -> bytes:
    """*message* as `lines=messages` takes it, its payload as it is stored, with *headers* in place of its own."""
    if not isinstance(message.text, UnsetType):
        name, value = "text", orjson.dumps(message.text)
    elif not isinstance(message.payload_base64, UnsetType):
        name, value = "payload_base64", orjson.dumps(message.payload_base64)
    elif not isinstance(message.payload, UnsetType):
        name, value = "payload", bytes(message.payload)
    else:
        name, value = "event", bytes(message.event)
    value = value.replace(b"\n", b" ")
    return b'{"id":"%b","headers":%b,"%b":%b}' % (
        message.id.encode(),
        orjson.dumps(headers),
        name.encode(),
        value,
    )


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


def printable(text: str) -> str:
    """*text* in which no character moves a terminal's cursor or changes what it shows."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
