"""Sending bodies as they are, and what came of them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import Any

from bridge.clock import Deadline
from bridge.errors import Outcome, SendError
from bridge.messagelog import Appender, FromOffset, Message, NewMessage, Placement, Receipt, TopicRef
from tests.support.bridge_app import Answer, BridgeApp

__all__ = ("SpyAppender", "bomb", "everything", "in_chunks", "post", "stored")

NDJSON = {"Content-Type": "application/x-ndjson"}


async def post(
    bridge: BridgeApp, body: Any, query: str = "", *, path: str = "/messages", **headers: str
) -> Answer:
    """*body* is bytes, or chunks that come one after the other."""
    given = NDJSON | {name.replace("_", "-"): value for name, value in headers.items()}
    async with bridge.session.post(bridge.base + path + query, data=body, headers=given) as response:
        raw = await response.read()
        return Answer(response.status, response.headers, raw, json.loads(raw))


async def stored(bridge: BridgeApp, partition_id: int) -> list[Message]:
    found: list[Message] = []
    while True:
        page = await bridge.log.read(
            bridge.topic, partition_id, FromOffset(len(found)), count=1000, deadline=bridge.deadline()
        )
        if not page.messages:
            return found
        found.extend(page.messages)


async def everything(bridge: BridgeApp) -> list[Message]:
    return [message for partition_id in range(3) for message in await stored(bridge, partition_id)]


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@cache
def bomb(mebibytes: int) -> bytes:
    return gzip.compress(bytes(mebibytes * 1024 * 1024))


class SpyAppender:
    """Passes on to *real*, and remembers what it was given and how much of it at a time."""

    def __init__(self, real: Appender) -> None:
        self.real = real
        self.batches: list[int] = []
        self.batch_bytes: list[int] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.fails_at: int | None = None
        self.waiting_for: asyncio.Event | None = None
        self.first_acknowledged = asyncio.Event()
        self.deadlines: list[Deadline] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        if self.fails_at == len(self.batches):
            raise SendError(outcome=Outcome.UNKNOWN)
        self.batches.append(len(messages))
        self.batch_bytes.append(sum(len(message.payload) for message in messages))
        self.deadlines.append(deadline)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            if self.waiting_for is not None:
                await self.waiting_for.wait()
            receipt = await self.real.append(topic, placement, messages, deadline=deadline)
            self.first_acknowledged.set()
            return receipt
        finally:
            self.in_flight -= 1
