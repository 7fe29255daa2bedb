from typing import Any

import pytest

from tests.support.bridge_app import BridgeApp
from tests.support.ws_client import SocketClient, open_socket, store

GROUP: dict[str, Any] = {"id": "g", "group": "workers", "visibility_ms": 60_000}


async def messages(client: SocketClient, count: int) -> list[dict[str, Any]]:
    return [(await client.hear("message"))["message"] for _ in range(count)]


async def group(bridge: BridgeApp, path: str = "", method: str = "GET", body: Any = None) -> Any:
    place = f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/groups/workers"
    return (await bridge.call(method, place + path, body)).json


async def test_a_group_hands_out_each_message_once_and_acks_settle_it(bridge: BridgeApp) -> None:
    await store(bridge, *(b"%d" % index for index in range(20)))
    async with (
        open_socket(bridge.session, bridge.base) as one,
        open_socket(bridge.session, bridge.base) as other,
    ):
        seen = []
        for client in (one, other):
            subscribed = await client.ask("subscribe", "subscribed", **GROUP, permits=10)
            assert subscribed["group"] == "workers"
        for client in (one, other):
            told = await messages(client, 10)
            seen += [each["payload"] for each in told]
            assert {each["delivery_count"] for each in told} == {1}
            settled = await client.ask(
                "ack", "settled", id="a", subscription="g", tokens=[each["token"] for each in told]
            )
            assert (settled["id"], settled["subscription"], settled["done"]) == ("a", "g", 10)
        assert sorted(seen) == list(range(20))
    told = await group(bridge)
    assert (told["lag"], told["in_flight"]) == (0, 0)


async def test_a_message_is_shown_as_receive_shows_it(bridge: BridgeApp) -> None:
    await store(bridge, b'{"a":1}', partition_id=1)
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=1)
        (told,) = await messages(client, 1)
        await client.ask("nack", "settled", subscription="g", tokens=[told["token"]])
        (received,) = (await group(bridge, "/receive", "POST", {"wait_ms": 10_000}))["messages"]
        changing = ("token", "delivery_count", "lease_expires_at")
        assert told.keys() == received.keys()
        assert received["delivery_count"] == 2
        for name in changing:
            told.pop(name), received.pop(name)
        assert told == received


async def test_a_nacked_message_comes_again_where_there_is_a_permit(bridge: BridgeApp) -> None:
    await store(bridge, b"1")
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=1)
        (first,) = await messages(client, 1)
        await client.ask("nack", "settled", subscription="g", tokens=[first["token"]])
        await client.say("permit", subscription="g", count=1)
        (again,) = await messages(client, 1)
        assert (again["payload"], again["delivery_count"]) == (1, 2)
        assert again["token"] != first["token"]
        late = await client.ask("ack", "settled", subscription="g", tokens=[first["token"], again["token"]])
        assert [each["outcome"] for each in late["results"]] == ["expired", "done"]


async def test_a_lease_can_be_extended(bridge: BridgeApp) -> None:
    await store(bridge, b"1")
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=1)
        (told,) = await messages(client, 1)
        settled = await client.ask(
            "extend", "settled", subscription="g", tokens=[told["token"]], visibility_ms=600_000
        )
        (result,) = settled["results"]
        assert result["outcome"] == "done"
        assert result["lease_expires_at"] > told["lease_expires_at"]


async def test_what_a_client_leaves_unsettled_comes_again_at_once(bridge: BridgeApp) -> None:
    await store(bridge, b"1", b"2")
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=2)
        first, _ = await messages(client, 2)
        await client.ask("ack", "settled", subscription="g", tokens=[first["token"]])
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=10)
        (again,) = await messages(client, 1)
        assert (again["payload"], again["delivery_count"]) == (2, 2)


async def test_unsubscribing_gives_back_what_is_not_settled(bridge: BridgeApp) -> None:
    await store(bridge, b"1")
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=1)
        await messages(client, 1)
        ended = await client.ask("unsubscribe", "ended", subscription="g")
        assert (ended["reason"], ended["cursor"]) == ("unsubscribed", None)
        (received,) = (await group(bridge, "/receive", "POST", {"wait_ms": 10_000}))["messages"]
        assert (received["payload"], received["delivery_count"]) == (1, 2)


async def test_at_the_end_of_the_process_leases_go_on_and_acks_are_taken_elsewhere(bridge: BridgeApp) -> None:
    await store(bridge, b"1")
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=1)
        (told,) = await messages(client, 1)
        await bridge.services.live_streams.say_farewell()
        bye = await client.hear("bye")
        assert bye["subscriptions"] == [{"subscription": "g", "cursor": None}]
        assert await client.code() == 1001
    settled = await group(bridge, "/ack", "POST", {"tokens": [told["token"]]})
    assert settled["done"] == 1


async def test_a_message_that_comes_later_is_pushed(bridge: BridgeApp) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=5)
        await client.say("publish", id="p", payload=7)
        (told,) = await messages(client, 1)
        assert told["payload"] == 7


async def test_a_client_holds_no_more_unsettled_than_is_allowed(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.sockets.groups.WS_UNACKED_MAX", 3)
    await store(bridge, *(b"%d" % index for index in range(6)))
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=100)
        told = await messages(client, 3)
        await client.ask("ping", "pong")
        assert client.heard == []
        await client.ask("ack", "settled", subscription="g", tokens=[told[0]["token"]])
        (fourth,) = await messages(client, 1)
        assert fourth["payload"] == 3


async def test_settlements_that_wait_hold_the_client_back_and_are_all_answered(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.sockets.session.WS_CALLS_MAX", 1)
    await store(bridge, *(b"%d" % index for index in range(10)))
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=10)
        for index, each in enumerate(await messages(client, 10)):
            await client.say("ack", id=str(index), subscription="g", tokens=[each["token"]])
        told = [await client.hear("settled") for _ in range(10)]
        assert [(each["id"], each["done"]) for each in told] == [(str(index), 1) for index in range(10)]


@pytest.mark.parametrize(
    "fields,status,path",
    [
        ({"op": "subscribe", "id": "x", "permits": 1, "group": "_"}, 400, "$.group"),
        ({"op": "subscribe", "id": "x", "permits": 1, "group": "g" * 255}, 400, "$.group"),
        (
            {"op": "subscribe", "id": "x", "permits": 1, "group": "g", "stream": "no", "topic": "no"},
            404,
            None,
        ),
        ({"op": "ack", "subscription": "g", "tokens": ["secret"]}, 400, "$.tokens[0]"),
        ({"op": "ack", "subscription": "t", "tokens": ["secret"]}, 400, "$.subscription"),
        ({"op": "ack", "subscription": "nobody", "tokens": ["secret"]}, 404, "$.subscription"),
    ],
)
async def test_a_fault_is_told_where_it_is(
    bridge: BridgeApp, fields: dict[str, Any], status: int, path: str | None
) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("subscribe", "subscribed", **GROUP, permits=0)
        await client.ask("subscribe", "subscribed", id="t", permits=0)
        problem = await client.refused(**fields)
        assert (problem["status"], problem.get("path")) == (status, path)
        assert "secret" not in str(problem)


async def test_nobody_publishes_to_the_stream_in_which_groups_agree(bridge: BridgeApp) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        problem = await client.refused(
            op="publish", id="p", stream="bridge-groups", topic="ledger", payload=1
        )
        assert (problem["status"], problem["path"]) == (403, "$.stream")
