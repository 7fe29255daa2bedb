"""
Who sends what many readers get (shell): as fast as answers come, or so many at a rate, over HTTP or by Iggy's SDK.

    python -m tests.bench.fanout_sender PORT flood SECONDS CONNECTIONS [HEADER ...]
    python -m tests.bench.fanout_sender PORT paced RATE COUNT [HEADER ...]
    python -m tests.bench.fanout_sender ADDRESS straight RATE COUNT TOPIC

Prints, as JSON, the moment of each acknowledgement on the clock that all processes share; a flood only how many.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import uvloop
from apache_iggy import Partitioning, SendMessage

from tests.bench.client import request_bytes
from tests.bench.requests import STREAM
from tests.bench.straight import connected

__all__ = ("EVENT_BYTES", "event_of")

EVENT_BYTES: Final = 250
_IDS: Final = 0x7F2C1A526C1F4D0E9A3B0F5A3C0D9E11


def event_of(number: int) -> bytes:
    """An event of 250 bytes."""
    event: dict[str, Any] = {
        "id": str(UUID(int=_IDS + number)),
        "event_type": "order.created",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "payload": {"type": "Generic", "data": {"order": 100_000 + number, "note": ""}},
    }
    short = EVENT_BYTES - len(json.dumps(event, separators=(",", ":")))
    event["payload"]["data"]["note"] = "n" * short
    return json.dumps(event, separators=(",", ":")).encode()


class Poster:
    """One connection on which each request waits for the answer to the one before."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    @classmethod
    async def open(cls, port: int, headers: list[str]) -> "Poster":
        body = b'{"event":%b}' % event_of(0)
        request = request_bytes("POST", "/messages", port, body, headers)
        return cls(*await asyncio.open_connection("127.0.0.1", port), request)

    async def send(self) -> None:
        """
        Raises:
            RuntimeError: if the answer is no 201.
        """
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]))
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"answered {head[9:12].decode()}")


async def flood(port: int, seconds: float, connections: int, headers: list[str]) -> int:
    until_s = time.monotonic() + seconds

    async def one() -> int:
        poster, sent = await Poster.open(port, headers), 0
        while time.monotonic() < until_s:
            await poster.send()
            sent += 1
        return sent

    return sum(await asyncio.gather(*(one() for _ in range(connections))))


async def paced(send: Callable[[], Awaitable[None]], rate: float, count: int) -> list[float]:
    """Uneven on purpose: a sender in step with a poll would always meet it at the same place."""
    acknowledged_s = []
    due_s = time.monotonic()
    for number in range(count):
        due_s += (0.6 + 0.8 * (number * 0.618034 % 1)) / rate
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        await send()
        acknowledged_s.append(time.monotonic())
    return acknowledged_s


async def main(where: str, manner: str, first: str, second: str, *more: str) -> None:
    told: dict[str, Any]
    if manner == "flood":
        told = {"sent": await flood(int(where), float(first), int(second), list(more))}
    elif manner == "paced":
        poster = await Poster.open(int(where), list(more))
        told = {"acknowledged_s": await paced(poster.send, float(first), int(second))}
    else:
        client = await connected(where)
        payload, place = event_of(0), Partitioning.partition_id(0)

        async def send() -> None:
            await client.send_messages(STREAM, more[0], place, [SendMessage(payload)])

        told = {"acknowledged_s": await paced(send, float(first), int(second))}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
