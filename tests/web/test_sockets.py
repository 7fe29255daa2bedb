import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from bridge.messagelog import First
from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event as event
from tests.support.ws_client import SocketClient, messages, open_socket, shown, store


@pytest.fixture
async def client(bridge: BridgeApp) -> AsyncIterator[SocketClient]:
    async with open_socket(bridge.session, bridge.base) as opened:
        yield opened


# --- publish ------------------------------------------------------------------------------------------------------


async def test_a_receipt_says_what_the_answer_to_a_post_says(bridge: BridgeApp, client: SocketClient) -> None:
    sent = event()
    told = await client.ask("publish", "receipt", id="p1", event=sent, partition_key="k")
    posted = (await bridge.call("POST", "/messages", {"event": event(), "partition_key": "k"})).json
    assert told["id"] == "p1"
    receipt = told["receipt"]
    assert receipt.keys() == posted.keys()
    assert receipt["event_id"] == sent["id"]
    same = ("success", "stream", "topic", "partition_id", "durability")
    assert {name: receipt[name] for name in same} == {name: posted[name] for name in same}
    assert posted["offset"] == receipt["offset"] + 1


async def test_what_is_published_is_stored_byte_for_byte(bridge: BridgeApp, client: SocketClient) -> None:
    text = orjson.dumps(event()).replace(b":", b" : ", 1).decode()
    await client.ws.send_str('{"op":"publish","id":"p","event":' + text + ',"partition_id":1}')
    receipt = (await client.hear("receipt"))["receipt"]
    page = await bridge.log.read(bridge.topic, 1, First(), count=10, deadline=bridge.deadline())
    assert [message.payload for message in page.messages] == [text.encode()]
    assert (receipt["partition_id"], receipt["offset"]) == (1, 0)


@pytest.mark.parametrize(
    "given,stored",
    [
        ({"payload": {"a": [1, None]}}, b'{"a":[1,null]}'),
        ({"payload": None}, b"null"),
        ({"text": "für"}, "für".encode()),
        ({"payload_base64": base64.b64encode(b"\x00\xff").decode()}, b"\x00\xff"),
    ],
)
async def test_what_is_no_event_is_stored_as_it_is_with_its_headers(
    bridge: BridgeApp, client: SocketClient, given: dict[str, Any], stored: bytes
) -> None:
    told = await client.ask("publish", "receipt", id="p", **given, headers={"kind": "x"}, partition_id=0)
    page = await bridge.log.read(bridge.topic, 0, First(), count=10, deadline=bridge.deadline())
    assert [(message.payload, dict(message.headers)) for message in page.messages] == [
        (stored, {"kind": "x"})
    ]
    assert told["id"] == "p"
    assert told["receipt"]["id"] == str(UUID(int=page.messages[0].id))


async def test_messages_of_one_key_are_stored_in_the_order_they_were_published(
    bridge: BridgeApp, client: SocketClient
) -> None:
    for index in range(600):
        await client.say("publish", id=str(index), payload=index, partition_key="one key")
    told = [await client.hear("receipt") for _ in range(600)]
    assert [each["id"] for each in told] == [str(index) for index in range(600)]
    receipts = [each["receipt"] for each in told]
    assert [receipt["offset"] for receipt in receipts] == list(range(600))
    (partition_id,) = {receipt["partition_id"] for receipt in receipts}
    page = await bridge.log.read(bridge.topic, partition_id, First(), count=600, deadline=bridge.deadline())
    assert [message.payload for message in page.messages] == [b"%d" % index for index in range(600)]


async def test_what_was_acknowledged_is_there_when_the_client_leaves_in_the_middle(
    bridge: BridgeApp, client: SocketClient
) -> None:
    for index in range(200):
        await client.say("publish", id=str(index), payload=index, partition_id=0)
    first = await client.hear("receipt")
    await client.ws.close()
    page = await bridge.log.read(bridge.topic, 0, First(), count=1000, deadline=bridge.deadline())
    stored = [int(message.payload) for message in page.messages]
    assert first["receipt"]["offset"] < len(stored)
    assert stored == list(range(len(stored)))


async def test_what_cannot_be_stored_is_told_with_its_outcome(client: SocketClient) -> None:
    problem = await client.refused(op="publish", id="p", stream="nowhere", topic="t", payload=1)
    assert (problem["status"], problem["error"], problem["instance"]) == (404, "not_found", "/ws")
    assert problem["request_id"]


# --- subscribe ----------------------------------------------------------------------------------------------------


async def test_a_subscription_begins_with_what_comes_next(bridge: BridgeApp, client: SocketClient) -> None:
    await store(bridge, b"1")
    subscribed = await client.ask("subscribe", "subscribed", id="s", permits=10)
    assert subscribed["cursor"]
    await store(bridge, b"2")
    (told,) = await messages(client, 1)
    assert told["subscription"] == "s"
    assert told["message"]["payload"] == 2
    assert (told["message"]["partition_id"], told["message"]["offset"]) == (0, 1)


async def test_a_message_is_shown_as_a_poll_shows_it(bridge: BridgeApp, client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=10)
    await client.ask("publish", "receipt", id="p", event=event(), partition_id=2)
    (told,) = client.heard or await messages(client, 1)
    polled = (await bridge.call("GET", "/messages?partition_id=2&from=first")).json["messages"][0]
    assert told["message"] == {"partition_id": 2, **polled}


async def test_every_message_of_every_partition_comes_once_and_in_order(
    bridge: BridgeApp, client: SocketClient
) -> None:
    for partition_id in range(3):
        await store(bridge, *(b"%d" % index for index in range(400)), partition_id=partition_id)
    await client.ask("subscribe", "subscribed", id="s", permits=10_000, **{"from": "first"})
    await store(bridge, b"400", partition_id=1)
    told = await messages(client, 1201)
    for partition_id, count in ((0, 400), (1, 401), (2, 400)):
        found = [each["message"] for each in told if each["message"]["partition_id"] == partition_id]
        assert [each["payload"] for each in found] == list(range(count))
        assert [each["offset"] for each in found] == list(range(count))


async def test_nothing_is_sent_without_a_permit(bridge: BridgeApp, client: SocketClient) -> None:
    await store(bridge, *(b"%d" % index for index in range(50)))
    await client.ask("subscribe", "subscribed", id="s", permits=0, **{"from": "first"})
    await client.ask("ping", "pong")
    await client.say("permit", subscription="s", count=3)
    assert shown(await messages(client, 3)) == [0, 1, 2]
    await client.ask("ping", "pong", id="n")
    assert client.heard == []
    await client.say("permit", subscription="s", count=2)
    assert shown(await messages(client, 2)) == [3, 4]
    await client.ask("ping", "pong")
    assert client.heard == []


async def test_permits_hold_for_live_messages_too(bridge: BridgeApp, client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=2)
    await store(bridge, *(b"%d" % index for index in range(5)))
    assert shown(await messages(client, 2)) == [0, 1]
    await client.ask("ping", "pong")
    assert client.heard == []
    await store(bridge, b"5")
    await client.say("permit", subscription="s", count=100)
    assert shown(await messages(client, 4)) == [2, 3, 4, 5]


async def test_the_cursor_of_a_message_is_where_the_next_subscription_goes_on(
    bridge: BridgeApp, client: SocketClient
) -> None:
    for partition_id in range(3):
        await store(bridge, *(b"%d" % index for index in range(5)), partition_id=partition_id)
    await client.ask("subscribe", "subscribed", id="s", permits=100, **{"from": "first"})
    told = await messages(client, 15)
    places = [(each["message"]["partition_id"], each["message"]["offset"]) for each in told]
    for seen in (1, 7, 14):
        name = f"s{seen}"
        await client.ask("subscribe", "subscribed", id=name, permits=100, cursor=told[seen - 1]["cursor"])
        rest = await messages(client, 15 - seen)
        found = [(each["message"]["partition_id"], each["message"]["offset"]) for each in rest]
        assert sorted(places[:seen] + found) == sorted(places)
        assert {each["subscription"] for each in rest} == {name}


async def test_partitions_can_be_named(bridge: BridgeApp, client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=100, partitions=[2, 1])
    for partition_id in range(3):
        await store(bridge, b"%d" % partition_id, partition_id=partition_id)
    assert sorted(shown(await messages(client, 2))) == [1, 2]
    await client.ask("ping", "pong")
    assert client.heard == []


async def test_only_events_of_the_types_asked_for_come_and_the_cursor_moves_past_the_rest(
    bridge: BridgeApp, client: SocketClient
) -> None:
    wanted, other = event(event_type="a"), event(event_type="b")
    await client.ask("subscribe", "subscribed", id="s", permits=1, event_type=["a"])
    await store(bridge, orjson.dumps(other), b"null")
    progress = await client.hear("progress")
    await store(bridge, orjson.dumps(other), orjson.dumps(wanted))
    (told,) = await messages(client, 1)
    assert told["message"]["event"]["id"] == wanted["id"]
    assert told["message"]["offset"] == 3
    await client.ask("subscribe", "subscribed", id="again", permits=10, cursor=progress["cursor"])
    assert [each["message"]["offset"] for each in await messages(client, 2)] == [2, 3]


async def test_an_ended_subscription_says_where_it_stands_and_sends_nothing_more(
    bridge: BridgeApp, client: SocketClient
) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=100)
    await store(bridge, b"1")
    (told,) = await messages(client, 1)
    await client.say("unsubscribe", subscription="s", id="u")
    ended = await client.hear()
    assert ended == {
        "op": "ended", "id": "u", "subscription": "s", "reason": "unsubscribed", "cursor": told["cursor"]
    }  # fmt: skip
    await store(bridge, b"2")
    await client.ask("subscribe", "subscribed", id="s", permits=100, cursor=told["cursor"])
    assert shown(await messages(client, 1)) == [2]


async def test_a_subscription_whose_topic_is_deleted_ends(bridge: BridgeApp, client: SocketClient) -> None:
    place = f"/streams/{bridge.topic.stream}/topics"
    await bridge.call("POST", place, {"name": "short-lived"})
    await client.ask(
        "subscribe", "subscribed", id="s", permits=1, stream=bridge.topic.stream, topic="short-lived"
    )
    await bridge.call("DELETE", f"{place}/short-lived")
    bridge.services.tails.suspect(bridge.topic._replace(topic="short-lived"))
    ended = await client.hear("ended")
    assert (ended["reason"], ended["problem"]["status"]) == ("gone", 404)
    problem = await client.refused(op="permit", subscription="s", count=1)
    assert problem["status"] == 404


async def test_two_subscriptions_of_a_socket_have_their_own_permits(
    bridge: BridgeApp, client: SocketClient
) -> None:
    await client.ask("subscribe", "subscribed", id="none", permits=0)
    await client.ask("subscribe", "subscribed", id="some", permits=5)
    await store(bridge, b"1", b"2")
    told = await messages(client, 2)
    assert [each["subscription"] for each in told] == ["some", "some"]


async def test_a_cursor_of_some_partitions_is_of_those_alone(bridge: BridgeApp, client: SocketClient) -> None:
    begun = await client.ask("subscribe", "subscribed", id="s", permits=0, partitions=[0, 2])
    for partition_id in range(3):
        await store(bridge, b"%d" % partition_id, partition_id=partition_id)
    problem = await client.refused(op="subscribe", id="t", permits=1, cursor=begun["cursor"], partitions=[0])
    assert (problem["status"], problem["path"]) == (400, "$.partitions")
    for name, more in (("named", {"partitions": [2, 0]}), ("unnamed", {})):
        await client.ask("subscribe", "subscribed", id=name, permits=10, cursor=begun["cursor"], **more)
        assert sorted(shown(await messages(client, 2))) == [0, 2]


async def test_a_cursor_of_all_partitions_serves_for_some(bridge: BridgeApp, client: SocketClient) -> None:
    begun = await client.ask("subscribe", "subscribed", id="s", permits=0)
    for partition_id in range(3):
        await store(bridge, b"%d" % partition_id, partition_id=partition_id)
    await client.ask("subscribe", "subscribed", id="t", permits=10, cursor=begun["cursor"], partitions=[1])
    assert shown(await messages(client, 1)) == [1]


async def test_a_cursor_of_another_topic_is_none_here(bridge: BridgeApp, client: SocketClient) -> None:
    place = f"/streams/{bridge.topic.stream}/topics"
    await bridge.call("POST", place, {"name": "other"})
    other = {"stream": bridge.topic.stream, "topic": "other"}
    begun = await client.ask("subscribe", "subscribed", id="s", permits=0, **other)
    problem = await client.refused(op="subscribe", id="t", permits=0, cursor=begun["cursor"])
    assert (problem["status"], problem["path"]) == (400, "$.cursor")


async def test_a_subscription_can_begin_at_a_time(bridge: BridgeApp, client: SocketClient) -> None:
    await store(bridge, b"1", b"2")
    await client.ask("subscribe", "subscribed", id="s", permits=10, **{"from": "2020-01-01T00:00:00Z"})
    assert shown(await messages(client, 2)) == [1, 2]
    await client.ask("subscribe", "subscribed", id="t", permits=10, **{"from": "2120-01-01T00:00:00+02:00"})
    await client.ask("ping", "pong")
    assert client.heard == []


async def test_a_reader_of_a_topic_that_is_purged_is_told_and_goes_on(
    bridge: BridgeApp, client: SocketClient
) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=100)
    await store(bridge, b"1", b"2", b"3")
    told = await messages(client, 3)
    purge = f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/purge"
    assert (await bridge.call("POST", purge)).status == 204
    await store(bridge, b"4")
    gap = await client.hear("gap")
    assert (gap["subscription"], gap["partition_id"], gap["from_offset"]) == ("s", 0, 3)
    assert gap["to_offset"] == 0
    assert shown(await messages(client, 1)) == [4]
    # Who comes with a cursor of before is told as well.
    await client.ask("subscribe", "subscribed", id="t", permits=100, cursor=told[-1]["cursor"])
    assert (await client.hear("gap"))["to_offset"] == 0
    assert shown(await messages(client, 1)) == [4]
