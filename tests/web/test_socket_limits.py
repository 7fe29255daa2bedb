"""Sockets that want too much, take too little, or are cut off."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.clock import Deadline
from bridge.config import HttpConfig
from bridge.flow.following.batches import RecordBatch
from bridge.messagelog import First, NewMessage, Placement, Receipt, ToPartition, TopicRef
from bridge.telemetry.metrics import Metrics
from bridge.web.app import build_app
from bridge.web.server.runner import make_runner
from bridge.web.sockets import socket as ws_socket
from bridge.web.sockets.session import Session
from tests.support.alive import alive_since_now
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.raw_ws import Dial
from tests.support.turns import until
from tests.support.ws_client import open_socket


async def store(bridge: BridgeApp, payloads: Sequence[bytes]) -> None:
    await bridge.log.append(
        bridge.topic, ToPartition(0), [NewMessage(each) for each in payloads], deadline=bridge.deadline()
    )


def session_of(bridge: BridgeApp) -> Session:
    """The only one there is."""
    (farewell, *_) = bridge.services.live_streams._farewells.values()
    session = farewell.__self__  # type: ignore[attr-defined]
    assert isinstance(session, Session)
    return session


async def test_a_reader_that_takes_nothing_holds_no_more_than_its_socket_and_misses_nothing(
    bridge: BridgeApp,
) -> None:
    payload, batches = b'"%s"' % (b"x" * 10_000), alive_since_now(RecordBatch)
    async with Dial(bridge.port) as dial:
        socket = await dial.open()
        await socket.say("subscribe", id="s", permits=100_000, **{"from": "first"})
        assert (await socket.frame()).told["op"] == "subscribed"
        session = session_of(bridge)
        for _ in range(20):
            await store(bridge, [payload] * 100)
        await until(lambda: session._socket.full)
        # 20 MB wait in the log, and not here.
        assert session._socket._transport.get_write_buffer_size() < 1024 * 1024
        assert all(batch.sequence for batch in batches()), "held of the log"
        # Nothing it says is heard before it has read.
        await socket.say("ping", id="late")
        told = [(await socket.frame()).told for _ in range(2000)]
        found = [each["message"]["offset"] for each in told if each["op"] == "message"]
        while len(found) < 2000:
            each = (await socket.frame()).told
            found += [each["message"]["offset"]] if each["op"] == "message" else []
        assert found == list(range(2000))


async def test_a_reader_that_takes_nothing_does_not_slow_another(bridge: BridgeApp) -> None:
    async with Dial(bridge.port) as dial, open_socket(bridge.session, bridge.base) as other:
        deaf = await dial.open()
        await deaf.say("subscribe", id="s", permits=100_000)
        await deaf.frame()
        await other.ask("subscribe", "subscribed", id="s", permits=100_000)
        for index in range(100):
            await store(bridge, [b'"%d%s"' % (index, b"x" * 100_000)])
            told = await other.hear("message")
            assert told["message"]["offset"] == index


async def test_a_socket_that_takes_nothing_for_long_is_cut_off(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws_socket, "LOOK_S", 0.002)
    monkeypatch.setattr(ws_socket, "LIVE_WRITE_TIMEOUT_S", 0.05)
    await store(bridge, [b"x" * 1_000_000] * 30)
    async with Dial(bridge.port) as dial:
        socket = await dial.open()
        await socket.say("subscribe", id="s", permits=100, **{"from": "first"})
        await socket.frame()
        await until(lambda: len(bridge.services.live_streams._farewells) == 2)
        await until(lambda: not bridge.services.live_streams._farewells)


async def test_a_socket_that_takes_nothing_does_not_hold_up_the_end(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws_socket, "WS_CLOSE_TIMEOUT_S", 0.01)
    await store(bridge, [b"x" * 1_000_000] * 30)
    async with Dial(bridge.port) as dial:
        socket = await dial.open()
        await socket.say("subscribe", id="s", permits=100, **{"from": "first"})
        session = session_of(bridge)
        await until(lambda: session._socket.full)
        # It is not heard any more, and so waits in the middle of what it says.
        await socket.say("ping")
        await until(lambda: session._socket._readable is None)
        await bridge.services.live_streams.say_farewell()
        await until(lambda: not bridge.services.live_streams._farewells)


async def test_a_window_of_publications_holds_the_client_back_and_loses_nothing(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.sockets.publishing.WS_PUBLISHES_MAX", 4)
    async with open_socket(bridge.session, bridge.base) as client:
        for index in range(500):
            await client.say("publish", id=str(index), payload=index, partition_id=0)
        told = [await client.hear("receipt") for _ in range(500)]
        assert [each["receipt"]["offset"] for each in told] == list(range(500))


# --- with a configuration or an appender of its own ---------------------------------------------------------------


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@asynccontextmanager
async def limited(directory: Path, metrics: Metrics, http: HttpConfig) -> AsyncIterator[BridgeApp]:
    async with bridge_app(directory, http=http) as app:
        yield app


async def test_each_publication_counts_as_a_request_and_what_is_too_much_is_told(
    tmp_path: Path, metrics: Metrics
) -> None:
    http = HttpConfig(rate_limit_rps=10, rate_limit_burst=5)
    async with (
        limited(tmp_path, metrics, http) as bridge,
        open_socket(bridge.session, bridge.base) as client,
    ):
        for index in range(30):
            await client.say("publish", id=str(index), payload=index, partition_id=0)
        told = [await client.hear("receipt", "error") for _ in range(30)]
        refused = [each for each in told if each["op"] == "error"]
        assert refused
        for each in refused:
            assert (each["problem"]["status"], each["problem"]["error"]) == (429, "rate_limited")
            assert each["problem"]["retry_after_ms"] >= 1
        # It is no fault: nobody is closed for it, and who is held back meanwhile gets through.
        assert len(told) - len(refused) >= 10
        page = await bridge.log.read(bridge.topic, 0, First(), count=100, deadline=bridge.deadline())
        assert len(page.messages) == len(told) - len(refused)


class Stuck:
    """An appender that never answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[TopicRef, Placement, int, Deadline]] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        self.asked.append((topic, placement, len(messages), deadline))
        await asyncio.Event().wait()
        raise AssertionError("never")


@asynccontextmanager
async def stuck(bridge: BridgeApp) -> AsyncIterator[tuple[Stuck, BridgeApp]]:
    """The same bridge with an appender that never answers."""
    appender = Stuck()
    services = replace(bridge.services, appender=appender)
    runner = await make_runner(build_app(services), services, shutdown_timeout_s=1)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield appender, replace(bridge, services=services, port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_what_is_cut_off_at_the_end_of_the_process_is_told_to_be_in_doubt(bridge: BridgeApp) -> None:
    async with stuck(bridge) as (appender, there), open_socket(there.session, there.base) as client:
        await client.say("publish", id="p", payload=1)
        await until(lambda: appender.asked)
        await there.services.live_streams.say_farewell()
        assert (await client.hear())["op"] == "bye"
        there.services.lifecycle.end_requests()
        told: dict[str, Any] = await client.hear("error")
        assert told["id"] == "p"
        assert (told["problem"]["status"], told["problem"]["outcome"]) == (503, "unknown")
        assert await client.code() == 1001


async def test_publications_have_the_time_that_the_request_asked_for(bridge: BridgeApp) -> None:
    async with stuck(bridge) as (appender, there):
        headers = {"X-Request-Timeout": "9000"}
        async with open_socket(there.session, there.base, headers=headers) as client:
            await client.say("publish", id="p", payload=1)
            await until(lambda: appender.asked)
            assert appender.asked[0][3].remaining_s() <= 9.0
            there.services.lifecycle.end_requests()
            assert await client.code() == 1001
