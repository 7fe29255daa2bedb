"""Messages as they come: each once, in order, and from any place on; on both logs."""

import asyncio
import json
import random
from typing import Any

import pytest

from bridge.messagelog import NewMessage, ToPartition, TopicRef
from bridge.policy.cursors import Cursor, Cursors
from tests.support.bridge_app import BridgeApp
from tests.support.event_reader import EventReader, datas, offsets
from tests.support.events import generic_event, user_event
from tests.support.raw_http import RawConnection, request_bytes

STREAM = "/messages/stream"


def _reader(bridge: BridgeApp, query: str = "", *, path: str = STREAM, **options: Any) -> EventReader:
    return EventReader(bridge.session, f"{bridge.base}{path}?{query}", **options)


async def _store(bridge: BridgeApp, *payloads: bytes, partition_id: int = 0) -> None:
    """Past the bridge's own appender, as another bridge would."""
    for payload in payloads:
        await bridge.log.append(
            bridge.topic,
            ToPartition(partition_id),
            [NewMessage(payload=payload)],
            deadline=bridge.deadline(),
        )


async def _send(bridge: BridgeApp, event: dict[str, Any]) -> Any:
    answer = await bridge.call("POST", "/messages", {"event": event})
    assert answer.status == 201, answer.body
    return answer.json


async def test_what_is_sent_comes_to_every_reader_as_in_a_page(bridge: BridgeApp) -> None:
    async with _reader(bridge) as one, _reader(bridge, path="/messages") as other:
        sent = [await _send(bridge, user_event()), await _send(bridge, generic_event("a\r\n\r\nid: 1\u2028"))]
        seen = await one.events(2)
        assert await other.events(2) == seen
    assert [event.type for event in seen] == ["message", "message"]
    # They lie in two partitions, between which there is no order.
    found = {(told["partition_id"], told["offset"]): told for told in datas(seen)}
    assert found.keys() == {(receipt["partition_id"], receipt["offset"]) for receipt in sent}
    for (partition_id, offset), told in found.items():
        page = (await bridge.call("GET", f"/messages?partition_id={partition_id}&offset={offset}")).json
        assert told == {"partition_id": partition_id} | page["messages"][0]


async def test_what_is_no_event_comes_as_what_it_is(bridge: BridgeApp) -> None:
    async with _reader(bridge) as reader:
        await _store(bridge, b'{"a":\r\n\r\n1}', b"\n\ndata: x\n\n", b"\xff\n\n", b"\xef\xbb\xbf: x")
        told = datas(await reader.events(4))
    assert [told[0]["payload"], told[1]["text"], told[2]["payload_base64"], told[3]["text"]] == [
        {"a": 1},
        "\n\ndata: x\n\n",
        "/woK",
        "\ufeff: x",
    ]


async def test_without_a_place_only_what_comes_later_is_told(bridge: BridgeApp) -> None:
    await _store(bridge, b"before")
    async with _reader(bridge) as reader, _reader(bridge, "from=last") as other:
        await _store(bridge, b"after")
        for each in (reader, other):
            (event,) = datas(await each.events(1))
            assert (event["text"], event["offset"]) == ("after", 1)


async def test_from_the_first_everything_is_told_and_then_what_comes(bridge: BridgeApp) -> None:
    await _store(bridge, b"0", b"1")
    await _store(bridge, b"2", partition_id=2)
    async with _reader(bridge, "from=first") as reader:
        told = datas(await reader.events(3))
        assert sorted((each["partition_id"], each["offset"]) for each in told) == [(0, 0), (0, 1), (2, 0)]
        await _store(bridge, b"3", partition_id=1)
        assert offsets(await reader.events(1)) == [0]


async def test_from_a_time_its_messages_and_later_ones_are_told(bridge: BridgeApp) -> None:
    await _store(bridge, b"0", b"1", b"2")
    page = (await bridge.call("GET", "/messages?from=first")).json
    async with _reader(bridge, f"from={page['messages'][1]['timestamp']}") as reader:
        first, *_ = offsets(await reader.events(1))
        # Iggy gives a time to each batch: neighbours may share theirs.
        same = [m["offset"] for m in page["messages"] if m["timestamp"] >= page["messages"][1]["timestamp"]]
        assert first == same[0]


@pytest.mark.parametrize("way", ["Last-Event-ID", "cursor"])
async def test_a_reader_goes_on_behind_any_event_that_it_has_seen(bridge: BridgeApp, way: str) -> None:
    for number in range(12):
        await _store(bridge, b"%d" % number, partition_id=number % 3)
    async with _reader(bridge, "from=first") as reader:
        seen = await reader.events(12)
        begin = reader.seen
    assert begin.last_event_id == seen[-1].last_event_id
    for index in (0, 3, 7, 10):
        place = seen[index].last_event_id
        query, header = ("from=first", place) if way == "Last-Event-ID" else (f"cursor={place}", "")
        async with _reader(bridge, query, last_event_id=header) as again:
            rest = await again.events(11 - index)
        told = {(each["partition_id"], each["offset"]) for each in datas(rest)}
        had = {(each["partition_id"], each["offset"]) for each in datas(seen[: index + 1])}
        assert told == {(number % 3, number // 3) for number in range(12)} - had
        assert len(rest) == len(told)


async def test_a_reader_that_leaves_before_its_first_event_misses_nothing(bridge: BridgeApp) -> None:
    async with _reader(bridge) as reader:
        place = reader.seen.last_event_id
    await _store(bridge, b"meanwhile")
    async with _reader(bridge, last_event_id=place) as again:
        assert datas(await again.events(1))[0]["text"] == "meanwhile"


async def test_the_place_of_a_poll_is_the_place_of_a_stream(bridge: BridgeApp) -> None:
    await _store(bridge, b"0", b"1", b"2")
    made = bridge.services.cursors.token(Cursor(bridge.topic, ((0, 2), (1, 0), (2, 0))))
    async with _reader(bridge, f"cursor={made}") as reader:
        assert offsets(await reader.events(1)) == [2]


@pytest.mark.parametrize("query, wanted", [("partitions=2,0", {0, 2}), ("partitions=1", {1})])
async def test_a_stream_of_some_partitions_is_of_no_other_and_stays_so(
    bridge: BridgeApp, query: str, wanted: set[int]
) -> None:
    for number in range(6):
        await _store(bridge, b"%d" % number, partition_id=number % 3)
    async with _reader(bridge, f"{query}&from=first") as reader:
        seen = await reader.events(2 * len(wanted))
        assert {each["partition_id"] for each in datas(seen)} == wanted
    async with _reader(bridge, last_event_id=seen[-1].last_event_id) as again:
        for number in range(3):
            await _store(bridge, b"more", partition_id=number)
        more = await again.events(len(wanted))
        assert {each["partition_id"] for each in datas(more)} == wanted


@pytest.mark.parametrize("query", ["event_type=a,b", "event_type=a&event_type=b"])
async def test_a_filter_lets_only_its_events_through(bridge: BridgeApp, query: str) -> None:
    async with _reader(bridge, query) as reader:
        for event_type in ("a", "c", "b", "aa"):
            await _send(bridge, generic_event(1, event_type=event_type))
        # No event, though it says so.
        await _store(bridge, b'{"event_type":"a"}')
        await _send(bridge, generic_event(2, event_type="a"))
        told = datas(await reader.events(3))
    assert [each["event"]["event_type"] for each in told] == ["a", "b", "a"]


async def test_a_place_moves_on_past_what_a_filter_left_out(bridge: BridgeApp) -> None:
    async with _reader(bridge, "event_type=a") as filtered, _reader(bridge) as whole:
        first = filtered.seen.last_event_id
        await _send(bridge, generic_event(1, event_type="b"))
        last = (await whole.events(1))[0].last_event_id
        _beat(bridge)
        (progress,) = await filtered.events(1)
        assert (progress.type, json.loads(progress.data)) == ("progress", {"cursor": last})
        assert progress.last_event_id == last != first
    async with _reader(bridge, last_event_id=last) as again:
        await _send(bridge, generic_event(3, event_type="z"))
        assert datas(await again.events(1))[0]["event"]["payload"]["data"] == 3


def _beat(bridge: BridgeApp) -> None:
    for stream in tuple(bridge.services.heartbeats._due_s):
        stream.beat()


async def test_a_silent_stream_gets_a_comment(bridge: BridgeApp) -> None:
    async with _reader(bridge) as reader:
        _beat(bridge)
        # The beginning counts as said; the next one finds silence.
        _beat(bridge)
        await reader.comments(1)
        assert [event.type for event in reader.seen.events] == ["open"]


async def test_a_purge_is_told_as_a_gap_and_the_stream_goes_on(bridge: BridgeApp) -> None:
    await _store(bridge, b"0", b"1", b"2")
    async with _reader(bridge, "from=first&partitions=0") as reader:
        seen = await reader.events(3)
        await bridge.log.purge_topic(bridge.topic, deadline=bridge.deadline())
        bridge.services.tails.suspect(bridge.topic)
        (gap,) = await reader.events(1)
        assert gap.type == "gap"
        assert json.loads(gap.data) == {"partition_id": 0, "from_offset": 3, "to_offset": 0}
        await _store(bridge, b"anew")
        assert datas(await reader.events(1))[0]["text"] == "anew"
    # Who was away meanwhile is told as well.
    async with _reader(bridge, last_event_id=seen[2].last_event_id) as late:
        gap, event = await late.events(2)
        assert (gap.type, datas([event])[0]["text"]) == ("gap", "anew")


async def test_a_topic_that_is_deleted_ends_its_streams(bridge: BridgeApp) -> None:
    # The default one would be made again.
    topic = TopicRef(bridge.topic.stream, "other")
    await bridge.log.create_topic(topic, partitions_count=1, deadline=bridge.deadline())
    async with _reader(bridge, path=f"/streams/{topic.stream}/topics/{topic.topic}{STREAM}") as reader:
        await bridge.log.delete_topic(topic, deadline=bridge.deadline())
        bridge.services.tails.suspect(topic)
        (bye,) = await reader.rest()
        told = json.loads(bye.data)
        assert (bye.type, told["reason"], told["problem"]["error"]) == ("bye", "gone", "not_found")


async def test_the_connection_of_a_stream_that_has_ended_takes_the_next_request(bridge: BridgeApp) -> None:
    # The default one would be made again.
    topic = TopicRef(bridge.topic.stream, "other")
    await bridge.log.create_topic(topic, partitions_count=1, deadline=bridge.deadline())
    connection = await RawConnection.open(int(bridge.base.rpartition(":")[2]))
    await connection.send(request_bytes("GET", f"/streams/{topic.stream}/topics/{topic.topic}{STREAM}"))
    while b"retry: " not in await connection.line():
        pass
    await bridge.log.delete_topic(topic, deadline=bridge.deadline())
    bridge.services.tails.suspect(topic)
    while await connection.line() != b"0\r\n":
        pass
    await connection.line()
    await connection.send(request_bytes("GET", "/health"))
    assert (await connection.answer()).status == 200
    connection.close()


async def test_a_partition_that_is_added_is_followed_from_its_first_message(bridge: BridgeApp) -> None:
    async with _reader(bridge) as reader:
        await bridge.log.add_partitions(bridge.topic, 1, deadline=bridge.deadline())
        await _store(bridge, b"new", partition_id=3)
        bridge.services.feeds.look(bridge.topic)
        (told,) = datas(await reader.events(1))
        assert (told["partition_id"], told["offset"]) == (3, 0)


async def test_at_the_drain_every_stream_is_told_where_to_go_on(bridge: BridgeApp) -> None:
    async with _reader(bridge) as busy, _reader(bridge, "event_type=x") as idle:
        await _store(bridge, b"0")
        await busy.events(1)
        await bridge.services.live_streams.say_farewell()
        for each in (busy, idle):
            (bye,) = await each.rest()
            told = json.loads(bye.data)
            assert (bye.type, told["reason"]) == ("bye", "shutdown")
            assert told["cursor"] == bye.last_event_id
            assert told["retry_ms"] == each.seen.retry_ms == each.opened["retry_ms"]
            assert 1000 <= told["retry_ms"] <= 4000
        # A request that is too late to be refused by the port gets the same at once.
        async with _reader(bridge, "from=first") as late:
            assert [event.type for event in await late.rest()][-1] == "bye"
    assert len(bridge.services.live_streams._farewells) == 0


async def test_times_to_come_back_differ(bridge: BridgeApp) -> None:
    random.seed(1)
    times = set()
    for _ in range(5):
        async with _reader(bridge) as reader:
            times.add(reader.seen.retry_ms)
    assert len(times) > 1


async def test_a_head_is_answered_without_a_body(bridge: BridgeApp) -> None:
    answer = await bridge.call("HEAD", STREAM)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert (await bridge.call("HEAD", "/streams/none/topics/none/messages/stream")).status == 404
    assert len(bridge.services.live_streams._farewells) == 0


async def test_a_stream_says_that_nobody_may_keep_or_hold_it(bridge: BridgeApp) -> None:
    async with _reader(bridge, headers={"Accept-Encoding": "gzip, zstd"}) as reader:
        headers = reader.response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["X-Request-Id"]
    assert "Content-Encoding" not in headers
    assert "Accept" in headers["Vary"]


@pytest.mark.parametrize(
    "query, header, path",
    [
        ("cursor=", "", "cursor"),
        ("cursor=abc", "", "cursor"),
        ("cursor=-1", "", "cursor"),
        (f"cursor={10**30}", "", "cursor"),
        ("cursor=%00", "", "cursor"),
        ("cursor=first&from=first", "", "from"),
        ("from=next", "", "from"),
        ("from=2026-01-01", "", "from"),
        ("partitions=", "", "partitions"),
        ("partitions=0,x", "", "partitions"),
        ("partitions=-1", "", "partitions"),
        ("partitions=" + ",".join(map(str, range(1001))), "", "partitions"),
        ("event_type=", "", "event_type"),
        ("event_type=a,", "", "event_type"),
        ("event_type=" + ",".join("a" * 65), "", "event_type"),
        ("event_type=" + "a" * 257, "", "event_type"),
        ("offset=1", "", "offset"),
        ("count=1", "", "count"),
        ("from=first&from=first", "", "from"),
        ("", "text", "Last-Event-ID"),
        ("", "-1", "Last-Event-ID"),
        ("", str(10**30), "Last-Event-ID"),
        ("", "\u00e9", "Last-Event-ID"),
        ("from=first", "a" * 8000, "Last-Event-ID"),
    ],
)
async def test_a_faulty_question_is_a_400_that_says_where(
    bridge: BridgeApp, query: str, header: str, path: str
) -> None:
    headers = {"Last-Event-ID": header} if header else {}
    answer = await bridge.call("GET", f"{STREAM}?{query}", headers=headers)
    assert (answer.status, answer.json["path"]) == (400, path)
    assert header not in answer.json["detail"] or not header
    assert len(bridge.services.live_streams._farewells) == 0


async def test_a_place_holds_for_its_topic_its_partitions_and_its_key_alone(bridge: BridgeApp) -> None:
    other = TopicRef(bridge.topic.stream, "other")
    await bridge.log.create_topic(other, partitions_count=1, deadline=bridge.deadline())
    path = f"/streams/{other.stream}/topics/{other.topic}/messages/stream"
    async with _reader(bridge, "partitions=0,1") as reader:
        place = reader.seen.last_event_id
    foreign = Cursors(b"another key, of another bridge").token(Cursor(bridge.topic, ((0, 0),)))
    for target, header, where in (
        (path, place, "Last-Event-ID"),
        (STREAM, foreign, "Last-Event-ID"),
        (f"{STREAM}?partitions=2", place, "partitions"),
    ):
        answer = await bridge.call("GET", target, headers={"Last-Event-ID": header})
        assert (answer.status, answer.json["path"]) == (400, where)
    async with _reader(bridge, "partitions=1,0", last_event_id=place):
        pass


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/event-stream;q=0"])
async def test_who_takes_no_events_gets_a_406_where_there_is_nothing_else(
    bridge: BridgeApp, accept: str
) -> None:
    answer = await bridge.call("GET", STREAM, headers={"Accept": accept})
    assert (answer.status, answer.json["error"]) == (406, "not_acceptable")
    assert (await bridge.call("GET", "/messages", headers={"Accept": accept})).status == 200


@pytest.mark.parametrize(
    "path", ["/streams/none/topics/events/messages/stream", "/streams/{}/topics/none/messages/stream"]
)
async def test_a_place_that_is_missing_is_a_404(bridge: BridgeApp, path: str) -> None:
    answer = await bridge.call("GET", path.format(bridge.topic.stream))
    assert answer.status == 404
    missing = await bridge.call("GET", f"{STREAM}?partitions=7")
    assert (missing.status, missing.json["title"]) == (404, "Partition not found")


async def test_there_are_no_more_streams_than_may_be(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.services.live_streams._slots._slots, "amount_max", 1)
    async with _reader(bridge):
        refused = await bridge.call("GET", STREAM)
        assert (refused.status, refused.json["error"]) == (503, "overloaded")
        assert refused.headers["Retry-After"]
    async with asyncio.timeout(60):
        while len(bridge.services.live_streams._farewells):  # noqa: ASYNC110 (an end has no event)
            await asyncio.sleep(0)
    async with _reader(bridge):
        pass
