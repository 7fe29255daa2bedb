import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event


def _name() -> str:
    return f"n-{uuid.uuid4()}"


def _is_recent(text: str) -> bool:
    return abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_stream_lives_from_its_creation_to_its_deletion(bridge: BridgeApp) -> None:
    name = _name()
    created = await bridge.call("POST", "/streams", {"name": name})
    assert created.status == 201
    assert created.headers["Location"] == f"/streams/{name}"
    assert {key: created.json[key] for key in ("name", "topics_count", "size_bytes", "messages_count")} == {
        "name": name,
        "topics_count": 0,
        "size_bytes": 0,
        "messages_count": 0,
    }
    assert type(created.json["id"]) is int
    assert _is_recent(created.json["created_at"])
    assert (await bridge.call("GET", f"/streams/{name}")).json == created.json
    assert created.json in (await bridge.call("GET", "/streams")).json
    again = await bridge.call("POST", "/streams", {"name": name})
    assert (again.status, again.json["error"]) == (409, "already_exists")
    deleted = await bridge.call("DELETE", f"/streams/{name}")
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "DELETE"):
        gone = await bridge.call(method, f"/streams/{name}")
        assert (gone.status, gone.json["error"]) == (404, "not_found")


async def test_a_topic_lives_from_its_creation_to_its_deletion(bridge: BridgeApp) -> None:
    base = f"/streams/{bridge.topic.stream}/topics"
    stream_id = (await bridge.call("GET", f"/streams/{bridge.topic.stream}")).json["id"]
    created = await bridge.call("POST", base, {"name": "t", "partitions": 2})
    assert created.status == 201
    assert created.headers["Location"] == f"{base}/t"
    shown = created.json
    assert _is_recent(shown.pop("created_at"))
    assert type(shown.pop("id")) is int
    empty = {"current_offset": 0, "size_bytes": 0, "messages_count": 0}
    assert shown == {
        "name": "t",
        "stream_id": stream_id,
        "partitions_count": 2,
        "size_bytes": 0,
        "messages_count": 0,
        "durability": "persisted",
        "retention": {"max_age_seconds": None, "max_bytes": None},
        "partitions": [{"id": 0} | empty, {"id": 1} | empty],
    }
    listed = {topic["name"]: topic for topic in (await bridge.call("GET", base)).json}
    assert set(listed) == {"t", bridge.topic.topic}
    assert listed["t"]["partitions_count"] == 2
    again = await bridge.call("POST", base, {"name": "t"})
    assert (again.status, again.json["error"]) == (409, "already_exists")
    assert (await bridge.call("DELETE", f"{base}/t")).status == 204
    for method in ("GET", "DELETE"):
        assert (await bridge.call(method, f"{base}/t")).status == 404


async def test_a_topic_has_one_partition_unless_told(bridge: BridgeApp) -> None:
    created = await bridge.call("POST", f"/streams/{bridge.topic.stream}/topics", {"name": "t"})
    assert created.json["partitions_count"] == 1


async def test_a_topic_keeps_the_retention_it_was_given(bridge: BridgeApp) -> None:
    base = f"/streams/{bridge.topic.stream}/topics"
    order = {
        "name": "t",
        "durability": "persisted",
        "retention": {"max_age_seconds": 3600, "max_bytes": 10 * 2**30},
    }
    assert (await bridge.call("POST", base, order)).status == 201
    shown = (await bridge.call("GET", f"{base}/t")).json
    assert shown["retention"] == order["retention"]


async def test_counts_follow_what_is_sent(bridge: BridgeApp) -> None:
    events = [user_event() for _ in range(3)]
    sent = await bridge.call("POST", "/messages/batch", {"events": events})
    topic = (await bridge.call("GET", f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}")).json
    partition = topic["partitions"][sent.json[0]["partition_id"]]
    assert (partition["messages_count"], partition["current_offset"]) == (3, 2)
    assert topic["messages_count"] == 3
    stream = (await bridge.call("GET", f"/streams/{bridge.topic.stream}")).json
    assert (stream["topics_count"], stream["messages_count"]) == (1, 3)
    assert stream["size_bytes"] > 0


@pytest.mark.parametrize("partitions", [0, -1, 1001, "3", 1.5, None])
async def test_a_topic_has_1_to_1000_partitions(bridge: BridgeApp, partitions: Any) -> None:
    answer = await bridge.call(
        "POST", f"/streams/{bridge.topic.stream}/topics", {"name": "t", "partitions": partitions}
    )
    assert (answer.status, answer.json["path"]) == (400, "$.partitions")


@pytest.mark.parametrize(
    "body, path",
    [
        ({"name": "7"}, "$.name"),
        ({"name": "a b"}, "$.name"),
        ({"nam": "x"}, "$.nam"),
        ({}, "$"),
        ({"name": "x", "partitions": 3}, "$.partitions"),
    ],
)
async def test_a_bad_stream_is_400_with_its_place(bridge: BridgeApp, body: Any, path: str) -> None:
    answer = await bridge.call("POST", "/streams", body)
    assert (answer.status, answer.json["path"]) == (400, path)


async def test_topics_of_a_missing_stream_are_404(bridge: BridgeApp) -> None:
    for method, path, body in (
        ("GET", "/streams/missing-one/topics", None),
        ("POST", "/streams/missing-one/topics", {"name": "t"}),
        ("GET", "/streams/missing-one/topics/t", None),
        ("DELETE", "/streams/missing-one/topics/t", None),
    ):
        answer = await bridge.call(method, path, body)
        assert (answer.status, answer.json["error"]) == (404, "not_found"), path


async def test_another_method_is_405_with_those_that_there_are(bridge: BridgeApp) -> None:
    answer = await bridge.call("PUT", "/streams", {"name": "x"})
    assert (answer.status, answer.json["error"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].replace(" ", "").split(","))


async def test_a_query_is_refused_where_none_is_taken(bridge: BridgeApp) -> None:
    stream = f"/streams/{bridge.topic.stream}"
    for method, path in (
        ("GET", "/streams"),
        ("POST", "/streams"),
        ("GET", stream),
        ("DELETE", stream),
        ("GET", f"{stream}/topics"),
        ("POST", f"{stream}/topics"),
        ("GET", f"{stream}/topics/events"),
        ("DELETE", f"{stream}/topics/events"),
    ):
        answer = await bridge.call(method, f"{path}?force=true")
        assert (answer.status, answer.json["path"]) == (400, "force"), path


async def test_a_topic_says_what_an_acknowledgement_of_it_means(bridge: BridgeApp) -> None:
    path = f"/streams/{bridge.topic.stream}/topics"
    created = await bridge.call("POST", path, {"name": "t", "durability": "replicated"})
    # The embedded log always syncs, whatever it is asked for.
    meant = "persisted" if bridge.services.probe.health().kind == "local" else "replicated"
    assert created.json["durability"] == meant
    sent = await bridge.call("POST", f"{path}/t/messages", {"event": user_event()})
    assert sent.json["durability"] == meant
