"""
Requests of clients over plain sockets, and when bytes came, as the kernel noted it (shell).

A program that is busy, or on the cores of what is measured, comes late to read what came: with its own clock half of a thousand
readers were 20 to 30 % later (measured). Linux stamps what a stream socket receives, too.
"""

import re
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from tests.bench.cases import Case, Dialect
from tests.bench.requests import fill, templates

__all__ = ("READ_BYTES", "Caller", "received", "stamp", "take_answer")

READ_BYTES: Final = 256 * 1024
#: More than a line of NDJSON of the bench's, which is an event and what is said of it.
END_BYTES: Final = 16 * 1024
#: Servers under valgrind take their time.
TIMEOUT_S: Final = 120.0
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK: Final = b"0\r\n\r\n"
#: A prime, so that offsets do not come twice for long.
_STEP: Final = 7919
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

    Raises:
        ConnectionResetError: if there are no more.
    """
    length, notes, _, _ = one.recvmsg_into([buffer], _NOTE_BYTES)
    if not length:
        raise ConnectionResetError("the server closed a connection")
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _STAMP):
            seconds, nanoseconds = _TIME.unpack_from(data)
            return length, float(seconds + nanoseconds / 1e9)
    return length, time.time()


def take_answer(connection: socket.socket, buffer: bytearray) -> tuple[bytes, float]:
    """
    The end of an answer's body, as it was framed, and when it had come, all of it.

    Raises:
        RuntimeError: if it is none of 2xx.
    """
    got, came_s = b"", 0.0
    while b"\r\n\r\n" not in got:
        length, came_s = received(connection, buffer)
        got += buffer[:length]
    head, _, end = got.partition(b"\r\n\r\n")
    told, got_bytes = _LENGTH.search(head), len(end)
    while got_bytes < int(told[1]) if told else not end.endswith(_LAST_CHUNK):
        length, came_s = received(connection, buffer)
        got_bytes += length
        end = (end + buffer[max(0, length - END_BYTES) : length])[-END_BYTES:]
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"answered {head[9:12].decode()}: {end.decode(errors='replace')}")
    return end, came_s


class Caller:
    """
    Asks on every connection and then takes every answer, so that what a server does hangs little on the clock.

    Args:
        offsets: so many an offset may be.
    """

    def __init__(
        self,
        case: Case,
        dialect: Dialect,
        port: int,
        headers: Mapping[str, str],
        *,
        connections: int,
        topic: str = "",
        offsets: int = 1,
    ) -> None:
        self._templates: Sequence[bytes] = templates(case, dialect, f"127.0.0.1:{port}", headers, topic)
        self._offsets = offsets
        self._connections = [
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) for _ in range(connections)
        ]
        for one in self._connections:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stamp(one)
        self._buffer = bytearray(READ_BYTES)
        self._numbers = count(1)

    def ask(self) -> float:
        """
        When the last answer had come.

        Raises:
            RuntimeError: if one is none of 2xx.
        """
        for connection in self._connections:
            number = next(self._numbers)
            template = self._templates[number % len(self._templates)]
            connection.sendall(fill(template, number, number * _STEP % self._offsets))
        return max(take_answer(connection, self._buffer)[1] for connection in self._connections)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
