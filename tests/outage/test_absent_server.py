"""An Iggy that is not there at the start, or never again; and several bridges that come to an empty one at once."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.outage.conftest import Call, Start
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

BRIDGES = 4
#: Well before the operation deadline of 30 s, whatever the machine is busy with.
SOON_S = 10.0


async def test_a_bridge_without_its_server_says_so_and_recovers_alone(
    server: IggyServer, start: Start, call: Call
) -> None:
    server.stop()
    bridge = start(server.address)
    async with call(bridge.listening()) as caller:
        await asyncio.to_thread(bridge.until, "iggy_not_connected")
        health = await caller.get("/health")
        assert (health.status, health.body["status"], health.body["iggy_connected"]) == (
            200,
            "degraded",
            False,
        )
        ready = await caller.get("/ready")
        assert ready.status == 503
        assert "cannot be reached" in str(ready.body)
        assert ready.headers["Retry-After"] == "1"
        _, refused = await caller.produce()
        assert (refused.status, refused.body["error"]) == (503, "connection_failed")
        assert refused.outcome == "not_written"
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.seconds < SOON_S
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(bridge.until, "ready")
        assert (await caller.get("/ready")).status == 200
        assert (await caller.get("/health")).body["status"] == "healthy"
        topic = await caller.get("/streams/sample-stream/topics/events")
        assert (topic.status, topic.body["partitions_count"], topic.body["durability"]) == (
            200,
            3,
            "persisted",
        )
        assert (await caller.produce())[1].status == 201
    bridge.signal()
    assert bridge.ended() == 0


@pytest.mark.parametrize("timeout_ms", [700, None], ids=["hasty", "patient"])
async def test_down_means_503_for_whoever_waits_however_long(
    server: IggyServer, start: Start, call: Call, timeout_ms: int | None
) -> None:
    # Nobody but the requests themselves finds out.
    bridge = start(server.address, {"HEALTH_CHECK_INTERVAL_SECS": "60", "OPERATION_TIMEOUT_SECS": "3"})
    async with call(bridge.started()) as caller:
        assert (await caller.produce())[1].status == 201
        server.kill()
        answers = [(await caller.produce(timeout_ms=timeout_ms))[1] for _ in range(4)]
        assert {answer.status for answer in answers} == {503}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
        # The first may have been on its way before anybody knew.
        assert {answer.outcome for answer in answers[1:]} == {"not_written"}
        assert (await caller.get("/ready")).status == 503
        server.start()
        await caller.until_ready()
        assert (await caller.produce())[1].status == 201
    bridge.signal()
    assert await asyncio.to_thread(bridge.ended) == 0


async def test_attempts_that_run_out_end_the_process_with_69_and_every_request_with_an_answer(
    server: IggyServer, start: Start, call: Call
) -> None:
    environ = {
        "MAX_RECONNECT_ATTEMPTS": "4",
        "RECONNECT_BASE_DELAY_MS": "300",
        "RECONNECT_MAX_DELAY_MS": "300",
    }
    bridge = start(server.address, environ)
    async with call(bridge.started()) as caller:
        server.kill()
        await asyncio.to_thread(bridge.until, "iggy_connection", state="reconnecting")
        waiting = [asyncio.create_task(caller.produce()) for _ in range(10)]
        answers = [answer for _, answer in await asyncio.gather(*waiting)]
        assert {answer.status for answer in answers} == {503}
        assert {answer.outcome for answer in answers} <= {"not_written", "unknown"}
    assert await asyncio.to_thread(bridge.ended) == 69
    (told,) = bridge.told("unavailable")
    assert told["detail"] == "The Iggy server cannot be reached. The attempts to connect have run out."
    assert told["exit_code"] == 69


async def test_bridges_that_start_at_once_on_an_empty_server_make_one_stream_and_one_topic(
    server: IggyServer, start: Start, call: Call
) -> None:
    server.stop()
    bridges = [start(server.address) for _ in range(BRIDGES)]
    ports = [bridge.listening() for bridge in bridges]
    # Every one of them is trying by now, so the server's first moment is a race of them all.
    server.start()
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(call(port)) for port in ports]
        for bridge in bridges:
            await asyncio.to_thread(bridge.until, "ready")
        for caller in callers:
            assert (await caller.get("/ready")).status == 200
            assert [each["name"] for each in (await caller.get("/streams")).body] == ["sample-stream"]
            topics = (await caller.get("/streams/sample-stream/topics")).body
            assert [(each["name"], each["partitions_count"]) for each in topics] == [("events", 3)]
            assert (await caller.produce())[1].status == 201
        stats = await callers[0].get("/streams/sample-stream/topics/events")
        assert stats.body["messages_count"] == BRIDGES
    assert sum(len(bridge.told("topic_created")) for bridge in bridges) <= 1
    for bridge in bridges:
        bridge.signal()
    assert [bridge.ended() for bridge in bridges] == [0] * BRIDGES


async def test_a_wrong_password_is_told_in_words_and_is_no_crash_loop(
    server: IggyServer, start: Start, call: Call
) -> None:
    bridge = start(server.address, password="wrong-horse-99b1")
    async with call(bridge.listening()) as caller:
        await asyncio.to_thread(bridge.until, "iggy_not_connected")
        ready = await caller.get("/ready")
        assert ready.status == 503
        assert "The Iggy server does not accept the user and password, or the token." in str(ready.body)
        assert (await caller.get("/health")).status == 200
        _, refused = await caller.produce()
        assert (refused.status, refused.outcome) == (503, "not_written")
    assert bridge.process.poll() is None
    bridge.signal()
    assert bridge.ended() == 0
    assert len(bridge.told("iggy_not_connected")) == 1


async def test_a_server_that_hangs_up_at_the_login_is_said_to_speak_another_protocol(
    start: Start, call: Call
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as old:
        host, port = old.sockets[0].getsockname()[:2]
        bridge = start(f"{host}:{port}")
        async with call(await asyncio.to_thread(bridge.listening)) as caller:
            told = await asyncio.to_thread(bridge.until, "iggy_not_connected")
            assert told["detail"].startswith("server speaks another protocol (server unknown")
            ready = await caller.get("/ready")
            assert ready.status == 503
            assert "server speaks another protocol" in str(ready.body)
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0


async def test_a_default_topic_that_is_weaker_than_configured_is_warned_about(
    server: IggyServer, start: Start, call: Call
) -> None:
    weak = start(server.address, {"DURABILITY": "replicated"})
    weak.started()
    weak.signal()
    assert weak.ended() == 0
    bridge = start(server.address)
    async with call(bridge.started()) as caller:
        ready = await caller.get("/ready")
        assert ready.status == 200
        assert "sample-stream/events is replicated, not persisted as configured" in str(ready.body)
        assert (await caller.produce())[1].body["durability"] == "replicated"
    assert len(bridge.told("iggy_topic_weaker_than_configured")) == 1
    bridge.signal()
    assert bridge.ended() == 0
