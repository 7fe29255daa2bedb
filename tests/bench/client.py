"""
A closed-loop HTTP client for machines without wrk (shell).

    python -m tests.bench.client PORT METHOD PATH CONNECTIONS SECONDS < body

Prints what the wrk script prints. It is slower than wrk, so it says less about a fast server.
"""

import asyncio
import json
import sys
import time

from tests.bench.load import percentile_us

__all__ = ("request_bytes",)


def request_bytes(method: str, path: str, port: int, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def one_connection(port: int, request: bytes, until_s: float) -> tuple[list[int], int]:
    """Times of the answers in microseconds, and how many were no 2xx."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times: list[int] = []
    refused = 0
    while (begun_s := time.perf_counter()) < until_s:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        times.append(round((time.perf_counter() - begun_s) * 1e6))
        refused += not head.startswith(b"http/1.1 2")
    writer.close()
    return times, refused


async def main(port: int, method: str, path: str, connections: int, seconds: float) -> None:
    request = request_bytes(method, path, port, sys.stdin.buffer.read())
    begun_s = time.perf_counter()
    until_s = begun_s + seconds
    done = await asyncio.gather(*(one_connection(port, request, until_s) for _ in range(connections)))
    times = sorted(took for one, _ in done for took in one)
    report = {
        "requests": len(times),
        "seconds": time.perf_counter() - begun_s,
        "p50_us": percentile_us(times, 50),
        "p99_us": percentile_us(times, 99),
        "refused": sum(refused for _, refused in done),
        "broken": 0,
    }
    sys.stdout.write("\nREPORT " + json.dumps(report) + "\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
