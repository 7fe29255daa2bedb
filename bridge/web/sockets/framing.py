"""The frames of a WebSocket (pure): a client's bytes to messages, a server's messages to bytes.

aiohttp's own reader takes unmasked frames, any number of fragments and lengths spelled too long (shared trust.md,
facts 5 and B62), so this one stands in its place. Source: RFC 6455, sections 5 and 7.4; no extension is ever agreed
on, so no reserved bit means anything.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a socket ends (RFC 6455 section 7.4.1); these are all that the bridge sends."""

    #: Nobody wants anything of it any more: the client said so, or was idle for too long.
    NORMAL = 1000
    #: The bridge is shutting down; a `bye` said where to go on.
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    #: A binary message.
    UNSUPPORTED = 1003
    #: A text message that is not UTF-8.
    INVALID_TEXT = 1007
    #: Too many faults, pings or fragments.
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    #: The bridge holds too much already.
    TRY_AGAIN_LATER = 1013


class FrameFault(Exception):
    """What the client sent ends the socket.

    Attributes:
        code: to close it with.
        reason: one short sentence of ASCII; nothing of what was sent.
    """

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """A whole text message, or one control frame.

    Attributes:
        payload: unmasked; of a text message UTF-8.
        code: of a close frame, where it has one.
    """

    opcode: Opcode
    payload: bytes
    code: int | None = None


_FIN: Final = 0x80
_MASKED: Final = 0x80
_RESERVED: Final = 0x70
_CONTROL: Final = 0x8
_SHORT_MAX: Final = 125
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_UINT16_MAX: Final = 0xFFFF
_MASK_BYTES: Final = 4
_HEAD_16: Final = struct.Struct(">BBH")
_HEAD_64: Final = struct.Struct(">BBQ")
_CODE: Final = struct.Struct(">H")
_OPCODES: Final = {opcode.value: opcode for opcode in Opcode}
# Those an endpoint may send (RFC 6455 section 7.4, and the registry it opened: 1012 to 1014).
_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_PRIVATE_CODES: Final = range(3000, 5000)


class _FrameHead(NamedTuple):
    opcode: Opcode
    final: bool
    starts_at: int
    ends_at: int


class FrameReader:
    """Cuts a client's bytes into frames; bytes come by `feed`, whole messages go by `take`.

    Holds what was fed and not taken, and the message being put together: with a caller that feeds nothing while
    `take` has something to give, at most a message, a frame's head and one `feed`.

    Args:
        message_bytes_max: of one text message; known to be too long as soon as a head says so.
        fragments_max: frames that one message may come in.
    """

    __slots__ = (
        "_buffer", "_fragments", "_fragments_max", "_message", "_message_bytes_max"
    )  # fmt: skip

    def __init__(self, *, message_bytes_max: int, fragments_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._fragments_max = fragments_max
        self._buffer = bytearray()
        self._message = bytearray()
        # Frames of the message being put together; 0 while there is none.
        self._fragments = 0

    @property
    def held_bytes(self) -> int:
        return len(self._buffer) + len(self._message)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Frame | None:
        """The next text message or control frame; None where it is not all there.

        Raises:
            FrameFault: if what came is no frame of a client that keeps the rules. Nothing can be read after that.
        """
        while (head := self._head()) is not None:
            if len(self._buffer) < head.ends_at:
                return None
            payload = self._payload(head)
            if head.opcode & _CONTROL:
                return _control(head.opcode, payload)
            if (whole := self._joined(payload, final=head.final)) is not None:
                return Frame(Opcode.TEXT, whole)
        return None

    def _head(self) -> _FrameHead | None:
        """The head of the next frame, checked before its payload is there."""
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 (the fixed part)
            return None
        first, second = buffer[0], buffer[1]
        opcode, final = _OPCODES.get(first & 0xF), bool(first & _FIN)
        if first & _RESERVED or opcode is None:
            raise _broken("a reserved bit or opcode is set")
        if not second & _MASKED:
            raise _broken("a client's frames must be masked")
        length, starts_at = second & 0x7F, 2
        if opcode & _CONTROL and (not final or length > _SHORT_MAX):
            raise _broken("a control frame is fragmented or too long")
        if length >= _LENGTH_16:
            ends_at = starts_at + (2 if length == _LENGTH_16 else 8)
            if len(buffer) < ends_at:
                return None
            long = int.from_bytes(buffer[starts_at:ends_at], "big")
            if long <= (_SHORT_MAX if length == _LENGTH_16 else _UINT16_MAX) or long >> 63:
                raise _broken("a length is not in its shortest form")
            length, starts_at = long, ends_at
        if not opcode & _CONTROL:
            self._check_data(opcode, length)
        starts_at += _MASK_BYTES
        return _FrameHead(opcode, final, starts_at, starts_at + length)

    def _check_data(self, opcode: Opcode, length: int) -> None:
        if opcode is Opcode.BINARY:
            raise FrameFault(CloseCode.UNSUPPORTED, "messages are text")
        if (opcode is Opcode.CONTINUATION) != bool(self._fragments):
            raise _broken("a continuation is missing or continues nothing")
        if len(self._message) + length > self._message_bytes_max:
            raise FrameFault(CloseCode.TOO_BIG, f"a message has at most {self._message_bytes_max} bytes")
        if self._fragments >= self._fragments_max:
            raise FrameFault(CloseCode.POLICY, f"a message has at most {self._fragments_max} fragments")

    def _payload(self, head: _FrameHead) -> bytes:
        mask = self._buffer[head.starts_at - _MASK_BYTES : head.starts_at]
        payload = self._buffer[head.starts_at : head.ends_at]
        del self._buffer[: head.ends_at]
        count = len(payload)
        # As two long numbers, which is a loop in C over both.
        keys = int.from_bytes((mask * (count // _MASK_BYTES + 1))[:count], "little")
        return (int.from_bytes(payload, "little") ^ keys).to_bytes(count, "little")

    def _joined(self, payload: bytes, *, final: bool) -> bytes | None:
        """The whole message, once *payload* is the end of one."""
        if not final:
            self._fragments += 1
            self._message += payload
            return None
        if self._fragments:
            payload = bytes(self._message + payload)
            self._message = bytearray()
            self._fragments = 0
        if not payload.isascii():
            _check_text(payload)
        return payload


def _control(opcode: Opcode, payload: bytes) -> Frame:
    if opcode is not Opcode.CLOSE or not payload:
        return Frame(opcode, payload)
    if len(payload) < _CODE.size:
        raise _broken("a close frame holds half a code")
    (code,) = _CODE.unpack_from(payload)
    if code not in _CODES and code not in _PRIVATE_CODES:
        raise _broken("a close frame holds a code that may not be sent")
    _check_text(payload[_CODE.size :])
    return Frame(opcode, payload[_CODE.size :], code)


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise FrameFault(CloseCode.INVALID_TEXT, "a text is not UTF-8") from None


def _broken(reason: str) -> FrameFault:
    return FrameFault(CloseCode.PROTOCOL_ERROR, reason)


def frame_of(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A whole message, or a control frame: *payload* is UTF-8 of a text, and at most 125 bytes of a control frame."""
    length = len(payload)
    if length <= _SHORT_MAX:
        return bytes((_FIN | opcode, length)) + payload
    if length <= _UINT16_MAX:
        return _HEAD_16.pack(_FIN | opcode, _LENGTH_16, length) + payload
    return _HEAD_64.pack(_FIN | opcode, _LENGTH_64, length) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """The end, with a code and a reason of at most 123 bytes, or without either."""
    payload = b"" if code is None else _CODE.pack(code) + reason.encode()[: _SHORT_MAX - _CODE.size]
    return frame_of(Opcode.CLOSE, payload)
