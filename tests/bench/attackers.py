"""
Clients that mean no good, as many as are asked for, until the standard input ends (shell).

    python -m tests.bench.attackers PORT KIND COUNT [HEADER ...]

It says `ready` once all of them are at work. They come from addresses of their own (127.0.0.2 and on), as the bound on
connections is by address; whoever is closed or refused comes again after a moment.
"""

import asyncio
import gzip
import itertools
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from tests.hardening.test_framing import CHUNKS, REFUSED, post

__all__ = ("KINDS", "PARTS", "bad_inputs")

#: Of the bad inputs so many are under way at a time: each connection is one input.
PARTS: Final = 8
#: Connections of one address; the bridge takes 1,000.
PER_ADDRESS: Final = 250
TCP_CLOSE: Final = 7
DRIP_S: Final = 1.0
#: In which all of them come, one after the other: together they would be a flood each second.
COMING_S: Final = 4.0
AGAIN_S: Final = 0.2
#: For an answer to a bad input, and until a connection that had one is left.
PATIENCE_S: Final = 2.0
READ_BYTES: Final = 65_536
JSON: Final = "Content-Type: application/json"
#: An answer is some 35 KB: with so small a buffer it waits in the bridge.
UNREAD_BUFFER_BYTES: Final = 4_096
UNREAD_PAGES: Final = 8
UNREAD_PATH: Final = "/messages?partition_id=0&offset=0&count=100"


def _request(
    method: str, path: str, headers: list[str], body: bytes = b"", length: int | None = None
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body or length is not None:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def bad_inputs(headers: list[str]) -> dict[str, bytes]:
    """Those of the list of bad inputs that are one request, from what cannot be parsed to what is costly to judge."""
    typed = [JSON, *headers]
    packed = [*typed, "Content-Encoding: gzip"]
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)
    bodies = {
        "B37 bad gzip": (packed, b"\x1f\x8b" + b"x" * 200),
        "B35 gzip bomb of 8 MiB": (packed, gzip.compress(bytes(8 * 1024 * 1024), 9)),
        "B36 gzip bomb of 200 MiB": (packed, bomb),
        "B39 unknown coding": ([*typed, "Content-Encoding: br"], b"{}"),
        "B32 body of 2 MiB": (typed, b'"' + b"x" * 2 * 1024 * 1024 + b'"'),
        "B49 depth 100,000": (typed, b"[" * 100_000 + b"]" * 100_000),
        "B50 depth 300": (typed, b"[" * 300 + b"]" * 300),
        "B51 1e400": (typed, b'{"event_type":"a","x":1e400}'),
        "B53 a name twice": (typed, b'{"event_type":"a","event_type":"b"}'),
        "B54 lone surrogate": (typed, b'{"event_type":"\\ud800"}'),
        "B55 UTF-16": (typed, '{"event_type":"a"}'.encode("utf-16")),
        "B57 wrong types": (typed, b'{"event_type":1,"id":[]}'),
        "B58 no type": (headers, b"{}"),
        "many brackets": (typed, b"[" + b"{}," * 100_000 + b"{}]"),
        "many wide numbers": (typed, b"[" + b"1e299," * 100_000 + b"1]"),
    }
    made = {name: _request("POST", "/messages", lines, body) for name, (lines, body) in bodies.items()}
    chunked = _request("POST", "/messages", [*typed, "Transfer-Encoding: chunked"])
    return {
        **REFUSED,
        **{f"B27 {name}": post("Transfer-Encoding: chunked", body=body) for name, body in CHUNKS.items()},
        "B15 another host": _request("GET", "http://other.example/health", headers),
        "B24 long target": _request("GET", "/" + "a" * 9_000, headers),
        "B25 long header": _request("GET", "/stats", [*headers, "X-A: " + "a" * 9_000]),
        "B26 many headers": _request("GET", "/stats", [f"X-{n}: 1" for n in range(200)]),
        "B29 trailers": chunked + b"2\r\n{}\r\n0\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n",
        "B30 chunks of one byte": chunked + b"1\r\n1\r\n" * 60_000 + b"0\r\n\r\n",
        "B31 length of 5 GiB": _request("POST", "/messages", typed, length=5 * 2**30),
        "B40 TRACE": _request("TRACE", "/messages", headers),
        "B47 long name": _request("GET", f"/streams/{'a' * 300}/topics", headers),
        "B45 name with ..": _request("GET", "/streams/%2e%2e%2f/topics", headers),
        "B57 count of 10^9": _request("GET", "/messages?partition_id=0&count=1000000000", headers),
        "B60 long key": _request("GET", "/stats", ["X-API-Key: " + "k" * 7_000]),
        "B62 foreign page": _request(
            "GET",
            "/ws",
            [*headers, "Upgrade: websocket", "Connection: Upgrade", "Origin: https://evil.example"],
        ),
        "B63 Last-Event-ID": _request("GET", "/messages/stream", [*headers, "Last-Event-ID: -1"]),
        **made,
    }


class Attack:
    """One kind of client."""

    def __init__(self, port: int, headers: list[str]) -> None:
        self._port = port
        self._headers = headers
        self._inputs: Iterator[bytes] = itertools.cycle(bad_inputs(headers).values())

    async def open(self, number: int, *, buffer_bytes: int = 0) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
        if buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        return connection

    async def _drip(self, connection: socket.socket, begin: bytes, rest: bytes) -> None:
        """*begin* at once, of *rest* a byte a second; until the bridge has had enough."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, begin)
        for byte in rest:
            await asyncio.sleep(DRIP_S)
            await loop.sock_sendall(connection, bytes([byte]))

    async def slow_head(self, number: int) -> None:
        connection = await self.open(number)
        with connection:
            await self._drip(connection, b"GET /stats HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"a" * 1000)

    async def slow_body(self, number: int) -> None:
        connection = await self.open(number)
        with connection:
            head = _request("POST", "/messages", [JSON, *self._headers], length=1000)
            await self._drip(connection, head, b"{" + b" " * 999)

    async def unread(self, number: int) -> None:
        """It asks for more than fits on the way to it, and takes none."""
        connection = await self.open(number, buffer_bytes=UNREAD_BUFFER_BYTES)
        with connection:
            await self._drip(connection, _request("GET", UNREAD_PATH, self._headers) * UNREAD_PAGES, b"")
            # Nothing of it is read: it only ends when the bridge does away with it.
            while not _is_gone(connection):  # noqa: ASYNC110 (the kernel tells of it when asked)
                await asyncio.sleep(DRIP_S)

    async def bad_input(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        connection = await self.open(number)
        with connection:
            async with asyncio.timeout(PATIENCE_S):
                await loop.sock_sendall(connection, next(self._inputs))
                await loop.sock_recv(connection, READ_BYTES)


KINDS: Final[dict[str, Callable[[Attack, int], Awaitable[None]]]] = {
    "bad inputs": Attack.bad_input,
    "slow heads": Attack.slow_head,
    "slow bodies": Attack.slow_body,
    "unread answers": Attack.unread,
}


def _is_gone(connection: socket.socket) -> bool:
    """Whether it was reset, by the kernel's word (`TCP_INFO` begins with the state; 7 is closed)."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE


async def _again(attack: Attack, kind: str, number: int, delay_s: float, begun: asyncio.Semaphore) -> None:
    await asyncio.sleep(delay_s)
    while True:
        try:
            begun.release()
            await KINDS[kind](attack, number)
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(0 if kind == "bad inputs" else AGAIN_S)


async def main(port: str, kind: str, count: str, *headers: str) -> None:
    attack = Attack(int(port), list(headers))
    begun = asyncio.Semaphore(0)
    many = int(count)
    clients = [
        asyncio.create_task(_again(attack, kind, number, COMING_S * number / many, begun))
        for number in range(many)
    ]
    for _ in clients:
        await begun.acquire()
    await asyncio.sleep(1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
