"""A server that is there and does not answer: requests end, the breaker opens, and it all comes back."""

import asyncio

import pytest

from tests.outage.conftest import Call, Start
from tests.outage.traffic import HANG_MARGIN_S, Answer, Caller, Producers, stored_events
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

ROUNDS, AT_ONCE = 10, 8
SENDERS, REQUESTS, WARM = 12, 300, 50
TIMEOUT_MS = 150


async def _rounds(caller: Caller) -> list[Answer]:
    answers: list[Answer] = []
    for _ in range(ROUNDS):
        asked = [caller.produce(timeout_ms=TIMEOUT_MS) for _ in range(AT_ONCE)]
        answers += [answer for _, answer in await asyncio.gather(*asked)]
    return answers


async def test_a_paused_server_ends_requests_by_their_deadline_opens_the_breaker_and_is_found_again(
    server: IggyServer, start: Start, call: Call
) -> None:
    environ = {
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "3",
        "CIRCUIT_BREAKER_SUCCESS_THRESHOLD": "2",
        "CIRCUIT_BREAKER_OPEN_DURATION_SECS": "2",
        # The health watch would notice by itself, and the outage would be one of "reconnecting" throughout.
        "HEALTH_CHECK_INTERVAL_SECS": "60",
    }
    bridge = start(server.address, environ)
    port = bridge.started()
    async with call(port) as caller:
        assert (await caller.produce())[1].status == 201
        await caller.until_breaker("closed")
    # The first outage makes every client that there will ever be.
    await _paused(server, bridge_port=port, call=call)
    before = bridge.census()
    for _ in range(3):
        await _paused(server, bridge_port=port, call=call)
        await asyncio.to_thread(bridge.no_more_than, before)
    bridge.signal()
    assert bridge.ended() == 0


async def _paused(server: IggyServer, *, bridge_port: int, call: Call) -> None:
    async with call(bridge_port) as caller:
        server.pause()
        try:
            answers = await _rounds(caller)
            await caller.until_breaker("open")
            ready, health = await caller.get("/ready"), await caller.get("/health")
        finally:
            server.resume()
        assert {answer.status for answer in answers} <= {503, 504}
        # Most are kept back for want of a sign of life; of what was on its way nobody knows.
        assert "not_written" in {answer.outcome for answer in answers}
        assert {answer.outcome for answer in answers} <= {"not_written", "unknown"}
        opened = [answer for answer in answers if answer.body["error"] == "circuit_open"]
        assert opened
        assert {answer.outcome for answer in opened} == {"not_written"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 503)
        assert max(answer.seconds for answer in answers) < TIMEOUT_MS / 1000 + HANG_MARGIN_S
        assert (ready.status, health.status) == (503, 200)
        await caller.until_stored()
        await caller.until_breaker("closed")
        await caller.until_ready()


async def test_what_a_paused_server_answers_late_ends_nothing_else(
    server: IggyServer, start: Start, call: Call
) -> None:
    bridge = start(server.address, {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "10000"})
    port = bridge.started()
    async with call(port) as caller:
        load = Producers(caller)
        async with asyncio.TaskGroup() as group:
            for name in range(SENDERS):
                group.create_task(load.one(name, REQUESTS, timeout_ms=2_000 + 100 * name))
            for _ in range(3):
                await load.acknowledged_more(WARM)
                server.pause()
                try:
                    # The health watch finds it silent while requests are on their way; and some of their deadlines pass.
                    await asyncio.to_thread(bridge.until, "iggy_connection", state="reconnecting")
                    await load.refused_more(SENDERS)
                finally:
                    server.resume()
                await asyncio.to_thread(bridge.until, "iggy_connection", state="connected")
        # `Producers` takes no other answer than 201, 503 and 504.
        assert load.sent == SENDERS * REQUESTS
        load.account.check(await stored_events(caller, 3))
    bridge.signal()
    assert bridge.ended() == 0
