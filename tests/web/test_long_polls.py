"""Reads that wait, on both logs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.messagelog import NewMessage, ToPartition, TopicRef
from tests.support.bridge_app import Answer, BridgeApp
from tests.support.events import user_event
from tests.support.long_polls import told_long_polls

LONG = "wait_ms=20000"


async def _store(bridge: BridgeApp, *payloads: bytes, partition_id: int = 0) -> None:
    """Past the bridge's own appender, as another bridge would."""
    for payload in payloads:
        await bridge.log.append(
            bridge.topic, ToPartition(partition_id), [NewMessage(payload=payload)], deadline=bridge.deadline()
        )


def _poll(bridge: BridgeApp, query: str) -> "asyncio.Task[Answer]":
    return asyncio.create_task(bridge.call("GET", f"/messages?{query}"))


def _texts(answer: Answer) -> list[Any]:
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["messages"])
    return [message.get("text") for message in answer.json["messages"]]


async def test_what_is_there_is_answered_at_once(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge, 0)
    await _store(bridge, b"a", b"b")
    assert _texts(await _poll(bridge, f"{LONG}&offset=0")) == ["a", "b"]
    assert _texts(await _poll(bridge, f"{LONG}&offset=1")) == ["b"]
    assert _texts(await _poll(bridge, f"{LONG}&from=last&count=1")) == ["b"]
    assert len(polls) == 0


@pytest.mark.parametrize("start", ["offset=1", "from=next&consumer=c", "from=first", "from=last", "time"])
async def test_a_message_ends_the_wait(bridge: BridgeApp, start: str) -> None:
    polls = told_long_polls(bridge)
    partition_id = 1 if start in {"from=first", "from=last"} else 0
    if not partition_id:
        await _store(bridge, b"before")
        await bridge.log.store_offset(bridge.topic, 0, "c", 0, deadline=bridge.deadline())
    if start == "time":
        page = await _poll(bridge, "offset=0")
        after = datetime.fromisoformat(page.json["messages"][0]["timestamp"]) + timedelta(microseconds=1)
        start = f"from={after.isoformat().replace('+', '%2B')}"
    waiting = _poll(bridge, f"{LONG}&{start}&partition_id={partition_id}")
    await polls.are(1)
    await _store(bridge, b"after", partition_id=partition_id)
    assert _texts(await waiting) == ["after"]
    assert len(polls) == 0


async def test_a_message_sent_through_the_bridge_ends_the_wait(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    waiting = [_poll(bridge, f"{LONG}&partition_id={each}") for each in range(3)]
    await polls.are(3)
    event = user_event()
    sent = await bridge.call("POST", "/messages", {"event": event})
    answer = await waiting[sent.json["partition_id"]]
    assert [message["event"]["id"] for message in answer.json["messages"]] == [event["id"]]
    assert len(polls) == 2
    bridge.services.tails.end_waits()
    await asyncio.gather(*waiting)


async def test_as_many_as_were_asked_for_are_waited_for(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    await _store(bridge, b"a")
    waiting = _poll(bridge, f"{LONG}&offset=0&min_count=3")
    await polls.are(1)
    await _store(bridge, b"b", b"c", b"d")
    assert _texts(await waiting)[:3] == ["a", "b", "c"]


async def test_when_the_time_is_up_there_is_what_there_is(bridge: BridgeApp) -> None:
    await _store(bridge, b"a")
    clock = bridge.services.clock
    begun_s = clock.monotonic_s()
    answer = await _poll(bridge, "wait_ms=150&offset=0&min_count=2")
    assert clock.monotonic_s() - begun_s >= 0.15
    assert _texts(answer) == ["a"]
    empty = await _poll(bridge, "wait_ms=50&offset=1")
    assert empty.json == {"messages": [], "count": 0, "partition_id": 0, "current_offset": 0}


async def test_a_wait_leaves_the_request_time_to_answer(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", f"/messages?{LONG}", headers={"X-Request-Timeout": "3000"})
    assert (answer.status, answer.json["count"]) == (200, 0)


async def test_a_time_to_come_is_waited_for_though_others_come_before(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+", "%2B")
    waiting = _poll(bridge, f"wait_ms=400&from={later}")
    await polls.are(1)
    await _store(bridge, b"early")
    assert _texts(await waiting) == []


async def test_an_offset_to_come_is_waited_for(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    waiting = _poll(bridge, f"{LONG}&offset=2")
    await polls.are(1)
    await _store(bridge, b"a", b"b", b"c")
    assert _texts(await waiting) == ["c"]


async def test_the_offset_is_stored_when_the_wait_has_brought_something(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    waiting = _poll(bridge, f"{LONG}&consumer=c&auto_commit=true")
    await polls.are(1)
    await _store(bridge, b"0", b"1")
    seen = _texts(await waiting)
    stored = await bridge.log.stored_offset(bridge.topic, 0, "c", deadline=bridge.deadline())
    assert stored is not None
    assert stored.offset == len(seen) - 1


async def test_a_client_that_leaves_ends_its_wait(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    host, port = bridge.base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /messages?wait_ms=20000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await polls.are(1)
    writer.transport.abort()
    await polls.are(0)


async def test_a_drain_ends_the_waits_with_what_there_is(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    await _store(bridge, b"a")
    waiting = _poll(bridge, f"{LONG}&offset=0&min_count=2")
    await polls.are(1)
    bridge.services.tails.end_waits()
    assert _texts(await waiting) == ["a"]
    assert _texts(await _poll(bridge, f"{LONG}&offset=1")) == []


async def test_those_who_wait_have_a_bound(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge, 1)
    waiting = _poll(bridge, LONG)
    await polls.are(1)
    answer = await _poll(bridge, LONG)
    assert (answer.status, answer.json["error"]) == (503, "overloaded")
    bridge.services.tails.end_waits()
    assert (await waiting).status == 200


async def test_a_topic_that_goes_ends_the_wait_with_404(bridge: BridgeApp) -> None:
    topic = TopicRef(bridge.topic.stream, "other")
    await bridge.log.create_topic(topic, partitions_count=1, deadline=bridge.deadline())
    polls = told_long_polls(bridge)
    waiting = asyncio.create_task(
        bridge.call("GET", f"/streams/{topic.stream}/topics/{topic.topic}/messages?{LONG}")
    )
    await polls.are(1)
    deleted = await bridge.call("DELETE", f"/streams/{topic.stream}/topics/{topic.topic}")
    assert deleted.status == 204
    assert (await waiting).status == 404


async def test_a_head_waits_for_nothing(bridge: BridgeApp) -> None:
    told_long_polls(bridge, 0)
    assert (await bridge.call("HEAD", f"/messages?{LONG}")).status == 200


@pytest.mark.parametrize(
    "query, path",
    [
        ("wait_ms=60001", "wait_ms"),
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=1s", "wait_ms"),
        ("wait_ms=1&min_count=0", "min_count"),
        ("wait_ms=1&min_count=11", "min_count"),
        ("wait_ms=1&count=3&min_count=4", "min_count"),
    ],
)
async def test_what_is_no_wait_is_refused(bridge: BridgeApp, query: str, path: str) -> None:
    answer = await _poll(bridge, query)
    assert (answer.status, answer.json["path"]) == (400, path)


async def test_lines_do_not_wait(bridge: BridgeApp) -> None:
    headers = {"Accept": "application/x-ndjson"}
    answer = await bridge.call("GET", "/messages?wait_ms=1", headers=headers)
    assert (answer.status, answer.json["path"]) == (400, "wait_ms")
