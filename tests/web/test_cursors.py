"""Reads by cursor, on both logs."""

import asyncio
import json
from typing import Any

import pytest

from bridge.messagelog import NewMessage, ToPartition, TopicRef
from bridge.policy.cursors import Cursor
from tests.support.bridge_app import Answer, BridgeApp
from tests.support.long_polls import told_long_polls

LINES = {"Accept": "application/x-ndjson"}


async def _store(
    bridge: BridgeApp, partition_id: int, *payloads: bytes, topic: TopicRef | None = None
) -> None:
    for payload in payloads:
        await bridge.log.append(
            topic or bridge.topic,
            ToPartition(partition_id),
            [NewMessage(payload=payload)],
            deadline=bridge.deadline(),
        )


async def _poll(bridge: BridgeApp, cursor: str, more: str = "") -> Answer:
    answer = await bridge.call("GET", f"/messages?cursor={cursor}{more}")
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["messages"])
    return answer


def _seen(answer: Answer) -> list[tuple[int, int]]:
    return [(message["partition_id"], message["offset"]) for message in answer.json["messages"]]


async def _lines(bridge: BridgeApp, cursor: str, more: str = "") -> tuple[list[Any], str]:
    answer = await bridge.call("GET", f"/messages?cursor={cursor}{more}", headers=LINES)
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()], answer.headers["X-End-Cursor"]


async def test_following_the_cursors_gives_every_message_once_and_in_order(bridge: BridgeApp) -> None:
    for partition_id, count in enumerate((7, 0, 12)):
        await _store(bridge, partition_id, *(b"%d" % each for each in range(count)))
    cursor, seen = "first", []
    while True:
        answer = await _poll(bridge, cursor, "&count=4")
        if not answer.json["messages"]:
            break
        assert answer.json["gaps"] == []
        seen += _seen(answer)
        cursor = answer.json["next_cursor"]
    assert sorted(seen) == [(0, each) for each in range(7)] + [(2, each) for each in range(12)]
    for partition_id in range(3):
        offsets = [offset for found, offset in seen if found == partition_id]
        assert offsets == sorted(offsets)
    await _store(bridge, 1, b"later")
    assert _seen(await _poll(bridge, cursor)) == [(1, 0)]


async def test_messages_are_as_in_a_page(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b"text")
    page = await bridge.call("GET", "/messages?offset=0")
    (message,) = (await _poll(bridge, "first")).json["messages"]
    assert message == {"partition_id": 0} | page.json["messages"][0]


async def test_no_partition_keeps_others_from_their_share(bridge: BridgeApp) -> None:
    await _store(bridge, 0, *([b"x"] * 30))
    await _store(bridge, 2, b"y", b"y")
    first = await _poll(bridge, "first", "&count=10")
    assert [each for each, _ in _seen(first)].count(2) == 2
    assert len(_seen(first)) == 10


async def test_last_is_after_all_there_is(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b"before")
    answer = await _poll(bridge, "last")
    assert answer.json["messages"] == []
    await _store(bridge, 0, b"after")
    assert _seen(await _poll(bridge, answer.json["next_cursor"])) == [(0, 1)]


async def test_some_partitions_can_be_named_and_the_cursor_stays_with_them(bridge: BridgeApp) -> None:
    for partition_id in range(3):
        await _store(bridge, partition_id, b"a")
    answer = await _poll(bridge, "first", "&partitions=2,0")
    assert _seen(answer) == [(0, 0), (2, 0)] or _seen(answer) == [(2, 0), (0, 0)]
    cursor = answer.json["next_cursor"]
    for partition_id in range(3):
        await _store(bridge, partition_id, b"b")
    assert sorted(_seen(await _poll(bridge, cursor))) == [(0, 1), (2, 1)]
    assert sorted(_seen(await _poll(bridge, cursor, "&partitions=0,2"))) == [(0, 1), (2, 1)]
    refused = await bridge.call("GET", f"/messages?cursor={cursor}&partitions=0")
    assert (refused.status, refused.json["path"]) == (400, "partitions")


async def test_a_wait_is_for_all_partitions_together(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    start = (await _poll(bridge, "last")).json["next_cursor"]
    waiting = asyncio.create_task(_poll(bridge, start, "&wait_ms=20000&min_count=2"))
    await polls.are(1)
    await _store(bridge, 2, b"a")
    await _store(bridge, 1, b"b")
    answer = await waiting
    assert sorted(_seen(answer)) == [(1, 0), (2, 0)]
    later = await _poll(bridge, answer.json["next_cursor"], "&wait_ms=50")
    assert later.json["messages"] == []
    assert len(polls) == 0


async def test_a_drain_ends_the_wait_with_a_cursor_to_go_on_with(bridge: BridgeApp) -> None:
    polls = told_long_polls(bridge)
    waiting = asyncio.create_task(_poll(bridge, "last", "&wait_ms=20000"))
    await polls.are(1)
    bridge.services.tails.end_waits()
    cursor = (await waiting).json["next_cursor"]
    await _store(bridge, 0, b"a")
    assert _seen(await _poll(bridge, cursor)) == [(0, 0)]


async def test_a_cursor_beyond_the_end_tells_a_gap_and_starts_over(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b"a", b"b")
    cursor = bridge.services.cursors.token(Cursor(bridge.topic, ((0, 9), (1, 0), (2, 0))))
    answer = await _poll(bridge, cursor)
    assert _seen(answer) == [(0, 0), (0, 1)]
    assert answer.json["gaps"] == [{"partition_id": 0, "from_offset": 9, "to_offset": 0}]
    lines, _ = await _lines(bridge, cursor)
    assert [line.get("gap") or line["offset"] for line in lines] == [answer.json["gaps"][0], 0, 1]


@pytest.mark.parametrize("headers", [{}, LINES])
async def test_what_is_no_cursor_of_this_topic_is_refused(bridge: BridgeApp, headers: dict[str, str]) -> None:
    foreign = bridge.services.cursors.token(Cursor(("other", "topic"), ((0, 0),)))
    for token in ("", "abc", "first%20", foreign, "A" * 3900):
        answer = await bridge.call("GET", f"/messages?cursor={token}", headers=headers)
        assert (answer.status, answer.json["path"]) == (400, "cursor")


@pytest.mark.parametrize(
    "query, status, path",
    [
        ("cursor=first&offset=1", 400, "offset"),
        ("cursor=first&from=last", 400, "from"),
        ("cursor=first&partition_id=1", 400, "partition_id"),
        ("cursor=first&auto_commit=true", 400, "auto_commit"),
        ("cursor=first&partitions=", 400, "partitions"),
        ("cursor=first&partitions=0,,1", 400, "partitions"),
        ("cursor=first&partitions=" + ",".join(map(str, range(1001))), 400, "partitions"),
        ("cursor=first&partitions=3", 404, None),
        ("cursor=first&count=0", 400, "count"),
    ],
)
async def test_what_contradicts_a_cursor_is_refused(
    bridge: BridgeApp, query: str, status: int, path: str | None
) -> None:
    answer = await bridge.call("GET", f"/messages?{query}")
    assert (answer.status, answer.json.get("path")) == (status, path)


async def test_partitions_that_are_added_belong_to_a_cursor_of_all(bridge: BridgeApp) -> None:
    topic = TopicRef(bridge.topic.stream, "grows")
    path = f"/streams/{topic.stream}/topics/{topic.topic}"
    await bridge.log.create_topic(topic, partitions_count=1, deadline=bridge.deadline())
    first = await bridge.call("GET", f"{path}/messages?cursor=last")
    assert (await bridge.call("POST", f"{path}/partitions", {"count": 1})).status == 201
    await _store(bridge, 1, b"a", topic=topic)
    answer = await bridge.call("GET", f"{path}/messages?cursor={first.json['next_cursor']}")
    assert _seen(answer) == [(1, 0)]


async def test_lines_have_each_their_cursor_and_all_there_is(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b'{"a":\n1}', b"b\nc", b"d")
    await _store(bridge, 2, b"e")
    lines, end = await _lines(bridge, "first")
    assert [(line["partition_id"], line["offset"]) for line in lines] == [(0, 0), (0, 1), (0, 2), (2, 0)]
    assert lines[0]["payload"] == {"a": 1}
    assert lines[-1]["cursor"] == end
    for at, line in enumerate(lines):
        rest, _ = await _lines(bridge, line["cursor"])
        assert rest == lines[at + 1 :]
    polled = await _poll(bridge, lines[1]["cursor"])
    assert sorted(_seen(polled)) == [(0, 2), (2, 0)]
    assert await _lines(bridge, end) == ([], end)


async def test_lines_end_where_count_says(bridge: BridgeApp) -> None:
    await _store(bridge, 0, *([b"x"] * 5))
    await _store(bridge, 1, *([b"y"] * 5))
    lines, _ = await _lines(bridge, "first", "&count=7")
    assert len(lines) == 7
    rest, _ = await _lines(bridge, lines[-1]["cursor"])
    assert len(rest) == 3


async def test_lines_without_a_body_tell_where_they_would_end(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b"a")
    answer = await bridge.call("HEAD", "/messages?cursor=first", headers=LINES)
    assert (answer.status, answer.body) == (200, b"")
    assert await _lines(bridge, answer.headers["X-End-Cursor"]) == ([], answer.headers["X-End-Cursor"])


async def test_compressed_lines_are_the_same(bridge: BridgeApp) -> None:
    await _store(bridge, 0, b"a", b"b")
    plain, _ = await _lines(bridge, "first")
    answer = await bridge.call("GET", "/messages?cursor=first", headers=LINES | {"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert [json.loads(line) for line in answer.body.splitlines()] == plain
