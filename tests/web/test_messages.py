import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.messagelog import NewMessage, ToPartition, partition_of_key
from tests.support.bridge_app import BridgeApp
from tests.support.events import generic_event, order_event, user_event


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    assert moment.utcoffset() == timedelta(0)
    return moment


async def _send(
    bridge: BridgeApp, event: dict[str, Any], key: str | None = "k", path: str = "/messages"
) -> Any:
    body = {"event": event} | ({} if key is None else {"partition_key": key})
    answer = await bridge.call("POST", path, body)
    assert answer.status == 201, answer.json
    return answer.json


def _topic_path(bridge: BridgeApp) -> str:
    return f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/messages"


async def test_a_message_is_answered_with_where_it_is(bridge: BridgeApp) -> None:
    before = datetime.now(UTC)
    event = user_event()
    sent = await _send(bridge, event)
    assert {key: sent[key] for key in ("success", "event_id", "stream", "topic")} == {
        "success": True,
        "event_id": event["id"],
        "stream": bridge.topic.stream,
        "topic": bridge.topic.topic,
    }
    assert before <= _instant(sent["timestamp"]) <= datetime.now(UTC)
    assert sent["partition_id"] == partition_of_key(b"k", 3)
    assert sent["offset"] == 0
    assert sent["durability"] == "persisted"


async def test_a_message_comes_back_as_the_bytes_that_were_sent(bridge: BridgeApp) -> None:
    written = json.dumps(
        order_event(source="caf\u00e9", more={"big": 2**70}), indent=3, ensure_ascii=False
    ).encode()
    answer = await bridge.call("POST", "/messages", b'{ "event" : ' + written + b', "partition_key":"k"}')
    assert answer.status == 201
    page = await bridge.call("GET", f"/messages?partition_id={answer.json['partition_id']}")
    assert page.status == 200
    assert b'"event":' + written in page.body
    (message,) = page.json["messages"]
    assert message["event"] == json.loads(written)
    assert message["id"] == json.loads(written)["id"]
    assert message["offset"] == 0
    assert message["size"] == len(written)
    assert abs(_instant(message["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (page.json["count"], page.json["current_offset"]) == (1, 0)
    assert page.json["partition_id"] == answer.json["partition_id"]


async def test_without_a_key_messages_go_round_the_partitions(bridge: BridgeApp) -> None:
    sent = [await _send(bridge, user_event(), key=None) for _ in range(6)]
    assert {message["partition_id"] for message in sent} == {0, 1, 2}


async def test_the_routes_under_a_topic_do_the_same(bridge: BridgeApp) -> None:
    path = _topic_path(bridge)
    sent = await _send(bridge, user_event(), path=path)
    page = (await bridge.call("GET", f"{path}?partition_id={sent['partition_id']}")).json
    assert page["messages"][0]["id"] == sent["event_id"]
    batch = await bridge.call("POST", f"{path}/batch", {"events": [user_event()], "partition_key": "k"})
    assert [entry["offset"] for entry in batch.json] == [1]


async def test_a_batch_is_answered_in_order_with_each_offset(bridge: BridgeApp) -> None:
    events = [user_event(), order_event(), generic_event(None), generic_event([1])]
    answer = await bridge.call("POST", "/messages/batch", {"events": events, "partition_key": "k"})
    assert answer.status == 201
    assert [entry["event_id"] for entry in answer.json] == [event["id"] for event in events]
    assert [entry["offset"] for entry in answer.json] == [0, 1, 2, 3]
    assert {entry["partition_id"] for entry in answer.json} == {partition_of_key(b"k", 3)}
    assert all(entry["success"] and entry["durability"] == "persisted" for entry in answer.json)
    page = (await bridge.call("GET", f"/messages?partition_id={answer.json[0]['partition_id']}")).json
    assert [message["event"] for message in page["messages"]] == events


async def test_a_batch_without_a_key_stays_together(bridge: BridgeApp) -> None:
    answer = await bridge.call("POST", "/messages/batch", {"events": [user_event() for _ in range(4)]})
    assert len({entry["partition_id"] for entry in answer.json}) == 1
    assert [entry["offset"] for entry in answer.json] == [0, 1, 2, 3]


async def test_one_bad_event_in_a_batch_is_named_and_nothing_is_sent(bridge: BridgeApp) -> None:
    events = [user_event() for _ in range(5)]
    events[3]["payload"]["data"]["user_id"] = "<script>"
    answer = await bridge.call("POST", "/messages/batch", {"events": events})
    assert answer.status == 400
    assert answer.json["error"] == "serialization_error"
    assert answer.json["path"] == "$.events[3].payload.data.user_id"
    assert b"script" not in answer.body
    for partition_id in range(3):
        assert (await bridge.call("GET", f"/messages?partition_id={partition_id}")).json["count"] == 0


@pytest.mark.parametrize("count, limit", [(0, 1), (1001, 1000)])
async def test_a_batch_holds_1_to_1000_events(bridge: BridgeApp, count: int, limit: int) -> None:
    event = user_event()
    answer = await bridge.call("POST", "/messages/batch", {"events": [event] * count})
    assert (answer.status, answer.json["error"], answer.json["limit"]) == (400, "bad_request", limit)
    assert answer.json["path"] == "$.events"


async def test_a_poll_starts_where_it_is_told(bridge: BridgeApp) -> None:
    sent = [await _send(bridge, user_event()) for _ in range(5)][-1]
    base = f"/messages?partition_id={sent['partition_id']}"

    async def offsets(query: str) -> list[int]:
        page = await bridge.call("GET", f"{base}&{query}")
        assert page.status == 200, page.json
        assert page.json["current_offset"] == 4
        return [message["offset"] for message in page.json["messages"]]

    assert await offsets("offset=3") == [3, 4]
    assert await offsets("offset=0&count=2") == [0, 1]
    assert await offsets("offset=99") == []
    assert await offsets("from=first&count=1") == [0]
    assert await offsets("from=last&count=2") == [3, 4]
    assert await offsets("from=next") == [0, 1, 2, 3, 4]
    assert await offsets("from=2020-01-01T00:00:00Z&count=1") == [0]
    assert await offsets("from=2999-01-01T00:00:00%2B01:00") == []
    third = (await bridge.call("GET", f"{base}&offset=2&count=1")).json["messages"][0]["timestamp"]
    assert (await offsets(f"from={third}"))[0] <= 2


async def test_a_poll_has_ten_messages_unless_told_and_no_more_than_the_limit(bridge: BridgeApp) -> None:
    events = [generic_event(index) for index in range(130)]
    sent = (await bridge.call("POST", "/messages/batch", {"events": events})).json[0]
    base = f"/messages?partition_id={sent['partition_id']}"
    assert (await bridge.call("GET", base)).json["count"] == 10
    assert (await bridge.call("GET", f"{base}&count=130")).json["count"] == 100
    assert (await bridge.call("GET", f"{base}&count=1000000")).json["count"] == 100
    assert (await bridge.call("GET", f"{base}&count=0")).status == 400


@pytest.mark.parametrize("who", ["", "&consumer_id=7", "&consumer=billing"])
async def test_auto_commit_moves_the_consumer_behind_what_it_got(bridge: BridgeApp, who: str) -> None:
    sent = [await _send(bridge, user_event()) for _ in range(5)][-1]
    base = f"/messages?partition_id={sent['partition_id']}{who}"

    async def offsets(query: str) -> list[int]:
        return [message["offset"] for message in (await bridge.call("GET", base + query)).json["messages"]]

    assert await offsets("&count=2") == [0, 1]
    assert await offsets("&count=2&auto_commit=false") == [0, 1]
    assert await offsets("&count=2&auto_commit=true") == [0, 1]
    assert await offsets("&count=2&auto_commit=true") == [2, 3]
    assert await offsets("&auto_commit=true") == [4]
    assert await offsets("&auto_commit=true") == []
    other = await bridge.call("GET", f"/messages?partition_id={sent['partition_id']}&consumer_id=99")
    assert other.json["count"] == 5


async def test_head_of_a_poll_moves_nothing(bridge: BridgeApp) -> None:
    sent = await _send(bridge, user_event())
    path = f"/messages?partition_id={sent['partition_id']}&auto_commit=true"
    assert (await bridge.call("HEAD", path)).status == 200
    assert (await bridge.call("GET", path)).json["count"] == 1


_PAYLOADS = [
    b'{"not": "an event"}',
    b"[18446744073709551616]",
    b"plain text \x1b[31m",
    b"\xff\xfe\x00",
    b"[" * 100 + b"]" * 100,
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"0",
]


async def test_messages_that_are_no_events_are_delivered_as_what_they_are(bridge: BridgeApp) -> None:
    messages = [
        NewMessage(payload=payload, id=index + 2**100, headers={"n": index, "b": b"\x00\xff", "t": "x"})
        for index, payload in enumerate(_PAYLOADS)
    ]
    await bridge.log.append(bridge.topic, ToPartition(1), messages, deadline=bridge.deadline())
    answer = await bridge.call("GET", "/messages?partition_id=1&auto_commit=true")
    assert answer.status == 200
    shown = answer.json["messages"]
    assert [message["event"] for message in shown] == [None] * len(_PAYLOADS)
    assert [message["size"] for message in shown] == [len(payload) for payload in _PAYLOADS]
    assert [uuid.UUID(message["id"]).int for message in shown] == [
        index + 2**100 for index in range(len(_PAYLOADS))
    ]
    assert shown[0]["payload"] == {"not": "an event"}
    assert b'"payload":[18446744073709551616]' in answer.body
    assert shown[2]["text"] == "plain text \x1b[31m"
    assert shown[3]["payload_base64"] == "//4A"
    assert [message["text"].encode() for message in shown[4:8]] == _PAYLOADS[4:8]
    assert shown[8]["payload"] == 0
    assert shown[0]["headers"] == {"n": 0, "b": {"base64": "AP8="}, "t": "x"}


@pytest.mark.parametrize(
    "query, path",
    [
        ("count=x", "count"),
        ("consumer_id=0", "consumer_id"),
        ("consumer=a&consumer_id=1", "consumer"),
        ("offset=1&from=first", "from"),
        ("offset=-1", "offset"),
        ("wait=5", "wait"),
        ("count=1&count=2", "count"),
        ("partition_id=%D9%A1", "partition_id"),
        ("auto_commit=1", "auto_commit"),
        ("from=2026-01-01T00:00:00+01:00", "from"),
    ],
)
async def test_a_bad_query_is_told_by_its_parameter(bridge: BridgeApp, query: str, path: str) -> None:
    answer = await bridge.call("GET", f"/messages?{query}")
    assert (answer.status, answer.json["error"], answer.json["path"]) == (400, "bad_request", path)


@pytest.mark.parametrize(
    "body, code, path",
    [
        (b"", "serialization_error", None),
        (b"{", "serialization_error", None),
        (b"\xef\xbb\xbf{}", "serialization_error", None),
        (b'{"event":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "serialization_error", None),
        (b'{"event":{"id":1e400}}', "serialization_error", "$.event"),
        (b'{"event":"\xff"}', "serialization_error", None),
        (b'{"event":"\\ud800"}', "serialization_error", "$.event"),
        (b'{"event":{}}', "serialization_error", "$.event"),
        (b'{"evnt":{}}', "serialization_error", "$.evnt"),
        (b'{"event":null,"event":null}', "serialization_error", "$"),
    ],
)
async def test_a_bad_body_is_a_400_with_its_place(
    bridge: BridgeApp, body: bytes, code: str, path: str | None
) -> None:
    answer = await bridge.call("POST", "/messages", body)
    assert (answer.status, answer.json["error"], answer.json.get("path")) == (400, code, path)
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_a_query_on_a_route_that_takes_none_is_refused(bridge: BridgeApp) -> None:
    answer = await bridge.call("POST", "/messages?partition_key=a", {"event": user_event()})
    assert (answer.status, answer.json["path"]) == (400, "partition_key")


@pytest.mark.parametrize(
    "path", ["/streams/missing-one/topics/events/messages", "/streams/{own}/topics/missing/messages"]
)
async def test_a_missing_place_is_404(bridge: BridgeApp, path: str) -> None:
    path = path.replace("{own}", bridge.topic.stream)
    for answer in (
        await bridge.call("GET", path),
        await bridge.call("POST", path, {"event": user_event()}),
        await bridge.call("POST", f"{path}/batch", {"events": [user_event()], "partition_key": "k"}),
    ):
        assert (answer.status, answer.json["error"]) == (404, "not_found")


@pytest.mark.parametrize("partition_id", ["3", "1000", str(2**32 - 1)])
async def test_a_partition_beyond_the_topic_is_404(bridge: BridgeApp, partition_id: str) -> None:
    for more in ("", "&auto_commit=true", "&offset=0", "&from=last"):
        answer = await bridge.call("GET", f"/messages?partition_id={partition_id}{more}")
        assert (answer.status, answer.json["error"]) == (404, "not_found"), answer.json


@pytest.mark.parametrize(
    "name", ["%00", "a%0d%0ab", "%2e%2e%2f", "a%2Fb", "x" * 300, "7", "%C3%A4", "a..b", "-a"]
)
async def test_a_name_in_the_path_that_breaks_the_rules_is_400(bridge: BridgeApp, name: str) -> None:
    for path in (
        f"/streams/{name}/topics/events/messages",
        f"/streams/s/topics/{name}/messages",
        f"/streams/{name}",
    ):
        answer = await bridge.call("GET", path)
        assert (answer.status, answer.json["error"]) == (400, "bad_request")
        assert answer.json["path"] in ("stream", "topic", "path")


async def test_sent_and_received_are_counted_once(bridge: BridgeApp) -> None:
    sent = await _send(bridge, user_event())
    await bridge.call("POST", "/messages/batch", {"events": [user_event()] * 3, "partition_key": "k"})
    await bridge.call("GET", f"/messages?partition_id={sent['partition_id']}")
    stats = (await bridge.call("GET", "/stats")).json
    assert (stats["messages_sent"], stats["messages_received"]) == (4, 4)


async def test_no_body_gets_an_answer_that_blames_the_bridge(bridge: BridgeApp) -> None:
    """A thousand damaged copies of good bodies, the same ones every time."""
    damage = random.Random(3)  # the same copies every time
    bits = [
        b"",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\\",
        b"\\ud800",
        b"\xff",
        b"1e999",
        b"null",
        b"\x00",
        b" ",
    ]
    good = [
        ("/messages", json.dumps({"event": order_event(), "partition_key": "k"}).encode()),
        ("/messages/batch", json.dumps({"events": [user_event(), generic_event({"id": 1})]}).encode()),
        (
            f"/streams/{bridge.topic.stream}/topics",
            b'{"name":"t","partitions":2,"retention":{"max_bytes":9}}',
        ),
    ]
    for turn in range(1000):
        path, body = good[turn % len(good)]
        start = damage.randrange(len(body))
        damaged = body[:start] + damage.choice(bits) + body[start + damage.randrange(3) :]
        answer = await bridge.call("POST", path, damaged)
        assert answer.status in (201, 400, 409), (damaged, answer.json)
        assert answer.status == 201 or b"<" not in answer.body
