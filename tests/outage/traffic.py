"""Callers of a bridge, and what each of them was told."""

import asyncio
import contextlib
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from tests.outage.watched import PAUSE_S, WAIT_S
from tests.support.checker import Account, Stored
from tests.support.events import generic_event

__all__ = (
    "HANG_MARGIN_S",
    "Answer",
    "Caller",
    "Place",
    "Producers",
    "Watch",
    "calling",
    "repeated",
    "stored_events",
    "stored_messages",
)

#: Beyond its deadline a request may take so long for the answer to come out; past that it hangs.
HANG_MARGIN_S = 10.0
#: The bridge's own deadline for requests that name none.
OPERATION_TIMEOUT_S = 30.0


async def repeated(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask until *holds*; fails after `WAIT_S`."""
    async with asyncio.timeout(WAIT_S):
        while not await holds():  # noqa: ASYNC110 (the process is another one)
            await asyncio.sleep(PAUSE_S)


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]
    seconds: float

    @property
    def outcome(self) -> str | None:
        found: str | None = self.body.get("outcome")
        return found


@dataclass
class Caller:
    """One HTTP client; every answer is kept as text."""

    url: str
    session: aiohttp.ClientSession
    texts: list[str]

    async def ask(
        self, method: str, path: str, body: object = None, *, timeout_ms: int | None = None
    ) -> Answer:
        """One request; fails if the answer does not come within the deadline asked for and a margin."""
        headers = {} if timeout_ms is None else {"X-Request-Timeout": str(timeout_ms)}
        allowed_s = (OPERATION_TIMEOUT_S if timeout_ms is None else timeout_ms / 1000) + HANG_MARGIN_S
        begun_s = time.monotonic()
        async with (
            asyncio.timeout(allowed_s),
            self.session.request(
                method, self.url + path, json=body if body is not None else None, headers=headers
            ) as response,
        ):
            text = await response.text()
            self.texts.append(f"{dict(response.headers)} {text}")
            shown = json.loads(text) if "json" in response.content_type else {"text": text}
            return Answer(response.status, shown, response.headers, time.monotonic() - begun_s)

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    async def metrics(self) -> str:
        text: str = (await self.get("/metrics")).body["text"]
        return text

    async def until_in_flight(self, requests: int) -> None:
        """Wait until so many requests besides the one that asks are in flight."""
        await repeated(self._metric(f"bridge_http_requests_in_flight {requests + 1}.0"))

    async def until_breaker(self, state: str) -> None:
        """Send messages until the breaker is in this state; only a request moves it."""
        shown = self._metric(f'bridge_breaker_state{{state="{state}"}} 1.0')

        async def look() -> bool:
            await self.produce(timeout_ms=150)
            return await shown()

        await repeated(look)

    async def until_stored(self) -> None:
        """Send messages until one is acknowledged."""

        async def send() -> bool:
            return (await self.produce(timeout_ms=2000))[1].status == 201

        await repeated(send)

    async def until_ready(self) -> None:
        async def look() -> bool:
            return (await self.get("/ready")).status == 200

        await repeated(look)

    def _metric(self, line: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return line in await self.metrics()

        return look

    async def produce(self, *, timeout_ms: int | None = None, **more: object) -> tuple[str, Answer]:
        """One message of an id of its own: (id, answer)."""
        event_id = str(uuid.uuid4())
        event = generic_event({"n": 1}, id=event_id)
        return event_id, await self.ask("POST", "/messages", {"event": event, **more}, timeout_ms=timeout_ms)


class Place(NamedTuple):
    partition_id: int
    offset: int


@dataclass
class Producers:
    """
    Many callers at once, each with a bounded number of requests.

    Attributes:
        account: what they sent and were told.
        acknowledged: id of the event -> where its receipt says it is.
        refused: id -> outcome of those that failed.
        answers: how many of each (status, code, outcome).
    """

    caller: Caller
    account: Account = field(default_factory=lambda: Account("none"))
    acknowledged: dict[str, Place] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    answers: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    slowest_s: float = 0.0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def sent(self) -> int:
        return len(self.acknowledged) + len(self.refused)

    async def one(self, name: int, requests: int, *, timeout_ms: int) -> None:
        """Send *requests* messages one after the other; every answer must be one that the contract allows."""
        for number in range(requests):
            key = {"partition_key": f"key-{name}"} if number % 2 else {}
            event_id = str(uuid.uuid4())
            event = generic_event({"n": number}, id=event_id)
            self.account.send(event_id, canonical(event), writer=name)
            answer = await self.caller.ask(
                "POST", "/messages", {"event": event, **key}, timeout_ms=timeout_ms
            )
            self.slowest_s = max(self.slowest_s, answer.seconds)
            async with self.news:
                self._take(event_id, answer)
                self.news.notify_all()

    def _take(self, event_id: str, answer: Answer) -> None:
        if answer.status == 201:
            assert answer.body["event_id"] == event_id
            assert answer.body["durability"] == "persisted"
            place = self.acknowledged[event_id] = Place(answer.body["partition_id"], answer.body["offset"])
            self.account.acknowledge(event_id, *place)
            return
        assert answer.status in (503, 504), answer
        assert answer.outcome in ("not_written", "unknown"), answer
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) >= 1, answer
        self.refused[event_id] = answer.outcome
        (self.account.refuse if answer.outcome == "not_written" else self.account.doubt)(event_id)
        self.answers[answer.status, answer.body["error"], answer.outcome] += 1

    async def acknowledged_more(self, count: int) -> None:
        """Wait until *count* more messages are acknowledged."""
        enough = len(self.acknowledged) + count
        async with self.news:
            await self.news.wait_for(lambda: len(self.acknowledged) >= enough)

    async def refused_more(self, count: int) -> None:
        """Wait until *count* more messages are refused."""
        enough = len(self.refused) + count
        async with self.news:
            await self.news.wait_for(lambda: len(self.refused) >= enough)


class Watch:
    """
    Asks for /health and /ready all the time.

    Attributes:
        turns: the status of /ready each time it changed, from the first answer on.
        not_ready_s: the length of each time in which it was 503.
        looks: how often /health was asked for; each time it was 200.
    """

    PAUSE_S = 0.02

    def __init__(self, caller: Caller) -> None:
        self.turns: list[int] = []
        self.not_ready_s: list[float] = []
        self.looks = 0
        self.slowest_s = 0.0
        self.states: set[str] = set()
        self._caller = caller
        self._since_s = 0.0
        self._news = asyncio.Condition()
        self._enough = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._enough.is_set():
            health = await self._caller.ask("GET", "/health", timeout_ms=1000)
            assert health.status == 200
            self.states.add(health.body["status"])
            self.slowest_s = max(self.slowest_s, health.seconds)
            self.looks += 1
            ready = await self._caller.ask("GET", "/ready", timeout_ms=1000)
            assert ready.status in (200, 503)
            async with self._news:
                self._turn(ready.status)
                self._news.notify_all()
            await asyncio.sleep(self.PAUSE_S)

    def _turn(self, status: int) -> None:
        if self.turns and self.turns[-1] == status:
            return
        self.turns.append(status)
        if status == 503:
            self._since_s = time.monotonic()
        elif len(self.turns) > 1:
            self.not_ready_s.append(time.monotonic() - self._since_s)

    async def until(self, *turns: int) -> None:
        """Wait until /ready has turned exactly so since the start."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.turns) >= len(turns))
            assert tuple(self.turns) == turns, self.turns

    def stop(self) -> None:
        self._enough.set()


@contextlib.asynccontextmanager
async def calling(port: int, texts: list[str]) -> AsyncIterator[Caller]:
    """A client of the bridge on *port*, with as many connections as it needs; *texts* gets every answer."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Caller(f"http://127.0.0.1:{port}", session, texts)


def canonical(event: Any) -> bytes:
    """An event as bytes, whatever the order of its fields."""
    return json.dumps(event, sort_keys=True).encode()


async def stored_events(caller: Caller, partitions: int) -> dict[int, list[Stored]]:
    """Every event of the default topic, by partition."""
    found: dict[int, list[Stored]] = {}
    for partition_id in range(partitions):
        stored = found[partition_id] = []
        while True:
            query = f"partition_id={partition_id}&offset={len(stored)}&count=1000&consumer_id=7"
            page = await caller.ask("GET", f"/messages?{query}")
            assert page.status == 200, page
            for message in page.body["messages"]:
                assert message["id"] == message["event"]["id"]
                stored.append(Stored(message["offset"], message["id"], canonical(message["event"])))
            if not page.body["messages"]:
                break
    return found


async def stored_messages(caller: Caller, partitions: int) -> dict[Place, str]:
    """Every message of the default topic by its place: the id of its event, which is also that of the message."""
    stored = await stored_events(caller, partitions)
    return {
        Place(partition_id, message.offset): str(message.id)
        for partition_id, messages in stored.items()
        for message in messages
    }
