"""SIGTERM while Iggy is away or slow: exit 0 within the grace, and every request that was taken up is answered."""

import asyncio
import time

import pytest

from tests.outage.conftest import Call, Start
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

GRACE_S = 4.0
#: Longer than a busy machine needs where nobody waits for anything, and in all less than what a request may take.
PATIENT_S = 20.0
WAITING = 5


async def test_a_bridge_told_to_end_during_an_outage_ends_with_0_within_its_grace(
    server: IggyServer, start: Start
) -> None:
    bridge = start(server.address, {"SHUTDOWN_GRACE_SECS": str(PATIENT_S)})
    bridge.started()
    server.kill()
    bridge.until("iggy_connection", state="reconnecting")
    begun_s = time.monotonic()
    bridge.signal()
    assert bridge.ended() == 0
    assert time.monotonic() - begun_s < PATIENT_S
    assert bridge.told("shutdown_step_cut") == []


async def test_requests_that_wait_for_a_lost_server_are_answered_before_the_end(
    server: IggyServer, start: Start, call: Call
) -> None:
    bridge = start(server.address, {"SHUTDOWN_GRACE_SECS": str(GRACE_S)})
    async with call(bridge.started()) as caller:
        server.kill()
        await asyncio.to_thread(bridge.until, "iggy_connection", state="reconnecting")
        waiting = [asyncio.create_task(caller.produce()) for _ in range(WAITING)]
        await caller.until_in_flight(WAITING)
        begun_s = time.monotonic()
        bridge.signal()
        answers = [answer for _, answer in await asyncio.gather(*waiting)]
        assert {answer.status for answer in answers} == {503}
        assert {answer.outcome for answer in answers} <= {"not_written", "unknown"}
        assert await asyncio.to_thread(bridge.ended) == 0
        assert time.monotonic() - begun_s < GRACE_S + PATIENT_S


async def test_requests_in_flight_are_finished_before_the_end(
    server: IggyServer, start: Start, call: Call
) -> None:
    # Who looks whether it is well would find it silent, and break off what is on its way.
    bridge = start(server.address, {"HEALTH_CHECK_INTERVAL_SECS": "60", "SHUTDOWN_GRACE_SECS": "100"})
    async with call(bridge.started()) as caller:
        assert (await caller.produce())[1].status == 201
        server.pause()
        try:
            waiting = [asyncio.create_task(caller.produce()) for _ in range(WAITING)]
            await caller.until_in_flight(WAITING)
            bridge.signal()
            draining = await asyncio.to_thread(bridge.until, "draining")
            assert draining["requests"] == WAITING
        finally:
            server.resume()
        answers = [answer for _, answer in await asyncio.gather(*waiting)]
        assert [answer.status for answer in answers] == [201] * WAITING
        assert await asyncio.to_thread(bridge.ended) == 0
    assert bridge.told("shutdown_step_cut") == []
