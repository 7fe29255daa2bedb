"""Topics over HTTP that are emptied, kept for longer or shorter, and given more partitions."""

import asyncio
from typing import Any

import pytest

from bridge.background.watches import tidy_figures
from bridge.config import HttpConfig
from bridge.flow.following.batches import RecordBatch
from bridge.flow.following.fan_out import Sink
from bridge.messagelog import First, NewMessage, ToPartition, TopicRef, partition_of_key
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import user_event

GIB = 2**30


@pytest.fixture
def base(bridge: BridgeApp) -> str:
    return f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}"


async def fill(bridge: BridgeApp) -> None:
    for partition_id in range(2):
        await bridge.log.append(
            bridge.topic, ToPartition(partition_id), [NewMessage(b"old")] * 3, deadline=bridge.deadline()
        )


async def test_a_purged_topic_is_empty_and_goes_on_from_0(bridge: BridgeApp, base: str) -> None:
    made = (await bridge.call("GET", base)).json
    await fill(bridge)
    purged = await bridge.call("POST", f"{base}/purge")
    assert (purged.status, purged.body) == (204, b"")
    assert (await bridge.call("GET", base)).json == made
    polled = await bridge.call("GET", f"{base}/messages?from=first")
    assert (polled.json["messages"], polled.json["current_offset"]) == ([], 0)
    sent = await bridge.call("POST", f"{base}/messages", {"event": user_event(), "partition_key": "k"})
    assert sent.json["offset"] == 0
    polled = await bridge.call("GET", f"{base}/messages?from=first&partition_id={sent.json['partition_id']}")
    assert [message["offset"] for message in polled.json["messages"]] == [0]


@pytest.mark.parametrize("body", [b"", b"{}", b" { } "])
async def test_a_purge_takes_an_empty_body_only(bridge: BridgeApp, base: str, body: bytes) -> None:
    assert (await bridge.call("POST", f"{base}/purge", body)).status == 204


@pytest.mark.parametrize(
    "body, content_type, status, path",
    [
        (b'{"partition_id": 0}', "application/json", 400, "$.partition_id"),
        (b"[]", "application/json", 400, "$"),
        (b"{", "application/json", 400, None),
        (b"{}", "text/plain", 415, "Content-Type"),
    ],
)
async def test_a_purge_with_anything_in_its_body_removes_nothing(
    bridge: BridgeApp, base: str, body: bytes, content_type: str, status: int, path: str | None
) -> None:
    await fill(bridge)
    answer = await bridge.call("POST", f"{base}/purge", body, headers={"Content-Type": content_type})
    assert (answer.status, answer.json.get("path")) == (status, path)
    assert (await bridge.call("GET", base)).json["messages_count"] == 6


async def test_retention_is_replaced_in_the_shape_it_has_at_creation(bridge: BridgeApp, base: str) -> None:
    await fill(bridge)
    for given, told in (
        ({"max_age_seconds": 3600, "max_bytes": 2 * GIB}, {"max_age_seconds": 3600, "max_bytes": 2 * GIB}),
        ({"max_bytes": 3 * GIB}, {"max_age_seconds": None, "max_bytes": 3 * GIB}),
        ({"max_age_seconds": 60, "max_bytes": None}, {"max_age_seconds": 60, "max_bytes": None}),
        ({}, {"max_age_seconds": None, "max_bytes": None}),
    ):
        answer = await bridge.call("PATCH", base, {"retention": given})
        assert (answer.status, answer.json["retention"]) == (200, told)
        assert (await bridge.call("GET", base)).json == answer.json
        assert answer.json["messages_count"] == 6


@pytest.mark.parametrize(
    "body, path",
    [
        ({}, "$"),
        ({"retention": None}, "$.retention"),
        ({"retention": 5}, "$.retention"),
        ({"retention": {"max_age_seconds": 0}}, "$.retention.max_age_seconds"),
        ({"retention": {"max_bytes": "1"}}, "$.retention.max_bytes"),
        ({"retention": {"max_age": 1}}, "$.retention.max_age"),
        ({"name": "other", "retention": {}}, "$.name"),
        (b'{"retention": {}, "retention": {}}', "$"),
        (b'{"retention": {"max_bytes": 1, "max_bytes": 2}}', "$.retention"),
    ],
)
async def test_a_bad_retention_is_400_with_its_place(
    bridge: BridgeApp, base: str, body: Any, path: str
) -> None:
    answer = await bridge.call("PATCH", base, body)
    assert (answer.status, answer.json["path"]) == (400, path)


async def test_added_partitions_take_messages_at_once(bridge: BridgeApp, base: str) -> None:
    await fill(bridge)
    count = (await bridge.call("GET", base)).json["partitions_count"]
    added = await bridge.call("POST", f"{base}/partitions", {"count": 4})
    assert added.status == 201
    assert [part["id"] for part in added.json["partitions"]] == list(range(count + 4))
    assert (await bridge.call("GET", base)).json == added.json
    for number in range(8):
        key = f"key-{number}"
        sent = await bridge.call("POST", f"{base}/messages", {"event": user_event(), "partition_key": key})
        partition_id = partition_of_key(key.encode(), count + 4)
        assert (sent.status, sent.json["partition_id"]) == (201, partition_id)
        page = await bridge.call("GET", f"{base}/messages?from=last&count=1&partition_id={partition_id}")
        assert page.json["messages"][0]["offset"] == sent.json["offset"]


@pytest.mark.parametrize("count", [0, -1, 1001, 2**70, "3", 1.5, None])
async def test_1_to_1000_partitions_are_added(bridge: BridgeApp, base: str, count: Any) -> None:
    answer = await bridge.call("POST", f"{base}/partitions", {"count": count})
    assert (answer.status, answer.json["path"]) == (400, "$.count")


async def test_a_topic_has_a_thousand_partitions_at_most(bridge: BridgeApp, base: str) -> None:
    count = (await bridge.call("GET", base)).json["partitions_count"]
    answer = await bridge.call("POST", f"{base}/partitions", {"count": 1001 - count})
    assert (answer.status, answer.json["path"], answer.json["limit"]) == (400, "$.count", 1000 - count)
    assert (await bridge.call("GET", base)).json["partitions_count"] == count


CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/purge", None),
    ("PATCH", "", {"retention": {}}),
    ("POST", "/partitions", {"count": 1}),
]


@pytest.mark.parametrize("method, path, body", CHANGES)
async def test_a_missing_or_misnamed_topic_is_not_changed(
    bridge: BridgeApp, base: str, method: str, path: str, body: Any
) -> None:
    for place, status in (
        (f"/streams/{bridge.topic.stream}/topics/none", 404),
        ("/streams/missing-one/topics/none", 404),
        (f"/streams/{bridge.topic.stream}/topics/a..b", 400),
        (f"/streams/{bridge.topic.stream}/topics/17", 400),
    ):
        assert (await bridge.call(method, place + path, body)).status == status
    answer = await bridge.call(method, f"{base}{path}?force=true", body)
    assert (answer.status, answer.json["path"]) == (400, "force")


@pytest.mark.parametrize("path, allowed", [("/purge", {"POST"}), ("/partitions", {"POST"}), ("", {"PATCH"})])
async def test_another_method_is_405_with_those_that_there_are(
    bridge: BridgeApp, base: str, path: str, allowed: set[str]
) -> None:
    answer = await bridge.call("PUT", base + path, {})
    assert answer.status == 405
    assert allowed <= set(answer.headers["Allow"].replace(" ", "").split(","))


async def test_a_live_reader_goes_on_through_a_purge_and_added_partitions(
    bridge: BridgeApp, base: str
) -> None:
    await fill(bridge)
    follower = await bridge.services.feeds.follow(bridge.topic, First(), deadline=bridge.deadline())
    found: asyncio.Queue[tuple[int, int]] = asyncio.Queue()

    def take(batches: tuple[RecordBatch, ...]) -> bool:
        for batch in batches:
            for offset in batch.records.offsets:
                found.put_nowait((batch.partition_id, offset))
        return True

    async def drain() -> None:
        """It takes whatever comes."""

    running = asyncio.create_task(follower.run(Sink("test", tuple, take, drain)))
    try:
        for _ in range(6):
            await found.get()
        await bridge.call("POST", f"{base}/purge")
        added = await bridge.call("POST", f"{base}/partitions", {"count": 1})
        newest = added.json["partitions_count"] - 1
        for partition_id in (0, newest):
            await bridge.log.append(
                bridge.topic, ToPartition(partition_id), [NewMessage(b"new")], deadline=bridge.deadline()
            )
        assert {await found.get(), await found.get()} == {(0, 0), (newest, 0)}
    finally:
        follower.stop()
        await running
        follower.close()


async def test_pages_of_other_origins_may_put_and_patch(tmp_path: Any) -> None:
    http = HttpConfig(rate_limit_rps=0, cors_allowed_origins=("https://a.example",))
    async with bridge_app(tmp_path, http=http) as bridge:
        answer = await bridge.call(
            "OPTIONS",
            f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}",
            headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"},
        )
        allowed = set(answer.headers["Access-Control-Allow-Methods"].replace(" ", "").split(","))
        assert allowed == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}


async def test_the_series_of_what_was_deleted_end_whoever_deleted_it(bridge: BridgeApp) -> None:
    stream, metrics = bridge.topic.stream, bridge.services.metrics
    for name in ("kept", "gone"):
        await bridge.call("POST", f"/streams/{stream}/topics", {"name": name})
        sent = await bridge.call("POST", f"/streams/{stream}/topics/{name}/messages", {"event": user_event()})
        assert sent.status == 201
    await bridge.log.create_stream(f"{stream}-2", deadline=bridge.deadline())
    await bridge.log.create_topic(
        TopicRef(f"{stream}-2", "gone"), partitions_count=1, deadline=bridge.deadline()
    )
    await bridge.call("POST", f"/streams/{stream}-2/topics/gone/messages", {"event": user_event()})
    await bridge.log.delete_topic(TopicRef(stream, "gone"), deadline=bridge.deadline())
    await bridge.log.delete_stream(f"{stream}-2", deadline=bridge.deadline())
    await tidy_figures(bridge.log, metrics.log, clock=bridge.services.clock, timeout_s=10)
    figures = (await bridge.call("GET", "/metrics")).body.decode()
    assert f'bridge_messages_in_total{{stream="{stream}",topic="kept"}} 1.0' in figures
    assert 'topic="gone"' not in figures
