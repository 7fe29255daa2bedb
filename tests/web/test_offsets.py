"""Stored offsets over HTTP: looked at with their lag, set, and forgotten."""

from typing import Any

import pytest

from bridge.messagelog import NewMessage, ToPartition, TopicRef
from tests.support.bridge_app import BridgeApp


@pytest.fixture
async def topic(bridge: BridgeApp) -> TopicRef:
    """Ten messages in partition 0, one in partition 1, none in partition 2."""
    for partition_id, count in ((0, 10), (1, 1)):
        await bridge.log.append(
            bridge.topic, ToPartition(partition_id), [NewMessage(b"x")] * count, deadline=bridge.deadline()
        )
    return bridge.topic


@pytest.fixture
def base(topic: TopicRef) -> str:
    return f"/streams/{topic.stream}/topics/{topic.topic}/consumers/billing/offsets"


def _rows(answer: Any) -> list[tuple[int, int | None, int, int]]:
    return [
        (row["partition_id"], row["offset"], row["current_offset"], row["lag"])
        for row in answer.json["partitions"]
    ]


async def _lag(bridge: BridgeApp, base: str) -> int:
    answer = await bridge.call("GET", base)
    assert answer.status == 200, answer.json
    lag: int = answer.json["lag"]
    return lag


async def test_a_consumer_that_stored_nothing_has_everything_before_it(
    bridge: BridgeApp, topic: TopicRef, base: str
) -> None:
    answer = await bridge.call("GET", base)
    assert answer.status == 200
    assert {key: answer.json[key] for key in ("consumer", "stream", "topic", "lag")} == {
        "consumer": "billing",
        "stream": topic.stream,
        "topic": topic.topic,
        "lag": 11,
    }
    assert _rows(answer) == [(0, None, 9, 10), (1, None, 0, 1), (2, None, 0, 0)]
    assert (await bridge.call("GET", f"{base}/2")).json == {
        "consumer": "billing",
        "stream": topic.stream,
        "topic": topic.topic,
        "partition_id": 2,
        "offset": None,
        "current_offset": 0,
        "lag": 0,
    }


async def test_an_offset_is_put_looked_at_and_forgotten(bridge: BridgeApp, base: str) -> None:
    for offset in (0, 9, 3):
        put = await bridge.call("PUT", f"{base}/0", {"offset": offset})
        assert put.status == 200
        assert (put.json["offset"], put.json["lag"]) == (offset, 9 - offset)
        assert (await bridge.call("GET", f"{base}/0")).json == put.json
    assert _rows(await bridge.call("GET", base)) == [(0, 3, 9, 6), (1, None, 0, 1), (2, None, 0, 0)]
    for _ in range(2):
        gone = await bridge.call("DELETE", f"{base}/0")
        assert (gone.status, gone.body) == (204, b"")
    assert (await bridge.call("GET", f"{base}/0")).json["offset"] is None


async def test_offsets_of_several_partitions_are_put_and_forgotten_together(
    bridge: BridgeApp, base: str
) -> None:
    body = {"offsets": [{"partition_id": 1, "offset": 0}, {"partition_id": 0, "offset": 4}]}
    put = await bridge.call("PUT", base, body)
    assert put.status == 200
    assert _rows(put) == [(0, 4, 9, 5), (1, 0, 0, 0)]
    answer = await bridge.call("GET", base)
    assert (_rows(answer), answer.json["lag"]) == ([(0, 4, 9, 5), (1, 0, 0, 0), (2, None, 0, 0)], 5)
    assert (await bridge.call("DELETE", base)).status == 204
    assert await _lag(bridge, base) == 11


async def test_the_next_poll_follows_the_offset_that_was_put(bridge: BridgeApp, base: str) -> None:
    await bridge.call("PUT", f"{base}/0", {"offset": 6})
    polled = await bridge.call("GET", "/messages?consumer=billing&partition_id=0&auto_commit=true")
    assert [message["offset"] for message in polled.json["messages"]] == [7, 8, 9]
    assert (await bridge.call("GET", f"{base}/0")).json["lag"] == 0


async def test_digits_name_a_consumer_by_its_id(bridge: BridgeApp, topic: TopicRef) -> None:
    base = f"/streams/{topic.stream}/topics/{topic.topic}/consumers/007/offsets"
    await bridge.call("GET", "/messages?consumer_id=7&partition_id=0&count=4&auto_commit=true")
    answer = await bridge.call("GET", f"{base}/0")
    assert (answer.json["consumer"], answer.json["offset"], answer.json["lag"]) == ("7", 3, 6)


async def test_a_purge_leaves_no_offset(bridge: BridgeApp, topic: TopicRef, base: str) -> None:
    await bridge.call("PUT", f"{base}/0", {"offset": 6})
    await bridge.call("POST", f"/streams/{topic.stream}/topics/{topic.topic}/purge")
    answer = await bridge.call("GET", base)
    assert (answer.json["lag"], _rows(answer)) == (0, [(number, None, 0, 0) for number in range(3)])


@pytest.mark.parametrize(
    "path, body, place",
    [
        ("/0", {"offset": 10}, "$.offset"),
        ("/2", {"offset": 0}, "$.offset"),
        ("/0", {"offset": -1}, "$.offset"),
        ("/0", {"offset": 2**63}, "$.offset"),
        ("/0", {"offset": "1"}, "$.offset"),
        ("/0", {"offset": None}, "$.offset"),
        ("/0", {"offset": 1, "force": True}, "$.force"),
        ("/0", {}, "$"),
        ("/0", b'{"offset": 1, "offset": 2}', "$"),
        ("/0", b"", None),
        ("/x", {"offset": 1}, "partition"),
        ("/-1", {"offset": 1}, "partition"),
        ("/4294967296", {"offset": 1}, "partition"),
        ("", {"offsets": []}, "$.offsets"),
        ("", {"offset": 1}, "$.offset"),
        ("", {"offsets": [{"partition_id": 0}]}, "$.offsets[0]"),
        ("", {"offsets": [{"partition_id": -1, "offset": 1}]}, "$.offsets[0].partition_id"),
        ("", {"offsets": [{"partition_id": 0, "offset": 1}] * 2}, "$.offsets[1].partition_id"),
        ("", {"offsets": [{"partition_id": 0, "offset": 1}] * 1001}, "$.offsets"),
        ("", {"offsets": [{"partition_id": 0, "offset": 1, "x": 1}]}, "$.offsets[0].x"),
        ("", b'{"offsets": [{"partition_id": 0, "offset": 1, "offset": 2}]}', "$"),
    ],
)
async def test_a_bad_offset_is_400_with_its_place(
    bridge: BridgeApp, base: str, path: str, body: Any, place: str | None
) -> None:
    answer = await bridge.call("PUT", base + path, body)
    assert (answer.status, answer.json.get("path")) == (400, place)
    assert await _lag(bridge, base) == 11


@pytest.mark.parametrize(
    "second, status, place",
    [
        ({"partition_id": 1, "offset": 1}, 400, "$.offsets[1].offset"),
        ({"partition_id": 2, "offset": 0}, 400, "$.offsets[1].offset"),
        ({"partition_id": 3, "offset": 0}, 404, "$.offsets[1].partition_id"),
    ],
)
async def test_of_several_offsets_with_a_bad_one_none_is_stored(
    bridge: BridgeApp, base: str, second: Any, status: int, place: str
) -> None:
    answer = await bridge.call("PUT", base, {"offsets": [{"partition_id": 0, "offset": 4}, second]})
    assert (answer.status, answer.json["path"]) == (status, place)
    assert await _lag(bridge, base) == 11


@pytest.mark.parametrize("method, body", [("GET", None), ("PUT", {"offset": 0}), ("DELETE", None)])
async def test_offsets_of_a_missing_place_are_404(
    bridge: BridgeApp, topic: TopicRef, method: str, body: Any
) -> None:
    for place in (f"missing-one/topics/{topic.topic}", f"{topic.stream}/topics/none"):
        answer = await bridge.call(method, f"/streams/{place}/consumers/billing/offsets/0", body)
        assert (answer.status, answer.json["error"]) == (404, "not_found")
        many = None if body is None else {"offsets": [{"partition_id": 0, "offset": 0}]}
        answer = await bridge.call(method, f"/streams/{place}/consumers/billing/offsets", many)
        assert (answer.status, answer.json["error"]) == (404, "not_found")
    path = f"/streams/{topic.stream}/topics/{topic.topic}/consumers/billing/offsets/3"
    assert (await bridge.call(method, path, body)).status == 404


@pytest.mark.parametrize("consumer", ["0", "1000000001", "9" * 400, "a b", "a..b", "%C2%B2", "a" * 256])
async def test_what_no_consumer_is_called_is_400(bridge: BridgeApp, topic: TopicRef, consumer: str) -> None:
    path = f"/streams/{topic.stream}/topics/{topic.topic}/consumers/{consumer.replace(' ', '%20')}/offsets"
    for method in ("GET", "DELETE"):
        answer = await bridge.call(method, path)
        assert (answer.status, answer.json["path"]) == (400, "consumer")


async def test_a_query_and_a_body_are_refused_where_none_is_taken(bridge: BridgeApp, base: str) -> None:
    for path in (base, f"{base}/0"):
        for method in ("GET", "PUT", "DELETE"):
            answer = await bridge.call(method, f"{path}?force=true")
            assert (answer.status, answer.json["path"]) == (400, "force")
        answer = await bridge.call("DELETE", path, {"offset": 1})
        assert (answer.status, answer.json["path"]) == (400, "$.offset")
        answer = await bridge.call("POST", path, {"offset": 1})
        assert answer.status == 405
        assert {"GET", "PUT", "DELETE"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
        head = await bridge.call("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        wrong = await bridge.call("PUT", path, b"{}", headers={"Content-Type": "text/plain"})
        assert (wrong.status, wrong.json["path"]) == (415, "Content-Type")
