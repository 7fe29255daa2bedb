"""Worker pools under the default rate limit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import HttpConfig
from bridge.policy.limit_storage import BoundedMemoryStorage, LimitTables
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.clock import FakeClock
from tests.support.group_calls import fill, tokens
from tests.support.ws_client import open_socket

BASE = "/streams/sample-stream/topics/events/groups/workers"
MESSAGES = 300


@pytest.fixture
def clock() -> FakeClock:
    """Of the limits alone: nothing comes back by itself."""
    return FakeClock()


@pytest.fixture
async def bridge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[BridgeApp]:
    """With the limits that it has where nothing is configured."""
    table = BoundedMemoryStorage(clock, keys_max=100)
    async with bridge_app(tmp_path, http=HttpConfig(), limit_tables=LimitTables(table, table)) as app:
        yield app


async def test_four_workers_on_one_machine_have_every_ack_taken_and_nothing_delivered_again(
    bridge: BridgeApp, clock: FakeClock
) -> None:
    await fill(bridge, MESSAGES)
    counts: list[int] = []
    refused = {"receive": 0, "ack": 0}

    async def work() -> None:
        while len(counts) < MESSAGES:
            given = await bridge.call("POST", f"{BASE}/receive", {"count": 1, "visibility_ms": 600_000})
            if given.status == 429:
                refused["receive"] += 1
                # One request comes back.
                clock.advance(0.01)
                continue
            counts.extend(each["delivery_count"] for each in given.json["messages"])
            if given.json["messages"]:
                settled = await bridge.call("POST", f"{BASE}/ack", {"tokens": tokens(given)})
                refused["ack"] += settled.status != 200

    await asyncio.gather(*(work() for _ in range(4)))
    assert counts == [1] * MESSAGES
    assert refused["ack"] == 0
    assert refused["receive"] > 0


@pytest.mark.parametrize("verb", ["ack", "nack", "extend"])
async def test_settling_has_a_limit_of_its_own_and_says_so(bridge: BridgeApp, verb: str) -> None:
    order = {"tokens": ["00"]}
    settled = [await bridge.call("POST", f"{BASE}/{verb}", order) for _ in range(51)]
    assert [each.status for each in settled] == [400] * 50 + [429]
    assert settled[0].headers["RateLimit-Policy"] == '"settling";q=50;w=1'
    assert settled[0].headers["RateLimit"] == '"settling";r=49;t=1'
    assert settled[-1].headers["X-RateLimit-Remaining"] == "0"
    # And whoever settles too much may still ask for other things.
    other = await bridge.call("GET", "/streams")
    assert (other.status, other.headers["RateLimit"]) == (200, '"address";r=49;t=1')


async def test_a_socket_that_may_ask_for_nothing_more_can_still_settle(bridge: BridgeApp) -> None:
    await fill(bridge, 1)
    async with open_socket(bridge.session, bridge.base) as client:
        place = {"stream": bridge.topic.stream, "topic": bridge.topic.topic, "group": "workers"}
        await client.ask("subscribe", "subscribed", id="s", permits=10, **place)
        token = (await client.hear("message"))["message"]["token"]
        # Opening the socket and subscribing were two.
        for _ in range(48):
            assert (await bridge.call("GET", "/streams")).status == 200
        assert (await bridge.call("GET", "/streams")).status == 429
        settled = await client.ask("ack", "settled", id="a", subscription="s", tokens=[token])
        assert [each["outcome"] for each in settled["results"]] == ["done"]
