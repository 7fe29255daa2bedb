"""
Rows of `bridge.iggy.faults` made on a live server.

Not made here, for want of a way on one healthy node: Stale client, Invalid message timestamp delta, Too many streams,
Too many topics, Personal access token (expired), Incompatible binary protocol version, Not connected, Client shutdown,
Empty response, Request transiently not accepted or committed, Request already applied.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from apache_iggy import (
    AutoLogin,
    IggyClient,
    MaxTopicSize,
    SendMessage,
    TcpConfig,
    TcpReconnectionConfig,
    UserStatus,
)

from bridge.iggy import encoding
from bridge.iggy.address import parse_connection_string
from bridge.iggy.client import new_client
from bridge.iggy.faults import Operation, Verdict, explain
from bridge.limits import APPEND_BYTES_MAX
from bridge.messagelog import First, TopicRef
from tests.support.iggy_log import unique
from tests.support.iggy_server import IggyServer
from tests.support.tcp_proxy import fault_proxy

pytestmark = pytest.mark.iggy

Made = Callable[[IggyClient, TopicRef], Awaitable[Any]]


async def _client(address: str, username: str = "iggy", password: str = "iggy") -> IggyClient:
    client = new_client(parse_connection_string(f"iggy://{username}:{password}@{address}"), address)
    await client.connect()
    return client


async def _send(client: IggyClient, stream: str, topic: str, message: SendMessage) -> None:
    await client.send_messages(stream, topic, 0, [message])


async def _poll(client: IggyClient, topic: TopicRef, partition_id: int = 0) -> None:
    await client.send_binary_request(encoding.POLL, encoding.poll_request(topic, partition_id, First(), 1))


async def _made_message(payload: bytes, headers: dict[str, Any] | None = None) -> None:
    SendMessage(payload, headers)


MADE: tuple[tuple[Verdict, Made], ...] = (
    (Verdict.STREAM_MISSING, lambda c, _: c.delete_stream("none")),
    (Verdict.STREAM_MISSING, lambda c, _: c.create_topic("none", "t", 1)),
    (Verdict.STREAM_MISSING, lambda c, _: _poll(c, TopicRef("none", "t"))),
    (Verdict.TOPIC_MISSING, lambda c, t: c.delete_topic(t.stream, "none")),
    (Verdict.TOPIC_MISSING, lambda c, t: _poll(c, TopicRef(t.stream, "none"))),
    (Verdict.PARTITION_MISSING, lambda c, t: _poll(c, t, 7)),
    (Verdict.PLACE_MISSING, lambda c, t: c.send_messages(*t, 7, [SendMessage("x")])),
    (Verdict.PLACE_MISSING, lambda c, t: c.send_messages(t.stream, "none", 0, [SendMessage("x")])),
    (Verdict.PLACE_MISSING, lambda c, _: c.send_messages("none", "none", 0, [SendMessage("x")])),
    (
        Verdict.PLACE_MISSING,
        lambda c, t: c.send_binary_request(
            encoding.STORE_OFFSET, encoding.store_offset_request(t, 7, "me", 0)
        ),
    ),
    (
        Verdict.OFFSET_MISSING,
        lambda c, t: c.send_binary_request(
            encoding.DELETE_OFFSET, encoding.delete_offset_request(t, 0, "me")
        ),
    ),
    (
        Verdict.OFFSET_BEYOND_END,
        lambda c, t: c.send_binary_request(
            encoding.STORE_OFFSET, encoding.store_offset_request(t, 0, "me", 9)
        ),
    ),
    (Verdict.EXISTS, lambda c, t: c.create_stream(t.stream)),
    (Verdict.EXISTS, lambda c, t: c.create_topic(*t, 1)),
    (Verdict.MALFORMED, lambda c, t: c.create_topic(t.stream, "wide", 1001)),
    (Verdict.MALFORMED, lambda c, t: c.send_messages(*t, 0, [])),
    (
        Verdict.MALFORMED,
        lambda c, t: c.create_topic(
            t.stream, "small", 1, max_topic_size=MaxTopicSize.Custom(2**20), segment_size=2**21
        ),
    ),
    (Verdict.MALFORMED, lambda _, __: _made_message(b"")),
    (Verdict.MALFORMED, lambda _, __: _made_message(b"x", {"k": b"x" * 256})),
    (
        Verdict.MALFORMED,
        lambda _, __: _made_message(b"x", {f"{number:0255}": b"x" * 255 for number in range(250)}),
    ),
    (Verdict.TOO_LARGE, lambda _, __: _made_message(b"x" * 64_000_001)),
    (
        Verdict.BROKEN,
        lambda c, t: c.send_messages(*t, 0, [SendMessage(b"x" * (APPEND_BYTES_MAX // 2 + 10**6))] * 2),
    ),
)


@pytest.mark.parametrize("verdict, make", MADE)
async def test_a_text_of_the_live_server_is_understood(
    server: IggyServer, verdict: Verdict, make: Made
) -> None:
    client = await _client(server.address)
    topic = TopicRef(unique(), "events")
    await client.create_stream(topic.stream)
    await client.create_topic(*topic, 1)
    with pytest.raises((RuntimeError, ValueError)) as caught:
        await make(client, topic)
    assert explain(str(caught.value), Operation.SEND, write=True).verdict is verdict, str(caught.value)
    await (await _client(server.address)).delete_stream(topic.stream)


async def _text(awaitable: Awaitable[Any]) -> Verdict:
    with pytest.raises(RuntimeError) as caught:
        await awaitable
    return explain(str(caught.value), Operation.STREAM, write=True).verdict


async def test_credentials_and_permissions_are_understood(server: IggyServer) -> None:
    assert await _text(_client(server.address, "iggy", "wrong")) is Verdict.CREDENTIALS
    assert await _text(_client(server.address, "nobody", "wrong")) is Verdict.CREDENTIALS
    root = await _client(server.address)
    name = unique("u").replace("-", "")[:40]
    await root.create_user(name, "password", UserStatus.Active)
    limited = await _client(server.address, name, "password")
    assert await _text(limited.create_stream("not-allowed")) is Verdict.FORBIDDEN
    await root.delete_user(name)
    plain = IggyClient(
        TcpConfig(
            server_address=server.address,
            auto_login=AutoLogin.disabled(),
            reconnection=TcpReconnectionConfig(enabled=False),
        )
    )
    await plain.connect()
    assert await _text(plain.create_stream("not-logged-in")) is Verdict.LOGGED_OUT
    with pytest.raises(RuntimeError) as caught:
        await plain.login_user("ab", "wrong")
    assert explain(str(caught.value), Operation.STREAM, write=True).verdict is Verdict.CREDENTIALS


async def test_a_broken_and_a_missing_connection_are_understood(server: IggyServer) -> None:
    async with fault_proxy(server.address) as proxy:
        client = await _client(proxy.address)
        name = unique()
        proxy.lose_reply_to = name.encode()
        call = asyncio.ensure_future(client.create_stream(name))
        await proxy.swallowed.wait()
        proxy.lose_reply_to = None
        proxy.cut()
        assert await _text(call) in (Verdict.BROKEN, Verdict.UNREACHABLE)
        address = proxy.address
    assert await _text(_client(address)) is Verdict.UNREACHABLE
