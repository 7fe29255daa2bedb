"""A client that sends bytes as they are and reads what comes back; aiohttp's own client is too well-behaved."""

import asyncio
import socket
import struct
from typing import NamedTuple

import orjson


class Answer(NamedTuple):
    """One answer; names of headers in lower case, each with all its values."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    def problem(self) -> dict[str, object]:
        assert self.header("Content-Type") == "application/problem+json", self
        told = orjson.loads(self.body)
        assert isinstance(told, dict)
        return told


class RawConnection:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "RawConnection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Gone without a word: whatever is on its way is thrown away."""
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._writer.transport.abort()

    def end_sending(self) -> None:
        """Half a close: nothing more comes, answers are still read."""
        self._writer.write_eof()

    async def line(self) -> bytes:
        return await self._reader.readline()

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next answer; for one to `HEAD`, say so."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        status = int(first.split(" ")[1])
        body = b""
        if not head_only and status != 204:
            if "content-length" in headers:
                body = await self._reader.readexactly(int(headers["content-length"][0]))
            elif headers.get("transfer-encoding") == ["chunked"]:
                body = await self._chunked()
        return Answer(status, headers, body)

    async def ended(self) -> bool:
        """Waits for the server to close; whether nothing came before it did."""
        try:
            return await self._reader.read() == b""
        except ConnectionResetError:
            return True
        finally:
            self._writer.close()

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            return await self._reader.read()
        finally:
            self._writer.close()

    async def _chunked(self) -> bytes:
        body = b""
        while size := int((await self._reader.readline()).strip(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    def close(self) -> None:
        self._writer.close()


async def ask(port: int, data: bytes) -> Answer:
    """One answer on a connection of its own."""
    connection = await RawConnection.open(port)
    try:
        await connection.send(data)
        return await connection.answer(head_only=data.startswith(b"HEAD "))
    finally:
        connection.close()


def request_bytes(method: str, target: str, *lines: str, body: bytes | None = None) -> bytes:
    """A well-formed request, for tests where only one thing is odd."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", *lines]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")


def dechunked(framed: bytes) -> bytes:
    """What whole chunks hold, up to the last one or the end of *framed*."""
    body, at = b"", 0
    while at < len(framed):
        end = framed.index(b"\r\n", at)
        size = int(framed[at:end], 16)
        body += framed[end + 2 : end + 2 + size]
        if framed[end + 2 + size : end + 4 + size] != b"\r\n":
            raise ValueError("a chunk does not end where it says")
        if not size:
            break
        at = end + 4 + size
    return body
