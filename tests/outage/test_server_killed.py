"""The server is killed under load and started again: what callers are told, what is stored, and what is left over."""

import asyncio
import logging
from collections import Counter

import pytest

from tests.outage.conftest import Call, Start
from tests.outage.traffic import Caller, Producers, Watch, stored_events
from tests.outage.watched import WatchedBridge
from tests.support.checker import Account
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

PARTITIONS = 3
PATIENT, HASTY = 16, 8
REQUESTS = 120
PATIENT_MS, HASTY_MS = 10_000, 150
#: Acknowledged before the kill, and refused before the server is started again.
WARM, TURNED_AWAY = 400, 20
CYCLES = 4


async def _written_everywhere(caller: Caller, account: Account) -> None:
    """Killed before a partition has its files, server 0.9.0-edge.5 does not start again."""
    load = Producers(caller, account)
    while len({place.partition_id for place in load.acknowledged.values()}) < PARTITIONS:
        await load.one(-1, 1, timeout_ms=PATIENT_MS)


async def _cycle(caller: Caller, bridge: WatchedBridge, server: IggyServer, load: Producers) -> None:
    """One kill in the middle of a bounded load; ends when every producer is done."""
    async with asyncio.TaskGroup() as group:
        for name in range(PATIENT):
            group.create_task(load.one(name, REQUESTS, timeout_ms=PATIENT_MS))
        for name in range(HASTY):
            group.create_task(load.one(PATIENT + name, REQUESTS, timeout_ms=HASTY_MS))
        await load.acknowledged_more(WARM)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(bridge.until, "iggy_connection", state="reconnecting")
        await load.refused_more(TURNED_AWAY)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(bridge.until, "iggy_connection", state="connected")


async def test_a_server_killed_under_load_loses_nothing_and_leaves_nothing_over(
    server: IggyServer, start: Start, call: Call
) -> None:
    bridge = start(server.address, {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "10000"}, patient=True)
    port = bridge.started()
    before = None
    sent, answers, outages = 0, Counter[tuple[int, str, str]](), list[float]()
    account = Account("none")
    refused: dict[str, str] = {}
    slowest_s: list[tuple[float, float]] = []
    for cycle in range(CYCLES):
        async with call(port) as caller:
            await _written_everywhere(caller, account)
            load, watch = Producers(caller, account), Watch(caller)
            async with asyncio.TaskGroup() as group:
                group.create_task(watch.run())
                await _cycle(caller, bridge, server, load)
                await watch.until(200, 503, 200)
                watch.stop()
        assert load.sent == (PATIENT + HASTY) * REQUESTS
        assert watch.states == {"healthy", "degraded"}
        slowest_s.append((load.slowest_s, watch.slowest_s))
        refused |= load.refused
        sent, outages = sent + load.sent, outages + watch.not_ready_s
        answers += load.answers
        if cycle == 0:
            before = await asyncio.to_thread(bridge.census)
    assert before is not None
    after = await asyncio.to_thread(bridge.no_more_than, before)

    async with call(port) as caller:
        stored = await stored_events(caller, PARTITIONS)
    # Nobody here sends twice, so a second copy would be a retry behind the caller's back.
    account.check(stored)
    there = {message.id for messages in stored.values() for message in messages}
    assert {answer[0] for answer in answers} <= {503, 504}
    assert answers[503, "disconnected", "not_written"] >= TURNED_AWAY
    for name, value in (
        ("sent", sent),
        ("acknowledged", account.acknowledged_count),
        ("refused", {f"{status} {code} {outcome}": n for (status, code, outcome), n in answers.items()}),
        ("unknown but stored", sum(event_id in there for event_id in refused)),
        ("not ready, s", [round(each, 2) for each in outages]),
        ("slowest message and /health, s", [(round(one, 2), round(two, 3)) for one, two in slowest_s]),
        ("before, after", [tuple(before), tuple(after)]),
    ):
        logging.getLogger(__name__).info("%s: %s", name, value)
    bridge.signal()
    assert bridge.ended() == 0
