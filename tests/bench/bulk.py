"""
NDJSON in and out over one connection (shell).

    python -m tests.bench.bulk PORT CASE SECONDS REQUESTS_MAX [HEADER ...]

One request after the other, each whole, until the seconds are over; the time ends with the last one. wrk cannot: it
sends no body in chunks and counts a request cut off by its clock as nothing.
"""

import re
import socket
import sys
import time
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

from tests.bench.cases import Case, Kind, case_named
from tests.bench.requests import lines
from tests.bench.samples import report_line

__all__ = ("Answer", "Reader", "chunks", "read_answer", "request_head", "send_in", "turned")

CHUNK_BYTES: Final = 64 * 1024
READ_BYTES: Final = 256 * 1024
#: More than a line of the bench's, which is an event and what is said of it.
TAIL_BYTES: Final = 16 * 1024
#: A prime, so that no two bodies of a run begin with the same line.
TURN_BYTES: Final = 104_729
TIMEOUT_S: Final = 30.0
NDJSON: Final = "application/x-ndjson"
_END: Final = b"0\r\n\r\n"
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def chunks(body: bytes) -> Iterator[bytes]:
    """*body* in the framing of chunks, with its end."""
    for begin in range(0, len(body), CHUNK_BYTES):
        part = body[begin : begin + CHUNK_BYTES]
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield _END


def request_head(case: Case, headers: list[str]) -> bytes:
    method, path = "POST", "/messages"
    given = [f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked"]
    if case.kind is Kind.BULK_OUT:
        method, path = "GET", f"/messages?partition_id=0&offset=0&until={case.messages}"
        given = [f"Accept: {NDJSON}"]
    named = ["Host: 127.0.0.1", "User-Agent: python-httpx/0.28.1", f"X-Request-Id: {uuid4()}"]
    head = [f"{method} {path} HTTP/1.1", *named, *given, *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def turned(body: bytes, number: int) -> bytes:
    """The same lines, but begun with another one for each *number*."""
    begin = body.index(b"\n", number * TURN_BYTES % (len(body) // 2)) + 1
    return body[begin:] + body[:begin]


class Answer:
    """
    The body of an answer in chunks, as it comes; lines end with `}`.

    Args:
        counted: count its lines. That costs 0.4 s of CPU for a million, three times what reading them does, and the
            server on the same cores then lacks it.
    """

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted
        self.lines = 0
        self.begin = b""
        self._tail = b""

    def add(self, buffer: bytearray, length: int) -> bool:
        """Whether the first *length* bytes of *buffer* were the last of the answer; its end may come in pieces."""
        self.begin = self.begin or bytes(buffer[: min(length, TAIL_BYTES)])
        if self._counted:
            self.lines += buffer.count(b"}\n", 0, length) + (self._tail[-1:] == b"}" and buffer[:1] == b"\n")
        self._tail = (self._tail + buffer[max(0, length - TAIL_BYTES) : length])[-TAIL_BYTES:]
        return self._tail.endswith(_END)

    @property
    def last_line(self) -> bytes:
        """Of an answer that has ended."""
        return self._tail.rpartition(b"}\n")[0].rpartition(b"\n")[2] + b"}"


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(CHUNK_BYTES)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        got += part
    head, _, rest = got.partition(b"\r\n\r\n")
    return head, rest


def read_answer(connection: socket.socket, *, counted: bool) -> Answer:
    """
    Raises:
        RuntimeError: if it is none of 2xx.
    """
    head, rest = _read_head(connection)
    told = _LENGTH.search(head)
    buffer = bytearray(rest.ljust(READ_BYTES, b"\0"))
    answer, got_bytes, length = Answer(counted=counted), 0, len(rest)
    while True:
        got_bytes += length
        last = answer.add(buffer, length)
        if got_bytes >= int(told[1]) if told else last:
            break
        length = connection.recv_into(buffer)
        if not length:
            raise ConnectionResetError("the server closed the connection")
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"answered {head[9:12].decode()}: {buffer[:length].decode(errors='replace')}")
    return answer


def send_in(connection: socket.socket, head: bytes, body: bytes, messages: int) -> None:
    """
    Raises:
        RuntimeError: if not every message was stored.
    """
    connection.sendall(head)
    for chunk in chunks(body):
        connection.sendall(chunk)
    told = read_answer(connection, counted=False).begin
    if b'"stored":%d,' % messages not in told:
        raise RuntimeError(f"not all of {messages} were stored: {told.decode(errors='replace')}")


class Reader:
    """Reads the same messages again and again: all of the first answer's lines are counted, of the others the last is compared."""

    def __init__(self) -> None:
        self._last_line = b""

    def read_out(self, connection: socket.socket, head: bytes, messages: int) -> None:
        """
        Raises:
            RuntimeError: if not every message came.
        """
        connection.sendall(head)
        first = not self._last_line
        answer = read_answer(connection, counted=first)
        if first and answer.lines != messages:
            raise RuntimeError(f"{answer.lines} lines of {messages}")
        if not first and answer.last_line != self._last_line:
            raise RuntimeError("an answer ended with another line than the first one")
        self._last_line = answer.last_line


def main(port: str, key: str, seconds: str, requests_max: str, *headers: str) -> None:
    case = case_named(key)
    body = b"\n".join([*lines(case.messages), b""]) if case.kind is Kind.BULK_IN else b""
    reader = Reader()
    requests = 0
    with socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT_S) as connection:
        begun_s = now_s = time.perf_counter()
        while now_s < begun_s + float(seconds) and requests < int(requests_max):
            head = request_head(case, list(headers))
            if case.kind is Kind.BULK_IN:
                send_in(connection, head, turned(body, requests), case.messages)
            else:
                reader.read_out(connection, head, case.messages)
            requests += 1
            now_s = time.perf_counter()
    took_s = now_s - begun_s
    sys.stdout.write(report_line(requests=requests, seconds=took_s, p50_us=0, p99_us=0, refused=0, broken=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
