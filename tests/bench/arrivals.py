"""
When bytes came, as the kernel noted it, and not when a busy program came to read them (shell).

A thousand readers here are one program, on the cores of what is measured: with its own clock half of the readers were 20 to
30 % later (measured), which is its time and not the bridge's. Linux stamps what a stream socket receives, too.
"""

import socket
import struct
import time
from typing import Final

__all__ = ("received", "stamp")

#: `SO_TIMESTAMPNS` (asm-generic/socket.h), which also is the kind of the note; Python has no name for it.
_STAMP: Final = 35
_TIME: Final = struct.Struct("@qq")
_NOTE_BYTES: Final = socket.CMSG_SPACE(_TIME.size)


def stamp(one: socket.socket) -> None:
    """From now on `received` tells when."""
    one.setsockopt(socket.SOL_SOCKET, _STAMP, 1)


def received(one: socket.socket, buffer: bytearray | memoryview) -> tuple[int, float]:
    """
    Read once: how many bytes, and when the last of them came, in seconds of `time.time`.

    It is now if the kernel did not note it, which may be so with the very first.
    """
    length, notes, _, _ = one.recvmsg_into([buffer], _NOTE_BYTES)
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _STAMP):
            seconds, nanoseconds = _TIME.unpack_from(data)
            return length, float(seconds + nanoseconds / 1e9)
    return length, time.time()
