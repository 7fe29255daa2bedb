"""Invariant: every stored byte goes out again as it is, in strict JSON, whatever an unknown program has written."""

import base64
import json
import struct
from typing import Any, Final, NoReturn

from bridge.events import is_event
from bridge.iggy.encoding import WireError, parse_page
from bridge.limits import PAGE_BYTES_MAX, PAGE_MESSAGES_MAX
from bridge.messagelog import Message, Page, Records
from bridge.web.wire.pages import PageEncoder

__all__ = ("check",)

FORMS: Final = ("event", "payload", "text", "payload_base64")
HEAD: Final = struct.Struct("<IQI")
BATCH: Final = struct.Struct("<QQQQQQI")
BATCH_BYTES: Final = 256
FRAME: Final = struct.Struct("<QQQIIIIQ")
WHOLE_REPLY, RECORDS = 0, 1


def no_constant(word: str) -> NoReturn:
    raise AssertionError(f"{word} is no JSON")


def check_message(message: Message, shown: dict[str, Any]) -> None:
    if (shown["offset"], shown["size"]) != (message.offset, len(message.payload)):
        raise AssertionError("offset or size was changed")
    if shown["id"].replace("-", "") != f"{message.id:032x}":
        raise AssertionError("the id was changed")
    forms = [form for form in FORMS if shown.get(form) is not None]
    if len(forms) > 1 or "event" not in shown:
        raise AssertionError("the payload is given in two forms")
    if is_event(message.payload) != (shown["event"] is not None):
        raise AssertionError("an event is hidden, or another message is shown as one")
    match forms:
        case ["text"]:
            same = shown["text"].encode() == message.payload
        case ["payload_base64"]:
            same = base64.b64decode(shown["payload_base64"], validate=True) == message.payload
        case _:
            value = shown["event"] if forms == ["event"] else shown["payload"]
            same = json.dumps(value) == json.dumps(json.loads(message.payload))
    if not same:
        raise AssertionError("the payload was changed")
    if message.headers and len(shown["headers"]) != len(message.headers):
        raise AssertionError("a header is missing")


def check_page(page: Page) -> None:
    # One that remembers nothing: each payload is judged by itself.
    answer = PageEncoder().page_json(page)
    if any(message.payload not in answer for message in page.messages if is_event(message.payload)):
        raise AssertionError("the bytes of an event were changed")
    shown = json.loads(answer, parse_constant=no_constant)
    if shown["count"] != len(page.messages) or len(shown["messages"]) != len(page.messages):
        raise AssertionError("a message is hidden")
    for message, one in zip(page.messages, shown["messages"], strict=True):
        check_message(message, one)


def check_reply(reply: bytes) -> None:
    """A whole reply of a server: understood or refused, never anything else."""
    try:
        polled = parse_page(reply, count_max=PAGE_MESSAGES_MAX, page_bytes_max=PAGE_BYTES_MAX)
    except WireError:
        return
    if polled.records.payload_bytes != sum(len(message.payload) for message in polled.records):
        raise AssertionError("the weight of the page is wrong")
    check_page(Page(polled.partition_id, polled.current_offset + 1, polled.records))


def check_records(data: bytes) -> None:
    """A reply made of well-formed frames around the data: its zero bytes part payloads from headers, and frames."""
    parts = data.split(b"\0\0")
    records = list(zip(parts[::2], [*parts[1::2], b""], strict=False))
    frames = b"".join(
        FRAME.pack(0, len(payload), 7, place, place, len(headers), len(payload), 0) + payload + headers
        for place, (payload, headers) in enumerate(records)
    )
    batch = BATCH.pack(3, 100, 1_700_000_000_000_000, 0, BATCH_BYTES + len(frames), 0, len(records))
    reply = HEAD.pack(3, 100 + len(records), len(records)) + batch.ljust(BATCH_BYTES, b"\0") + frames
    polled = parse_page(reply, count_max=PAGE_MESSAGES_MAX, page_bytes_max=PAGE_BYTES_MAX)
    if [message.payload for message in polled.records] != [payload for payload, _ in records]:
        raise AssertionError("a payload was lost or changed on the way in")
    check_page(Page(polled.partition_id, polled.current_offset + 1, polled.records))


def check(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    if kind == bytes((WHOLE_REPLY,)):
        check_reply(rest)
    elif kind == bytes((RECORDS,)):
        check_records(rest)
    else:
        check_page(Page(0, 0, Records.of((Message(0, 0, 0, data, {}),))))
