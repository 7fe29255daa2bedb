"""Claims of what a subscription holds, and gives later, while it may not send."""

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from bridge.flow.following.batches import RecordBatch
from tests.support.alive import alive_since_now
from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event
from tests.support.ws_client import SocketClient, messages, open_socket, shown, store


@pytest.fixture
async def client(bridge: BridgeApp) -> AsyncIterator[SocketClient]:
    async with open_socket(bridge.session, bridge.base) as opened:
        yield opened


async def _is_let_go(client: SocketClient, batches: Callable[[], list[RecordBatch]]) -> None:
    while any(not each.sequence for each in batches()):
        await client.ask("ping", "pong")


async def test_a_subscription_without_permits_holds_nothing_of_the_log(
    bridge: BridgeApp, client: SocketClient
) -> None:
    batches = alive_since_now(RecordBatch)
    await store(bridge, *(b"%d" % index for index in range(600)))
    await client.ask("subscribe", "subscribed", id="s", permits=1, **{"from": "first"})
    assert shown(await messages(client, 1)) == [0]
    await _is_let_go(client, batches)
    await client.say("permit", subscription="s", count=599)
    assert shown(await messages(client, 599)) == list(range(1, 600))
    await _is_let_go(client, batches)


async def test_permits_given_bit_by_bit_give_every_message_once_and_in_order(
    bridge: BridgeApp, client: SocketClient
) -> None:
    pieces = random.Random(5)
    for partition_id in range(3):
        await store(bridge, *(b"%d" % index for index in range(300)), partition_id=partition_id)
    await client.ask("subscribe", "subscribed", id="s", permits=0, **{"from": "first"})
    told: list[dict[str, Any]] = []
    while len(told) < 900:
        if len(told) == 450:
            await store(bridge, b"300", b"301", partition_id=1)
        count = min(pieces.choice([1, 2, 50, 250, 251]), (450 if len(told) < 450 else 902) - len(told))
        await client.say("permit", subscription="s", count=count)
        told += await messages(client, count)
    await client.say("permit", subscription="s", count=902 - len(told) + 5)
    told += await messages(client, 902 - len(told))
    for partition_id, end in enumerate((300, 302, 300)):
        found = [each["message"] for each in told if each["message"]["partition_id"] == partition_id]
        assert [each["offset"] for each in found] == list(range(end))


async def test_live_messages_wait_for_permits_that_come_one_by_one(
    bridge: BridgeApp, client: SocketClient
) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=1)
    seen = []
    for turn in range(4):
        await store(bridge, *(b"%d" % index for index in range(turn * 5, turn * 5 + 5)))
        for _ in range(8 if turn == 3 else 4):
            seen += await messages(client, 1)
            await client.say("permit", subscription="s", count=1)
    assert shown(seen) == list(range(20))


async def test_a_filter_holds_where_what_was_read_is_read_again(
    bridge: BridgeApp, client: SocketClient
) -> None:
    kinds = [user_event(event_type="a" if index % 3 else "b") for index in range(60)]
    await store(bridge, *map(orjson.dumps, kinds))
    await client.ask("subscribe", "subscribed", id="s", permits=0, event_type=["b"], **{"from": "first"})
    seen = []
    for _ in range(20):
        await client.say("permit", subscription="s", count=1)
        seen += await messages(client, 1)
    assert [each["message"]["offset"] for each in seen] == list(range(0, 60, 3))
    await client.ask("ping", "pong")
    assert not [each for each in client.heard if each["op"] == "message"]
