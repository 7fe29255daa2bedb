"""An event stream outlives the server behind it: its reader sees silence, then what came, once and in order."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.outage.conftest import Start
from tests.support.event_reader import EventReader, datas
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

PARTITIONS = 3
CYCLES = 2
PER_CYCLE = 30


@asynccontextmanager
async def _client(port: int) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def _send(session: aiohttp.ClientSession, number: int) -> None:
    """Until it is acknowledged; sent again it may be there twice, under the same id."""
    event = generic_event(number, id=str(uuid.UUID(int=number + 1)))
    while True:
        async with session.post("/messages", json={"event": event}) as answer:
            if answer.status == 201:
                return
            assert answer.status in {503, 504}, await answer.text()


async def test_a_reader_gets_everything_across_kills_of_the_server_without_coming_back(
    server: IggyServer, start: Start
) -> None:
    bridge = start(server.address, {"RATE_LIMIT_RPS": "0", "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "10000"})
    port = bridge.started()
    async with _client(port) as session, EventReader(session, "/messages/stream") as reader:
        number = 0
        expected: set[int] = set()
        seen: list[int] = []
        places: list[tuple[int, int]] = []

        async def read_on() -> None:
            while not expected <= set(seen):
                for told in datas(await reader.events(1)):
                    seen.append(told["event"]["payload"]["data"])
                    places.append((told["partition_id"], told["offset"]))

        for cycle in range(CYCLES + 1):
            for _ in range(PER_CYCLE):
                await _send(session, number)
                expected.add(number)
                number += 1
            await read_on()
            if cycle < CYCLES:
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(bridge.until, "iggy_connection", state="reconnecting")
                await asyncio.to_thread(server.start)
        assert [event.type for event in reader.seen.events] == ["open", *["message"] * len(seen)]
    for partition_id in range(PARTITIONS):
        offsets = [offset for each, offset in places if each == partition_id]
        assert offsets == list(range(len(offsets)))
    assert sorted(set(seen)) == list(range(number))
