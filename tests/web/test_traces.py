"""The trace of who sends a message, on its way to who gets it."""

import json
from typing import Any

from structlog.testing import capture_logs

from tests.support.bridge_app import BridgeApp
from tests.support.events import generic_event, user_event
from tests.support.ws_client import open_socket

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "congo=t61rcWkgMzE"}


async def _sent(bridge: BridgeApp, path: str, body: Any, **headers: str) -> Any:
    answer = await bridge.call("POST", path, body, headers=CALLER | headers)
    assert answer.status == 201, answer.json
    return answer.json


async def _polled(bridge: BridgeApp, partition_id: int) -> list[Any]:
    page = await bridge.call("GET", f"/messages?partition_id={partition_id}&from=first&count=100")
    assert page.status == 200
    messages: list[Any] = page.json["messages"]
    return messages


async def test_a_message_carries_the_trace_of_the_request_that_sent_it(bridge: BridgeApp) -> None:
    event = user_event()
    sent = await _sent(bridge, "/messages", {"event": event, "partition_key": "k"})
    (message,) = await _polled(bridge, sent["partition_id"])
    assert message["event"] == event
    assert message["headers"] == CALLER


async def test_each_message_of_a_batch_carries_it(bridge: BridgeApp) -> None:
    events = [generic_event({"n": 1}) for _ in range(3)]
    sent = await _sent(bridge, "/messages/batch", {"events": events, "partition_key": "k"})
    messages = await _polled(bridge, sent[0]["partition_id"])
    assert [message["event"] for message in messages] == events
    assert [message["headers"] for message in messages] == [CALLER] * 3


async def test_raw_messages_and_lines_carry_it_beside_their_own_headers(bridge: BridgeApp) -> None:
    own = {"Message-Header-kind": "note"}
    await _sent(bridge, "/messages?partition_id=0", b"text", **own, **{"Content-Type": "text/plain"})
    await _sent(
        bridge, "/messages?partition_id=0", b'1\n{"a":2}\n', **own, **{"Content-Type": "application/x-ndjson"}
    )
    messages = await _polled(bridge, 0)
    assert [message["headers"] for message in messages] == [CALLER | {"kind": "note"}] * 3


async def test_a_trace_that_is_named_for_the_message_holds_against_that_of_the_request(
    bridge: BridgeApp,
) -> None:
    named = f"00-{'a' * 32}-{'b' * 16}-00"
    own = {"Message-Header-traceparent": named, "Content-Type": "text/plain"}
    await _sent(bridge, "/messages?partition_id=0", b"text", **own)
    (message,) = await _polled(bridge, 0)
    assert message["headers"] == {"traceparent": named}


async def test_the_state_of_one_trace_never_stands_beside_the_parent_of_another(bridge: BridgeApp) -> None:
    text = {"Content-Type": "text/plain"}
    own_state = {"Message-Header-tracestate": "own=1", "Message-Header-kind": "note"}
    stateless = {**CALLER}
    del stateless["tracestate"]
    await _sent(bridge, "/messages?partition_id=0", b"text", **own_state, **text)
    answer = await bridge.call(
        "POST", "/messages?partition_id=0", b"text", headers=stateless | own_state | text
    )
    assert answer.status == 201
    async with open_socket(bridge.session, bridge.base) as client:
        named = {"tracestate": "own=1", "kind": "note"}
        await client.ask("publish", "receipt", id="1", text="t", headers=named, partition_id=0, **stateless)
    first, second, third = await _polled(bridge, 0)
    assert first["headers"] == CALLER | {"kind": "note"}
    assert second["headers"] == third["headers"] == stateless | {"kind": "note"}


async def test_a_state_that_is_named_for_a_message_of_no_trace_is_a_header_as_any(bridge: BridgeApp) -> None:
    own = {"Message-Header-tracestate": "own=1", "Content-Type": "text/plain"}
    assert (await bridge.call("POST", "/messages?partition_id=0", b"text", headers=own)).status == 201
    (message,) = await _polled(bridge, 0)
    assert message["headers"] == {"tracestate": "own=1"}


async def test_a_copy_keeps_the_trace_of_the_first_message(bridge: BridgeApp) -> None:
    line = json.dumps({"payload": 1, "id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11", "headers": {}}).encode()
    await _sent(
        bridge,
        "/messages?partition_id=0&lines=messages",
        line,
        **{"Content-Type": "application/x-ndjson"},
    )
    (message,) = await _polled(bridge, 0)
    assert "traceparent" not in message["headers"]


async def test_a_broken_trace_is_as_none(bridge: BridgeApp) -> None:
    sent = await _sent(
        bridge, "/messages", {"event": user_event(), "partition_key": "k"}, traceparent="00-0-0-0"
    )
    (message,) = await _polled(bridge, sent["partition_id"])
    assert "headers" not in message


async def test_a_group_and_a_stream_of_events_give_it_back(bridge: BridgeApp) -> None:
    base = f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}"
    await _sent(bridge, "/messages", {"event": user_event(), "partition_key": "k"})
    received = await bridge.call("POST", f"{base}/groups/g/receive", {"count": 1, "wait_ms": 5000})
    assert received.status == 200, received.json
    assert received.json["messages"][0]["headers"] == CALLER
    live = {"Accept": "text/event-stream"}
    async with bridge.session.get(f"{bridge.base}/messages?from=first", headers=live) as stream:
        async for line in stream.content:
            if line.startswith(b"data: {") and b'"event"' in line:
                assert json.loads(line[len(b"data: ") :])["headers"] == CALLER
                break
        else:
            raise AssertionError("the stream ended without the message")


async def test_the_log_and_the_problem_name_the_trace(bridge: BridgeApp) -> None:
    with capture_logs() as lines:
        answer = await bridge.call("GET", "/streams/none-of-that-name", headers=CALLER)
    assert answer.status == 404
    assert answer.json["trace_id"] == TRACE
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["trace_id"] == TRACE


async def test_what_a_socket_publishes_carries_the_trace_it_names(bridge: BridgeApp) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("publish", "receipt", id="1", event=user_event(), partition_id=0, **CALLER)
        await client.ask(
            "publish", "receipt", id="2", text="t", headers={"kind": "x"}, partition_id=0, **CALLER
        )
        broken = {"traceparent": "none"}
        await client.ask("publish", "receipt", id="3", event=user_event(), partition_id=0, **broken)
    first, second, third = await _polled(bridge, 0)
    assert first["headers"] == CALLER
    assert second["headers"] == CALLER | {"kind": "x"}
    assert "headers" not in third


async def test_a_problem_on_a_socket_names_the_trace_of_its_publication_or_else_of_the_socket(
    bridge: BridgeApp,
) -> None:
    other = "a" * 32
    async with open_socket(bridge.session, bridge.base, headers=CALLER) as client:
        named = {"traceparent": f"00-{other}-00f067aa0ba902b7-01"}
        place = {"stream": bridge.topic.stream, "topic": "none"}
        at_once = await client.refused(op="publish", id="1", event={}, **named)
        later = await client.refused(op="publish", id="2", event=user_event(), **place, **named)
        without = await client.refused(op="publish", id="3", event=user_event(), **place)
        unread = await client.refused("no operation")
        subscribed = await client.refused(op="subscribe", id="4", permits=1, **place)
    found = [each.get("trace_id") for each in (at_once, later, without, unread, subscribed)]
    assert found == [other, other, TRACE, TRACE, TRACE]
    async with open_socket(bridge.session, bridge.base) as client:
        assert "trace_id" not in await client.refused("no operation")
