"""
Many readers of one event stream, cheap enough that they are not what is measured (shell).

Sockets under `epoll`, and of what comes only the beginnings of messages are counted: 0.5 ns a byte. While they are timed they
are read now and then only: a program that waits for each event is woken for each, and whoever sends pays for that, which
no client on another machine makes it do.
"""

import select
import socket
import time
from typing import Final

from tests.bench.caller import received, stamp

__all__ = ("Readers", "source_address")

READ_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S: Final = 10.0
#: Between two looks at readers that are timed: long enough for what goes to a thousand of them.
NAP_S: Final = 0.01
#: A line of a message: nothing in a payload can look so, nor do heartbeats and the like. Told a few bytes too early.
_MESSAGE: Final = b"\ndata: {"
#: What may be the beginning of it, when a piece ends.
_TAIL: Final = len(_MESSAGE) - 1
_HEAD_END: Final = b"\r\n\r\n"
#: The bridge takes a thousand connections from one address.
_PER_ADDRESS: Final = 500


def source_address(number: int) -> str:
    """Where reader *number* calls from."""
    return f"127.0.0.{1 + number // _PER_ADDRESS}"


class Readers:
    """
    Args:
        head: of the request that each of them sends.

    Attributes:
        arrivals: while *timed*, of each event of each reader since `start` the moment it came, by event, in seconds
            of `time.time`.
    """

    def __init__(self, port: int, count: int, head: bytes) -> None:
        self.count = count
        self.timed = False
        self.arrivals: list[list[float]] = []
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._events: dict[int, int] = {}
        self._tails: dict[int, bytes] = {}
        self._buffer = bytearray(_TAIL + READ_BYTES)
        for number in range(count):
            self._open(port, source_address(number), head)

    def _open(self, port: int, source: str, head: bytes) -> None:
        one = socket.create_connection(
            ("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S, source_address=(source, 0)
        )
        one.sendall(head)
        got = b""
        # The first block tells the place; whoever has it misses nothing that is sent from now on.
        while _HEAD_END not in got or not got.endswith(b"\n\n\r\n"):
            part = one.recv(READ_BYTES)
            if not part:
                raise ConnectionResetError("the server closed a stream")
            got += part
        if not got.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {got[9:12].decode()}")
        one.setblocking(False)
        stamp(one)
        self._sockets[one.fileno()] = one
        self._poll.register(one.fileno(), select.EPOLLIN)

    def start(self, *, timed: bool) -> None:
        """Count from nothing."""
        self.timed = timed
        self.arrivals = []
        self._events = dict.fromkeys(self._sockets, 0)
        self._tails = dict.fromkeys(self._sockets, bytes(_TAIL))

    def read(self, timeout_s: float) -> None:
        """Take in what is there, or the first of what comes in time."""
        buffer, tails, events = self._buffer, self._tails, self._events
        behind_tail = memoryview(buffer)[_TAIL:]
        if self.timed:
            time.sleep(NAP_S)
        for fd, _ in self._poll.poll(timeout_s, len(self._sockets)):
            length, came_s = received(self._sockets[fd], behind_tail)
            buffer[:_TAIL] = tails[fd]
            count = buffer.count(_MESSAGE, 0, _TAIL + length)
            tails[fd] = bytes(buffer[length : length + _TAIL])
            if self.timed:
                self._note(events[fd], count, came_s)
            events[fd] += count

    def _note(self, before: int, count: int, came_s: float) -> None:
        for index in range(before, before + count):
            if index == len(self.arrivals):
                self.arrivals.append([])
            self.arrivals[index].append(came_s)

    def least(self) -> int:
        """What the slowest has."""
        return min(self._events.values())

    def read_until(self, events: int, *, timeout_s: float) -> None:
        """
        Raises:
            RuntimeError: if not all of them have exactly so many in time.
        """
        until_s = time.monotonic() + timeout_s
        while self.least() < events and time.monotonic() < until_s:
            self.read(0.1)
        if set(self._events.values()) != {events}:
            raise RuntimeError(f"readers have {self.least()} events and more of {events}")

    def close(self) -> None:
        self._poll.close()
        for one in self._sockets.values():
            one.close()
