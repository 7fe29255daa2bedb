"""
A closed-loop HTTP client for machines without wrk (shell).

    python -m tests.bench.client PORT METHOD PATH CONNECTIONS SECONDS REQUESTS_MAX [HEADER ...] < body

Prints what the wrk script prints. It is slower than wrk, so it says less about a fast server.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Final

import uvloop

from tests.bench.requests import FILLED, OFFSET
from tests.bench.samples import percentile, report_line

__all__ = ("request_bytes", "requests")

#: A prime, so that no page comes twice for long.
_STEP: Final = 7919


def request_bytes(method: str, path: str, port: int, body: bytes, headers: list[str]) -> bytes:
    head = "".join(
        f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers)
    )
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def requests(made: bytes) -> Iterator[bytes]:
    """The same request again and again, or with another offset each time where it asks for that."""
    token = OFFSET.encode()
    if token not in made:
        yield from itertools.repeat(made)
    for number in itertools.count(1):
        yield made.replace(token, b"%d" % (number * _STEP % (FILLED - 100)), 1)


async def one_connection(port: int, made: Iterator[bytes], until_s: float) -> tuple[list[int], int]:
    """Times of the answers in microseconds, and how many were no 2xx."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times: list[int] = []
    refused = 0
    while (begun_s := time.perf_counter()) < until_s and (request := next(made, None)) is not None:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        times.append(round((time.perf_counter() - begun_s) * 1e6))
        refused += not head.startswith(b"http/1.1 2")
    writer.close()
    return times, refused


async def main(arguments: list[str], body: bytes) -> None:
    port, method, path, connections, seconds, requests_max, *headers = arguments
    made = itertools.islice(
        requests(request_bytes(method, path, int(port), body, headers)), int(requests_max)
    )
    begun_s = time.perf_counter()
    until_s = begun_s + float(seconds)
    done = await asyncio.gather(*(one_connection(int(port), made, until_s) for _ in range(int(connections))))
    times = sorted(took for one, _ in done for took in one)
    sys.stdout.write(
        report_line(
            requests=len(times),
            seconds=time.perf_counter() - begun_s,
            p50_us=percentile(times, 50),
            p99_us=percentile(times, 99),
            refused=sum(refused for _, refused in done),
            broken=0,
        )
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:], sys.stdin.buffer.read()))
