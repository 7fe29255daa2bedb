"""A well-behaved client of the WebSocket subprotocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from bridge.messagelog import NewMessage, ToPartition
from tests.support.bridge_app import BridgeApp

__all__ = ("SocketClient", "messages", "open_socket", "shown", "store")


class SocketClient:
    """One socket; what it hears that it does not wait for is kept in order in `heard`."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.heard: list[dict[str, Any]] = []

    async def say(self, op: str, **fields: Any) -> None:
        await self.ws.send_str(orjson.dumps({"op": op, **fields}).decode())

    async def hear(self, *ops: str) -> dict[str, Any]:
        """The next message of one of *ops*, of any without; those before it are kept."""
        while True:
            message = await self.ws.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, (message, self.ws.close_code)
            told: dict[str, Any] = orjson.loads(message.data)
            if not ops or told["op"] in ops:
                return told
            self.heard.append(told)

    async def ask(self, op: str, answer: str, **fields: Any) -> dict[str, Any]:
        """Say *op* and hear *answer*."""
        await self.say(op, **fields)
        told = await self.hear(answer, "error", "ended")
        assert told["op"] == answer, told
        return told

    async def refused(self, text: str | None = None, **fields: Any) -> dict[str, Any]:
        """Say what is refused; the problem."""
        await self.ws.send_str(orjson.dumps(fields).decode() if text is None else text)
        told = await self.hear("error")
        problem: dict[str, Any] = told["problem"]
        return problem

    async def code(self) -> int | None:
        """Waits until the server closes; with which code."""
        while True:
            message = await self.ws.receive()
            if message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.ERROR,
            ):
                return self.ws.close_code
            self.heard.append(orjson.loads(message.data))


@asynccontextmanager
async def open_socket(
    session: aiohttp.ClientSession, base: str, *, path: str = "/ws", **options: Any
) -> AsyncIterator[SocketClient]:
    """A socket that has heard `hello`."""
    options.setdefault("protocols", ("bridge.v1",))
    async with session.ws_connect(base + path, **options) as ws:
        client = SocketClient(ws)
        assert (await client.hear())["op"] == "hello"
        yield client


async def store(bridge: BridgeApp, *payloads: bytes, partition_id: int = 0) -> None:
    """Into the default topic, past the bridge."""
    await bridge.log.append(
        bridge.topic,
        ToPartition(partition_id),
        [NewMessage(each) for each in payloads],
        deadline=bridge.deadline(),
    )


async def messages(client: SocketClient, count: int) -> list[dict[str, Any]]:
    """The next *count* frames of messages."""
    return [await client.hear("message") for _ in range(count)]


def shown(told: list[dict[str, Any]]) -> list[Any]:
    """What the messages hold."""
    return [each["message"].get("payload", each["message"]["event"]) for each in told]
