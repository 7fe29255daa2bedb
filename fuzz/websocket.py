"""Invariant: whatever a client's socket says comes out as whole messages or one fault, however it was cut, and nothing of it in words."""

import itertools
import json

import msgspec

from bridge.clock import Deadline, SystemClock
from bridge.errors import RequestError
from bridge.messagelog import TopicRef
from bridge.web.sockets.framing import CloseCode, Frame, FrameFault, FrameReader, Opcode
from bridge.web.sockets.operations import Publish, decode_operation, operation_id
from bridge.web.sockets.publishing import TracedPublication, publication_of

__all__ = ("check",)

TOPIC = TopicRef("s", "t")
MESSAGE_BYTES_MAX = 1024
FRAGMENTS_MAX = 4
CONTROL_BYTES_MAX = 125
#: Longer than any stretch that an input and the sentence of a refusal share by chance.
SHOWN_CHARS_MIN = 48


def read(data: bytes, cuts: tuple[int, ...]) -> tuple[list[Frame], CloseCode | None]:
    frames: list[Frame] = []
    reader = FrameReader(message_bytes_max=MESSAGE_BYTES_MAX, fragments_max=FRAGMENTS_MAX)
    try:
        for start, stop in itertools.pairwise((0, *cuts, len(data))):
            reader.feed(data[start:stop])
            while (frame := reader.take()) is not None:
                frames.append(frame)
            if reader.held_bytes > 2 * MESSAGE_BYTES_MAX + 14:
                raise AssertionError("more is held than a message, its fragments and a head")
    except FrameFault as fault:
        return frames, fault.code
    return frames, None


def check_frame(frame: Frame) -> None:
    if frame.opcode is Opcode.TEXT:
        frame.payload.decode()
        if len(frame.payload) > MESSAGE_BYTES_MAX:
            raise AssertionError("a message is too long")
    elif len(frame.payload) > CONTROL_BYTES_MAX:
        raise AssertionError("a control frame is too long")


def taken(message: bytes) -> tuple[bytes, bytes | None] | None:
    """What is taken of *message*, and the payload of what it publishes; None where it is refused."""
    try:
        operation = decode_operation(message)
        payload = None
        if isinstance(operation, Publish):
            deadline = Deadline.after(1, SystemClock())
            publication = publication_of(
                operation, TOPIC, accepted_us=0, deadline=deadline, traced=TracedPublication()
            )
            payload = publication.messages.payloads[0]
    except RequestError:
        return None
    return msgspec.json.encode(operation), payload


def check_operation(message: bytes) -> None:
    if taken(message) != taken(b" " + message):
        raise AssertionError("the short way takes what the long way does not, or else")
    named = operation_id(message)
    if named is not None and not (named.isascii() and 1 <= len(named) <= 64):  # noqa: PLR2004 (docs/websocket.md)
        raise AssertionError("an id is told back that is not plain")
    try:
        operation = decode_operation(message)
    except RequestError as refused:
        text = message.decode(errors="replace")
        if len(text) >= SHOWN_CHARS_MIN and text in refused.detail:
            raise AssertionError("the refusal shows the input") from refused
        if not (refused.path or "$").startswith("$"):
            raise AssertionError("the path is no JSON path") from refused
        return
    plain = json.loads(message)
    if plain["op"] != type(operation).__name__.lower() or plain.get("id") != operation.id:
        raise AssertionError("another parser reads another operation")


def check(data: bytes) -> None:
    whole = read(data, ())
    if read(data, tuple(range(1, len(data)))) != whole:
        raise AssertionError("how it is cut makes a difference")
    for frame in whole[0]:
        check_frame(frame)
        if frame.opcode is Opcode.TEXT:
            check_operation(frame.payload)
    check_operation(data)
