"""What is open with a key ends with it: streams and sockets with a word, requests that wait with 401, and nobody comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import HttpConfig
from bridge.policy.limit_storage import BoundedMemoryStorage, LimitTables
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.clock import FakeClock
from tests.support.event_reader import EventReader, datas
from tests.support.events import generic_event
from tests.support.keys import owned_key, ring_of
from tests.support.turns import until
from tests.support.ws_client import open_socket

KEY, OTHER = owned_key(1), owned_key(2)
SHOWN: dict[str, Any] = {"headers": {"X-API-Key": KEY.text}}
T = "/streams/sample-stream/topics/events"


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeApp]:
    http = HttpConfig(rate_limit_rps=0, keys_file="keys.json")
    async with bridge_app(tmp_path, http=http, key_ring=ring_of(KEY, OTHER)) as app:
        yield app


def take_away(bridge: BridgeApp) -> None:
    """The key is taken out of the file, and a second passes."""
    ring = bridge.services.key_ring
    assert ring is not None
    ring.replace(filter(None, [ring.key(OTHER.stored.id)]))
    bridge.services.lifetimes.look()


async def test_an_event_stream_says_why_it_ends_and_does_not_come_back(bridge: BridgeApp) -> None:
    target = f"{bridge.base}/messages/stream?from=first"
    async with (
        EventReader(bridge.session, target, **SHOWN) as reader,
        EventReader(bridge.session, target, headers={"X-API-Key": OTHER.text}) as other,
    ):
        take_away(bridge)
        (bye,) = [each for each in await reader.rest() if each.type == "bye"]
        assert datas([bye])[0]["reason"] == "unauthorized"
        assert (await bridge.call("GET", "/messages/stream", **SHOWN)).status == 401
        body = {"event": generic_event("a")}
        answer = await bridge.call("POST", "/messages", body, headers={"X-API-Key": OTHER.text})
        assert answer.status == 201, answer.body
        assert [each.type for each in await other.events(1)] == ["message"]


async def test_a_socket_says_good_bye_and_closes_with_1008(bridge: BridgeApp) -> None:
    async with open_socket(bridge.session, bridge.base, **SHOWN) as client:
        await client.ask("subscribe", "subscribed", id="a", permits=10, **{"from": "first"})
        take_away(bridge)
        bye = await client.hear("bye")
        assert bye["reason"] == "unauthorized"
        assert await client.code() == 1008


@pytest.mark.parametrize(
    "method,path,body",
    [
        ("GET", "/messages?wait_ms=30000&from=last", None),
        ("GET", "/messages?wait_ms=30000&cursor=last", None),
        ("POST", f"{T}/groups/g/receive", {"wait_ms": 30000}),
    ],
)
async def test_a_request_that_waits_gets_401(
    bridge: BridgeApp, method: str, path: str, body: dict[str, Any] | None
) -> None:
    waiting = asyncio.create_task(bridge.call(method, path, body, **SHOWN))
    await until(lambda: len(bridge.services.long_polls) == 1)
    take_away(bridge)
    answer = await waiting
    assert (answer.status, answer.json["error"]) == (401, "unauthorized")


async def test_an_upload_that_is_cut_off_says_how_far_it_came(bridge: BridgeApp) -> None:
    begun = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"a":1}\n'
        begun.set()
        await asyncio.Event().wait()

    headers = {"X-API-Key": KEY.text, "Content-Type": "application/x-ndjson"}
    request = bridge.session.post(f"{bridge.base}/messages", data=lines(), headers=headers)
    waiting = asyncio.ensure_future(request)
    await begun.wait()
    await until(lambda: len(bridge.services.bulk_writes) == 1)
    take_away(bridge)
    async with await waiting as answer:
        told = await answer.json(content_type=None)
    assert (answer.status, told["error"], told["resume_line"] >= 1) == (401, "unauthorized", True)


async def test_what_comes_over_a_socket_counts_by_its_key(tmp_path: Path) -> None:
    http = HttpConfig(rate_limit_rps=0, keys_file="keys.json")
    slow, small = owned_key(3, requests_per_s=1, burst=2), owned_key(4, bytes_per_s=10)
    # Its clock stands still: nothing comes back by itself.
    table = BoundedMemoryStorage(FakeClock(), keys_max=100)
    tables, ring = LimitTables(table, table), ring_of(slow, small)
    async with bridge_app(tmp_path, http=http, key_ring=ring, limit_tables=tables) as app:
        async with open_socket(app.session, app.base, headers={"X-API-Key": slow.text}) as client:
            await client.ask("publish", "receipt", id="1", event=generic_event("a"))
            told = await client.refused(op="publish", id="2", event=generic_event("b"))
            assert (told["error"], told["detail"]) == ("rate_limited", "Too many requests with this key.")
        async with open_socket(app.session, app.base, headers={"X-API-Key": small.text}) as client:
            await client.ask("ping", "pong", id="1")
            told = await client.refused(op="ping", id="2")
            assert told["detail"] == "Too many bytes with this key."
