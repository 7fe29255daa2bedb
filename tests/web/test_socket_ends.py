"""What a client of a WebSocket is told of its faults, and how sockets end."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from bridge.messagelog import First
from bridge.web.sockets.session import Session
from bridge.web.sockets.subscriptions import MessageForm
from tests.support.bridge_app import BridgeApp
from tests.support.ws_client import SocketClient, messages, open_socket, shown, store


@pytest.fixture
async def client(bridge: BridgeApp) -> AsyncIterator[SocketClient]:
    async with open_socket(bridge.session, bridge.base) as opened:
        yield opened


@pytest.mark.parametrize(
    "text,error,path",
    [
        ("", "serialization_error", None),
        ("{", "serialization_error", None),
        ("[]", "serialization_error", "$"),
        ('{"op":"shout","id":"x"}', "serialization_error", "$.op"),
        ('{"op":"ping","secret":1}', "serialization_error", "$.secret"),
        ('{"op":"ping","op":"ping"}', "serialization_error", "$"),
        ('{"op":"publish","payload":1}', "serialization_error", "$"),
        ('{"op":"publish","id":"x"}', "bad_request", "$"),
        ('{"op":"publish","id":"x","payload":1,"text":"a"}', "bad_request", "$.text"),
        ('{"op":"publish","id":"x","text":""}', "bad_request", "$.text"),
        ('{"op":"publish","id":"x","payload_base64":"?"}', "bad_request", "$.payload_base64"),
        ('{"op":"publish","id":"x","event":{"id":1}}', "serialization_error", "$.event.id"),
        ('{"op":"publish","id":"x","event":{},"headers":{}}', "bad_request", "$.headers"),
        ('{"op":"publish","id":"x","payload":1,"headers":{"":"a"}}', "bad_request", "$.headers"),
        ('{"op":"publish","id":"x","payload":1,"partition_key":""}', "bad_request", "$.partition_key"),
        ('{"op":"publish","id":"x","payload":1,"topic":"t"}', "bad_request", "$.stream"),
        ('{"op":"publish","id":"x","payload":1,"stream":"s","topic":"_"}', "bad_request", "$.topic"),
        ('{"op":"publish","id":"secret secret","payload":1}', "serialization_error", "$.id"),
        ('{"op":"subscribe","id":"x"}', "serialization_error", "$"),
        ('{"op":"subscribe","id":"x","permits":-1}', "serialization_error", "$.permits"),
        ('{"op":"subscribe","id":"x","permits":1,"cursor":"secret"}', "bad_request", "$.cursor"),
        ('{"op":"subscribe","id":"x","permits":1,"from":"secret"}', "bad_request", "$.from"),
        ('{"op":"subscribe","id":"x","permits":1,"from":"first","cursor":"a"}', "bad_request", "$.from"),
        ('{"op":"subscribe","id":"x","permits":1,"partitions":[]}', "serialization_error", "$.partitions"),
        ('{"op":"subscribe","id":"x","permits":1,"partitions":[1,1]}', "bad_request", "$.partitions"),
        ('{"op":"subscribe","id":"x","permits":1,"partitions":[77]}', "not_found", None),
        ('{"op":"subscribe","id":"x","permits":1,"visibility_ms":500}', "bad_request", "$.visibility_ms"),
        ('{"op":"subscribe","id":"x","permits":1,"group":"g","from":"first"}', "bad_request", "$.from"),
        ('{"op":"permit","subscription":"x","count":1}', "not_found", "$.subscription"),
        ('{"op":"unsubscribe","subscription":"x"}', "not_found", "$.subscription"),
    ],
)
async def test_a_fault_is_told_where_it_is_and_never_shows_what_was_sent(
    bridge: BridgeApp, client: SocketClient, text: str, error: str, path: str | None
) -> None:
    problem = await client.refused(text)
    assert (problem["error"], problem.get("path")) == (error, path)
    assert problem["request_id"]
    assert problem["instance"] == "/ws"
    assert not problem["retryable"]
    assert b"secret" not in orjson.dumps({**problem, "path": None}).replace(b"'secret'", b"")
    # The socket goes on.
    await client.ask("ping", "pong")
    assert bridge.services.lifecycle.draining is False


async def test_a_fault_names_the_operation_where_that_can_be_read(client: SocketClient) -> None:
    await client.ws.send_str('{"op":"publish","id":"p7","no":1}')
    assert (await client.hear("error"))["id"] == "p7"
    await client.ws.send_str('{"op":"publish","id":7}')
    assert (await client.hear("error"))["id"] is None


async def test_an_id_serves_one_subscription_at_a_time(client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=0)
    problem = await client.refused(op="subscribe", id="s", permits=0)
    assert (problem["status"], problem["path"]) == (400, "$.id")


async def test_subscriptions_of_a_socket_are_bounded(
    client: SocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.sockets.session.WS_SUBSCRIPTIONS_MAX", 2)
    for name in "ab":
        await client.ask("subscribe", "subscribed", id=name, permits=0)
    problem = await client.refused(op="subscribe", id="c", permits=0)
    assert problem["limit"] == 2
    await client.ask("unsubscribe", "ended", subscription="a")
    await client.ask("subscribe", "subscribed", id="c", permits=0)


async def test_permits_are_bounded(client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=1_000_000)
    problem = await client.refused(op="permit", subscription="s", count=1)
    assert (problem["path"], problem["limit"]) == ("$.count", 1_000_000)


# --- the end ------------------------------------------------------------------------------------------------------


async def test_at_the_end_of_the_process_everyone_is_told_where_to_go_on(
    bridge: BridgeApp, client: SocketClient
) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=100)
    await store(bridge, b"1", b"2")
    told = await messages(client, 2)
    await bridge.services.live_streams.say_farewell()
    bye = await client.hear("bye")
    # The word that event streams have for it, too.
    assert bye["reason"] == "shutdown"
    assert bye["subscriptions"] == [{"subscription": "s", "cursor": told[1]["cursor"]}]
    assert 0 < bye["retry_ms"] < 60_000
    assert await client.code() == 1001
    async with open_socket(bridge.session, bridge.base) as late:
        # The process of this test does not end: who comes after the farewell is told at once.
        assert (await late.hear())["op"] == "bye"
        assert await late.code() == 1001


async def test_what_is_being_published_at_the_end_is_answered_before_it(
    bridge: BridgeApp, client: SocketClient
) -> None:
    for index in range(50):
        await client.say("publish", id=str(index), payload=index, partition_id=0)
    await client.hear("receipt")
    await bridge.services.live_streams.say_farewell()
    assert await client.code() == 1001
    receipts = [each for each in client.heard if each["op"] == "receipt"]
    page = await bridge.log.read(bridge.topic, 0, First(), count=100, deadline=bridge.deadline())
    assert len(page.messages) == 1 + len(receipts)


async def test_a_client_that_closes_is_answered_in_kind(client: SocketClient) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=1)
    await client.ws.close(code=4321, message=b"enough")
    assert client.ws.close_code == 4321


async def test_two_clients_of_one_topic_each_get_every_message(bridge: BridgeApp) -> None:
    async with (
        open_socket(bridge.session, bridge.base) as one,
        open_socket(bridge.session, bridge.base) as other,
    ):
        for each in (one, other):
            await each.ask("subscribe", "subscribed", id="s", permits=1000)
        await asyncio.gather(*(store(bridge, b"%d" % index) for index in range(20)))
        for each in (one, other):
            assert sorted(shown(await messages(each, 20))) == list(range(20))


async def test_a_fault_of_our_own_closes_the_socket_and_tells_nothing(
    client: SocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Session, "_do", broken)
    await client.say("ping")
    assert await client.code() == 1011
    assert client.heard == []


async def test_a_subscription_that_fails_of_itself_ends_alone(
    bridge: BridgeApp, client: SocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ask("subscribe", "subscribed", id="s", permits=10)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(MessageForm, "pieces", broken)
    await store(bridge, b"1")
    ended = await client.hear("ended")
    assert (ended["reason"], ended["problem"]["error"]) == ("failed", "internal_error")
    assert "secret" not in str(ended)
    await client.ask("ping", "pong")
