"""
Who sends what many readers get (shell): as fast as answers come, or so many at a rate, over HTTP or by Iggy's SDK.

    python -m tests.bench.fanout_sender PORT flood SECONDS CONNECTIONS [HEADER ...]
    python -m tests.bench.fanout_sender PORT paced RATE COUNT [HEADER ...]
    python -m tests.bench.fanout_sender ADDRESS straight RATE COUNT TOPIC

Prints, as JSON, the moment of each acknowledgement on the clock that all processes share (`time.time`; over HTTP as the kernel
noted it, as `arrivals` does for the readers); a flood only how many.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import uvloop
from apache_iggy import Partitioning, SendMessage

from tests.bench.arrivals import received, stamp
from tests.bench.client import request_bytes
from tests.bench.requests import STREAM
from tests.bench.straight import connected

__all__ = ("EVENT_BYTES", "TimedPoster", "event_of")

EVENT_BYTES: Final = 250
ANSWER_BYTES_MAX: Final = 4096
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


def _body_bytes(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= _body_bytes(head + end)


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
        await self._reader.readexactly(_body_bytes(head))
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


class TimedPoster:
    """One connection of a program that does nothing else."""

    def __init__(self, port: int, headers: list[str]) -> None:
        body = b'{"event":%b}' % event_of(0)
        self._request = request_bytes("POST", "/messages", port, body, headers)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamp(self._socket)
        self._buffer = bytearray(ANSWER_BYTES_MAX)

    async def send(self) -> float:
        """
        When the answer had come, all of it.

        Raises:
            RuntimeError: if it is no 201.
        """
        self._socket.sendall(self._request)
        answer, came_s = b"", 0.0
        while not _is_whole(answer):
            length, came_s = received(self._socket, self._buffer)
            if not length:
                raise ConnectionResetError("the server closed the connection")
            answer += self._buffer[:length]
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"answered {answer[9:12].decode()}")
        return came_s

    def close(self) -> None:
        self._socket.close()


async def paced(send: Callable[[], Awaitable[float]], rate: float, count: int) -> list[float]:
    """Uneven on purpose: a sender in step with a poll would always meet it at the same place."""
    acknowledged_s = []
    due_s = time.monotonic()
    for number in range(count):
        due_s += (0.6 + 0.8 * (number * 0.618034 % 1)) / rate
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        acknowledged_s.append(await send())
    return acknowledged_s


async def main(where: str, manner: str, first: str, second: str, *more: str) -> None:
    told: dict[str, Any]
    if manner == "flood":
        told = {"sent": await flood(int(where), float(first), int(second), list(more))}
    elif manner == "paced":
        poster = TimedPoster(int(where), list(more))
        told = {"acknowledged_s": await paced(poster.send, float(first), int(second))}
        poster.close()
    else:
        client = await connected(where)
        payload, place = event_of(0), Partitioning.partition_id(0)

        async def send() -> float:
            await client.send_messages(STREAM, more[0], place, [SendMessage(payload)])
            return time.time()

        told = {"acknowledged_s": await paced(send, float(first), int(second))}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
