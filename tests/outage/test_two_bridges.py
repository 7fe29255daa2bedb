"""Several bridges on one Iggy behind a balancer that keeps nobody to one of them: any replica serves any request."""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.outage.conftest import Start
from tests.support.event_source import EventStream
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer
from tests.support.round_robin import RoundRobin, round_robin

pytestmark = pytest.mark.iggy

MESSAGES = 300
TOPIC = "/streams/sample-stream/topics/events"
GROUP = f"{TOPIC}/groups/billing"
SETTINGS = {"CURSOR_KEY": "shared by all replicas"}


class Client:
    """Whoever calls through the balancer, each time over a new connection, so that each request goes elsewhere."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.base = f"http://127.0.0.1:{port}"

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.base + path, json=body) as response:
            answer = await response.json(content_type=None)
            assert response.status < 300, answer
            return answer

    async def call_until_answered(self, method: str, path: str, body: Any = None) -> Any:
        """The same again and again while a bridge dies on the way."""
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                return await self.call(method, path, body)


@asynccontextmanager
async def clients(*ports: int) -> AsyncIterator[tuple[Client, RoundRobin]]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        round_robin(*ports) as balancer,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield Client(session, balancer.port), balancer


class Produced:
    """Messages by their number: those that were acknowledged, and where."""

    def __init__(self) -> None:
        self.places: dict[int, tuple[int, int]] = {}

    async def produce(self, client: Client, numbers: range) -> None:
        """One message after the other; what a dying bridge did not acknowledge is left to its fate."""
        for number in numbers:
            with contextlib.suppress(aiohttp.ClientError):
                answer = await client.call("POST", "/messages", {"event": generic_event(number)})
                self.places[number] = (answer["partition_id"], answer["offset"])


class Consumed:
    """
    What the consumers of one group were given.

    Attributes:
        given: how often each message was, by its place.
        settled: whose ack was answered.
        late: how many may have come again, since their ack was answered only when their lease may have ended.
    """

    def __init__(self) -> None:
        self.given: Counter[tuple[int, int]] = Counter()
        self.late = 0
        self.settled: set[tuple[int, int]] = set()
        self.over = False
        self._news = asyncio.Event()

    async def consume(self, client: Client, rng: random.Random, *, visibility_ms: int) -> None:
        while not self.over:
            settled_before = set(self.settled)
            asked_s = time.monotonic()
            body = {"count": rng.randint(1, 9), "wait_ms": 500, "visibility_ms": visibility_ms}
            answer = await client.call_until_answered("POST", f"{GROUP}/receive", body)
            places = {each["token"]: (each["partition_id"], each["offset"]) for each in answer["messages"]}
            self.given.update(places.values())
            # What was settled before this was asked for never comes again, whoever dies.
            assert not settled_before & set(places.values())
            if places:
                acked = await client.call_until_answered("POST", f"{GROUP}/ack", {"tokens": list(places)})
                for result in acked["results"]:
                    if result["outcome"] != "expired":
                        self.settled.add(places[result["token"]])
                if time.monotonic() - asked_s >= visibility_ms / 1000:
                    self.late += len(places)
            self._news.set()

    async def until(self, count: int) -> None:
        """Wait until so many messages were settled."""
        while len(self.settled) < count:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def consuming(client: Client, *, visibility_ms: int) -> AsyncIterator[Consumed]:
    consumed = Consumed()
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(consumed.consume(client, random.Random(number), visibility_ms=visibility_ms))
        try:
            yield consumed
        finally:
            consumed.over = True


async def every_message_comes_once(client: Client) -> None:
    produced = Produced()
    async with consuming(client, visibility_ms=60_000) as consumed, asyncio.TaskGroup() as group:
        for start in range(3):
            group.create_task(produced.produce(client, range(start, MESSAGES, 3)))
        await consumed.until(MESSAGES)
    assert len(produced.places) == MESSAGES
    assert consumed.given == Counter(produced.places.values())
    rest = await client.call("POST", f"{GROUP}/receive", {"wait_ms": 300})
    assert rest["messages"] == []


async def test_a_group_hears_every_message_once_whichever_bridge_it_asks(
    server: IggyServer, start: Start
) -> None:
    bridges = [start(server.address, SETTINGS, patient=True) for _ in range(2)]
    ports = [bridge.started() for bridge in bridges]
    async with clients(*ports) as (client, balancer):
        await every_message_comes_once(client)
        assert min(balancer.taken[port] for port in ports) > MESSAGES // 3
    for port in ports:
        async with clients(port) as (client, _):
            told = await client.call("GET", GROUP)
            assert (told["lag"], told["in_flight"], len(told["members"])) == (0, 0, 2)


async def test_a_group_hears_every_message_once_whichever_worker_it_asks(
    server: IggyServer, start: Start
) -> None:
    bridge = start(server.address, {**SETTINGS, "WORKERS": "2"}, patient=True)
    port = bridge.listening()
    for _ in range(2):
        bridge.until("ready")
    async with clients(port) as (client, _):
        await every_message_comes_once(client)
    served = {line["worker"] for line in bridge.told("request") if line["route"].endswith("/receive")}
    assert served == {1, 2}


async def test_a_bridge_that_is_killed_takes_no_message_of_a_group_along(
    server: IggyServer, start: Start
) -> None:
    bridges = [start(server.address, SETTINGS, patient=True) for _ in range(2)]
    async with clients(*(bridge.started() for bridge in bridges)) as (client, _):
        produced = Produced()
        async with consuming(client, visibility_ms=2_000) as consumed, asyncio.TaskGroup() as group:
            for begin in range(3):
                group.create_task(produced.produce(client, range(begin, MESSAGES, 3)))
            await consumed.until(MESSAGES // 3)
            bridges[0].signal(signal.SIGKILL)
            await consumed.until(2 * MESSAGES // 3)
        async with consuming(client, visibility_ms=2_000) as rest:
            rest.settled |= consumed.settled
            await rest.until(len(consumed.settled | set(produced.places.values())))
        assert set(produced.places.values()) <= rest.settled
        # One died: what it was handing out came again; nothing else did but what a slow machine kept too long.
        given = consumed.given + rest.given
        assert sum(given.values()) - len(given) <= 4 * 2 * 9 + consumed.late + rest.late
        told = await client.call("GET", GROUP)
        assert (told["lag"], told["in_flight"]) == (0, 0)


async def test_a_reader_of_events_misses_nothing_though_each_connection_meets_another_bridge(
    server: IggyServer, start: Start
) -> None:
    bridges = [start(server.address, SETTINGS, patient=True) for _ in range(2)]
    ports = [bridge.started() for bridge in bridges]
    async with clients(*ports) as (client, balancer):
        produced = Produced()
        seen: list[tuple[int, int]] = []
        rng = random.Random(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(produced.produce(client, range(MESSAGES)))
            last_event_id = ""
            while len(seen) < MESSAGES:
                stream, wanted = EventStream(), rng.randint(1, 25)
                headers = {"Accept": "text/event-stream"}
                if last_event_id:
                    headers["Last-Event-ID"] = last_event_id
                async with client.session.get(
                    f"{client.base}{TOPIC}/messages?from=first", headers=headers
                ) as response:
                    assert response.status == 200
                    # The first event tells where the stream begins.
                    while len(stream.events) <= wanted and len(seen) + len(stream.events) <= MESSAGES:
                        stream.feed(await response.content.readany())
                # Whoever leaves here has taken what the last event says, and not what came behind it.
                for event in stream.events[1 : 1 + wanted]:
                    assert event.type == "message"
                    message = json.loads(event.data)
                    seen.append((message["partition_id"], message["offset"]))
                    last_event_id = event.last_event_id
        assert Counter(seen) == Counter(produced.places.values())
        for partition_id in range(3):
            offsets = [offset for each, offset in seen if each == partition_id]
            assert offsets == sorted(offsets)
        assert min(balancer.taken[port] for port in ports) > 10
