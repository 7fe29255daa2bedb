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

from tests.bench.caller import received
from tests.bench.cases import Case, Kind, case_named
from tests.bench.requests import lines
from tests.bench.samples import report_line

__all__ = ("chunks", "read_out", "send_in", "turned")

CHUNK_BYTES: Final = 64 * 1024
READ_BYTES: Final = 256 * 1024
#: More than a line of the bench's, which is an event and what is said of it.
TAIL_BYTES: Final = 16 * 1024
TIMEOUT_S: Final = 30.0
NDJSON: Final = "application/x-ndjson"
#: A prime, so that no two bodies of a run begin with the same line.
TURN_BYTES: Final = 104_729
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


def read_answer(connection: socket.socket) -> bytes:
    """
    The end of an answer.

    Raises:
        RuntimeError: if it is none of 2xx.
    """
    buffer, got = bytearray(READ_BYTES), b""
    while b"\r\n\r\n" not in got:
        length, _ = received(connection, buffer)
        got += buffer[:length]
    head, _, tail = got.partition(b"\r\n\r\n")
    told = _LENGTH.search(head)
    while len(tail) < int(told[1]) if told else not tail.endswith(_END):
        length, _ = received(connection, buffer)
        tail = (tail + buffer[max(0, length - TAIL_BYTES) : length])[-TAIL_BYTES:]
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"answered {head[9:12].decode()}: {tail.decode(errors='replace')}")
    return tail


def send_in(connection: socket.socket, head: bytes, body: bytes, messages: int) -> None:
    """
    Raises:
        RuntimeError: if not every message was stored.
    """
    connection.sendall(head)
    for chunk in chunks(body):
        connection.sendall(chunk)
    told = read_answer(connection)
    if b'"stored":%d,' % messages not in told:
        raise RuntimeError(f"not all of {messages} were stored: {told.decode(errors='replace')}")


def read_out(connection: socket.socket, head: bytes, messages: int) -> None:
    """
    Raises:
        RuntimeError: if the last message did not come.
    """
    connection.sendall(head)
    end = read_answer(connection)
    if not any(b'"offset":%d%b' % (messages - 1, behind) in end for behind in (b",", b"}")):
        raise RuntimeError(f"an answer ended without the last of {messages} messages")


def main(port: str, key: str, seconds: str, requests_max: str, *headers: str) -> None:
    case = case_named(key)
    body = b"\n".join([*lines(case.messages), b""]) if case.kind is Kind.BULK_IN else b""
    requests = 0
    with socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT_S) as connection:
        begun_s = now_s = time.perf_counter()
        while now_s < begun_s + float(seconds) and requests < int(requests_max):
            head = request_head(case, list(headers))
            if case.kind is Kind.BULK_IN:
                send_in(connection, head, turned(body, requests), case.messages)
            else:
                read_out(connection, head, case.messages)
            requests += 1
            now_s = time.perf_counter()
    took_s = now_s - begun_s
    sys.stdout.write(report_line(requests=requests, seconds=took_s, p50_us=0, p99_us=0, refused=0, broken=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
