"""A WebSocket client that sends bytes as they are, well-formed or not."""

import base64
from typing import Any, NamedTuple, Self

import orjson

from bridge.web.sockets.framing import Opcode
from tests.support.raw_http import Answer, RawConnection, request_bytes
from tests.support.ws_frames import client_close, client_text

__all__ = ("KEY", "Dial", "RawSocket", "ServerFrame", "upgrade_lines")

KEY = base64.b64encode(b"sixteen bytes ..").decode()


def upgrade_lines(**changed: str | None) -> list[str]:
    """The headers of a handshake, by names with `_` for `-`; None leaves one out."""
    headers: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Protocol": "bridge.v1",
        **changed,
    }
    return [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]


class ServerFrame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        assert self.opcode == Opcode.CLOSE, self
        return int.from_bytes(self.payload[:2], "big")

    @property
    def told(self) -> dict[str, Any]:
        """Of a text frame."""
        assert self.opcode == Opcode.TEXT, self
        told = orjson.loads(self.payload)
        assert isinstance(told, dict)
        return told


class Dial:
    """Opens connections to one port, and closes them all at its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: list[RawConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    async def handshake(self, *lines: str, after: bytes = b"", **changed: str | None) -> Answer:
        """The answer to one on a connection of its own."""
        return await (await self.raw()).handshake(*lines, after=after, **changed)

    async def raw(self) -> "RawSocket":
        """What may become a socket."""
        self._connections.append(await RawConnection.open(self._port))
        return RawSocket(self._connections[-1])

    async def open(self, *lines: str, after: bytes = b"", **changed: str | None) -> "RawSocket":
        """A socket that has heard `hello`; *after* is sent together with the handshake."""
        socket = await self.raw()
        answer = await socket.handshake(*lines, after=after, **changed)
        assert answer.status == 101, answer
        assert (await socket.frame()).told["op"] == "hello"
        return socket


class RawSocket:
    """One WebSocket, or what was to become one."""

    def __init__(self, connection: RawConnection) -> None:
        self.connection = connection

    async def handshake(self, *lines: str, after: bytes = b"", **changed: str | None) -> Answer:
        asked = request_bytes("GET", "/ws", *upgrade_lines(**changed), *lines)
        await self.connection.send(asked + after)
        return await self.connection.answer()

    async def send(self, data: bytes) -> None:
        await self.connection.send(data)

    async def say(self, op: str, **fields: Any) -> None:
        await self.send(client_text(orjson.dumps({"op": op, **fields})))

    async def frame(self) -> ServerFrame:
        """The next frame; never masked, always whole and in its shortest form."""
        reader = self.connection._reader
        first, second = await reader.readexactly(2)
        assert first & 0x80
        assert not second & 0x80
        length = second
        if second == 126:
            length = int.from_bytes(await reader.readexactly(2), "big")
            assert length > 125
        elif second == 127:
            length = int.from_bytes(await reader.readexactly(8), "big")
            assert length > 65535
        return ServerFrame(first & 0x0F, await reader.readexactly(length))

    async def closed_with(self) -> int:
        """Read on to the close frame, answer it, and see the connection end; the code."""
        while (frame := await self.frame()).opcode != Opcode.CLOSE:
            pass
        try:
            await self.send(client_close(frame.code))
        except ConnectionError:
            return frame.code
        assert await self.connection.ended()
        return frame.code

    async def alive(self) -> None:
        """It answers."""
        await self.say("ping", id="alive")
        while (await self.frame()).payload != b'{"op":"pong","id":"alive"}':
            pass

    def abort(self) -> None:
        """Gone without a word."""
        self.connection._writer.transport.abort()
