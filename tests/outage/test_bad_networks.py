"""A network between bridge and Iggy that is slow, narrow, cuts or swallows: deadlines hold, and what was told is true."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.outage.conftest import Call, Start
from tests.outage.traffic import HANG_MARGIN_S, Producers, stored_events
from tests.outage.watched import WAIT_S
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer
from tests.support.tcp_proxy import FaultProxy, Toxic, fault_proxy

pytestmark = pytest.mark.iggy

PARTITIONS = 3
ENVIRON = {
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "10000",
    # A slow network is not a dead one.
    "HEALTH_CHECK_INTERVAL_SECS": "5",
}
PATIENT, HASTY = 6, 3
PATIENT_MS, HASTY_MS = 5_000, 400

Weather = Callable[[FaultProxy], Awaitable[None]]


def steady(toxic: Toxic) -> Weather:
    async def weather(proxy: FaultProxy) -> None:
        proxy.toxic = toxic

    return weather


async def reset_every_second(proxy: FaultProxy) -> None:
    while True:
        await asyncio.sleep(1.0)
        proxy.cut()


async def stalls_now_and_then(proxy: FaultProxy) -> None:
    try:
        while True:
            await asyncio.sleep(0.5)
            proxy.flowing.clear()
            await asyncio.sleep(0.5)
            proxy.flowing.set()
    finally:
        proxy.flowing.set()


async def under(weather: Weather, proxy: FaultProxy, load: Producers, requests: int, *, cuts: bool) -> int:
    """Patient and hasty callers while the weather lasts, in rounds until a connection was cut if *cuts*: how many rounds."""
    before, rounds = proxy.connections, 0
    lasting = asyncio.ensure_future(weather(proxy))
    try:
        while not rounds or (cuts and proxy.connections <= before):
            rounds += 1
            async with asyncio.TaskGroup() as group:
                for name in range(PATIENT + HASTY):
                    timeout_ms = PATIENT_MS if name < PATIENT else HASTY_MS
                    group.create_task(load.one(name, requests, timeout_ms=timeout_ms))
    finally:
        lasting.cancel()
        await asyncio.wait([lasting])
    proxy.toxic = Toxic()
    return rounds


@pytest.mark.parametrize(
    "weather, requests, cuts",
    [
        pytest.param(steady(Toxic(latency_s=0.5, jitter_s=0.4)), 4, False, id="500 ms give or take 400"),
        pytest.param(steady(Toxic(bytes_per_s=10_000)), 4, False, id="10 kB/s"),
        pytest.param(steady(Toxic(slice_bytes=7)), 30, False, id="slices of 7 bytes"),
        pytest.param(steady(Toxic(cut_after_bytes=20_000)), 30, True, id="cut after 20 kB"),
        pytest.param(reset_every_second, 40, True, id="reset every second"),
        pytest.param(stalls_now_and_then, 60, False, id="stalls now and then"),
    ],
)
@pytest.mark.timeout(300)
async def test_in_bad_weather_deadlines_hold_and_what_is_told_is_true(
    server: IggyServer, start: Start, call: Call, weather: Weather, requests: int, cuts: bool
) -> None:
    async with fault_proxy(server.address) as proxy:
        bridge = start(proxy.address, ENVIRON)
        port = await asyncio.to_thread(bridge.started)
        async with call(port) as caller:
            load = Producers(caller)
            # Each partition has its files, and each client its connection.
            await load.one(PATIENT, 12, timeout_ms=PATIENT_MS)
            rounds = await under(weather, proxy, load, requests, cuts=cuts)
            assert load.slowest_s < PATIENT_MS / 1000 + HANG_MARGIN_S
            assert load.sent == 12 + (PATIENT + HASTY) * requests * rounds
            if not cuts:
                assert load.account.acknowledged_count > 12
            await caller.until_ready()
            await load.one(PATIENT, 1, timeout_ms=PATIENT_MS)
            load.account.check(await stored_events(caller, PARTITIONS))
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0


async def test_a_reply_that_is_lost_leaves_a_doubt_that_looking_ends(
    server: IggyServer, start: Start, call: Call
) -> None:
    async with fault_proxy(server.address) as proxy:
        bridge = start(proxy.address, ENVIRON)
        port = await asyncio.to_thread(bridge.started)
        async with call(port) as caller:
            stored_id, answer = await caller.produce()
            assert answer.status == 201
            lost_id = str(uuid.uuid4())
            proxy.lose_reply_to = lost_id.encode()
            event = generic_event({"n": 1}, id=lost_id)
            answer = await caller.ask("POST", "/messages", {"event": event}, timeout_ms=3_000)
            assert (answer.status, answer.outcome) == (504, "unknown"), answer
            await asyncio.wait_for(proxy.swallowed.wait(), WAIT_S)
            proxy.lose_reply_to = None
            proxy.cut()
            await caller.until_ready()
            # An event's id is the message's: who looks finds the one copy, and has no reason to send again.
            stored = await stored_events(caller, PARTITIONS)
            ids = [message.id for messages in stored.values() for message in messages]
            assert Counter(ids) == Counter([stored_id, lost_id])
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0
