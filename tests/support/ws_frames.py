"""Frames as a client sends them, well-formed or not (pure)."""

import struct

from bridge.web.sockets.framing import Opcode

__all__ = ("MASK", "client_close", "client_frame", "client_text")

MASK = b"\x01\x7f\x80\xfe"


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = MASK,
    length_bytes: int | None = None,
) -> bytes:
    """One frame; *mask* None sends it unmasked, *length_bytes* 2 or 8 spells its length longer than need be."""
    count = len(payload)
    masked = 0 if mask is None else 0x80
    if length_bytes is None:
        length_bytes = 0 if count < 126 else 2 if count < 65536 else 8
    length = {
        0: bytes((masked | min(count, 125),)),
        2: bytes((masked | 126,)) + struct.pack(">H", count & 0xFFFF),
        8: bytes((masked | 127,)) + struct.pack(">Q", count),
    }[length_bytes]
    head = bytes((0x80 * final | reserved << 4 | opcode,)) + length
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def client_text(text: bytes) -> bytes:
    return client_frame(Opcode.TEXT, text)


def client_close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return client_frame(Opcode.CLOSE, b"" if code is None else struct.pack(">H", code) + reason)
