"""
NDJSON in and out over one connection (shell).

    python -m tests.bench.bulk PORT CASE SECONDS REQUESTS_MAX [HEADER ...]

One request after the other, each whole, until the seconds are over; the time ends with the last one. wrk cannot: it
sends no body in chunks and counts a request cut off by its clock as nothing.
"""

import socket
import sys
import time
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

from tests.bench.caller import READ_BYTES, take_answer
from tests.bench.cases import Case, Kind, case_named
from tests.bench.requests import lines
from tests.bench.samples import report_line

__all__ = ("chunks", "read_out", "send_in", "turned")

CHUNK_BYTES: Final = 64 * 1024
TIMEOUT_S: Final = 30.0
NDJSON: Final = "application/x-ndjson"
#: A prime, so that no two bodies of a run begin with the same line.
TURN_BYTES: Final = 104_729
_END: Final = b"0\r\n\r\n"


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


def send_in(connection: socket.socket, head: bytes, body: bytes, messages: int) -> None:
    """
    Raises:
        RuntimeError: if not every message was stored.
    """
    connection.sendall(head)
    for chunk in chunks(body):
        connection.sendall(chunk)
    told, _ = take_answer(connection, bytearray(READ_BYTES))
    if b'"stored":%d,' % messages not in told:
        raise RuntimeError(f"not all of {messages} were stored: {told.decode(errors='replace')}")


def read_out(connection: socket.socket, head: bytes, messages: int) -> None:
    """
    Raises:
        RuntimeError: if the last message did not come.
    """
    connection.sendall(head)
    end, _ = take_answer(connection, bytearray(READ_BYTES))
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
