"""Ways around permissions that do not work: spellings of names, lists, totals, cursors, tokens, dead letters, bodies."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import GroupsConfig
from bridge.messagelog import TopicRef
from bridge.policy.access import Principal
from tests.support.callers import GROUP, STREAM, TOPIC, Asked, CalledBridge, called_bridge, somebody

SECRET = "told to nobody"
EVENTS, OTHER = f"/streams/{STREAM}/topics/{TOPIC}", f"/streams/{STREAM}/topics/other"
READS_OTHER = f"consume:{STREAM}/other"


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[CalledBridge]:
    async with called_bridge(tmp_path) as called:
        await called.tell(SECRET)
        await called.tell("of the other", "other")
        yield called


def json_to(path: str, value: Any, method: str = "POST") -> Asked:
    return Asked(method, path, json.dumps(value).encode(), {"Content-Type": "application/json"})


async def made(bridge: CalledBridge, stream: str, *topics: str) -> None:
    log, deadline = bridge.app.log, bridge.app.deadline()
    await log.create_stream(stream, deadline=deadline)
    for topic in topics:
        await log.create_topic(TopicRef(stream, topic), partitions_count=1, deadline=deadline)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/messages?offset=0",
        "/messages?cursor=first",
        f"{EVENTS}/messages?offset=0",
        f"{EVENTS}//messages?offset=0",
        f"//streams/{STREAM}/topics/{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/other/../{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/other%2F..%2F{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/other%2f%2e%2e%2f{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/%65vents/messages?offset=0",
        f"/streams/{STREAM}/topics/%2565vents/messages?offset=0",
        f"/streams/{STREAM}/topics/EVENTS/messages?offset=0",
        f"/streams/{STREAM.upper()}/topics/{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/{TOPIC}%00/messages?offset=0",
        f"/streams/{STREAM}/topics/{TOPIC}%20/messages?offset=0",
        f"/streams/{STREAM}/topics/{TOPIC}./messages?offset=0",
        f"/streams/{STREAM}/topics/{TOPIC};other/messages?offset=0",
        f"/streams/{STREAM}/topics/*/messages?offset=0",
        f"/streams/*/topics/{TOPIC}/messages?offset=0",
        f"/streams/{STREAM}/topics/{TOPIC}?stream={STREAM}&topic=other",
        f"{EVENTS}/messages/stream?from=first",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_spelling_of_a_name_leads_to_what_is_not_seen(
    bridge: CalledBridge, path: str, method: str
) -> None:
    bridge.caller = somebody(READS_OTHER)
    answer = await bridge.get(path, method)
    assert answer.status in (400, 404), answer
    assert SECRET.encode() not in answer.body


async def test_a_name_that_is_spelled_in_percents_is_the_name(bridge: CalledBridge) -> None:
    bridge.caller = somebody(READS_OTHER)
    answer = await bridge.get(f"/streams/{STREAM}/topics/oth%65r/messages?offset=0")
    assert (answer.status, answer.json["count"]) == (200, 1)


@pytest.mark.parametrize("group", ["..%2F..%2Fother", "*", f"{GROUP}%2F", "a..b", "x" * 300, "%00"])
async def test_a_groups_name_leads_nowhere_else(bridge: CalledBridge, group: str) -> None:
    for permission, statuses in ((f"produce:{STREAM}/{TOPIC}", {400, 403, 404}), (READS_OTHER, {400, 404})):
        bridge.caller = somebody(permission)
        assert (await bridge.get(f"{EVENTS}/groups/{group}/receive", "POST")).status in statuses


@pytest.mark.parametrize("caller", [somebody("admin:else/*"), somebody("metrics"), somebody("consume")])
async def test_what_is_refused_for_everyone_is_refused_as_for_everyone(
    bridge: CalledBridge, caller: Principal
) -> None:
    own = GroupsConfig().stream
    for path in (f"/streams/{own}", f"/streams/{own}/topics", "/streams/a..b", "/streams/1", "/nowhere"):
        told = []
        for bridge.caller in (None, caller):
            answer = await bridge.get(path, **{"X-Request-Id": "r"})
            told.append((answer.status, answer.body))
        assert told[0] == told[1]
        assert told[0][0] in (400, 403, 404)


# --- lists and totals -------------------------------------------------------------------------------------------


async def test_lists_and_totals_tell_of_nothing_that_is_not_seen(bridge: CalledBridge) -> None:
    await made(bridge, "hidden", "a")
    bridge.caller = None
    whole = (await bridge.get(f"/streams/{STREAM}")).json
    assert (whole["topics_count"], whole["messages_count"]) == (2, 2)
    other = (await bridge.get(OTHER)).json
    bridge.caller = somebody(READS_OTHER)
    (listed,) = (await bridge.get("/streams")).json
    shown = (await bridge.get(f"/streams/{STREAM}")).json
    assert (
        listed
        == shown
        == {**whole, "topics_count": 1, "messages_count": 1, "size_bytes": other["size_bytes"]}
    )
    assert [each["name"] for each in (await bridge.get(f"/streams/{STREAM}/topics")).json] == ["other"]
    assert (await bridge.get("/streams/hidden")).status == 404


async def test_who_sees_all_of_a_stream_gets_its_own_figures(bridge: CalledBridge) -> None:
    bridge.caller = None
    whole = (await bridge.get(f"/streams/{STREAM}")).json
    bridge.caller = somebody(f"produce:{STREAM}/*")
    assert (await bridge.get(f"/streams/{STREAM}")).json == whole
    bridge.caller = somebody(f"produce:{STREAM}/{TOPIC}", READS_OTHER)
    assert (await bridge.get("/streams")).json == [whole]


async def test_a_stream_whose_topics_are_not_there_yet_is_shown_empty(bridge: CalledBridge) -> None:
    bridge.caller = somebody(f"produce:{STREAM}/later-*")
    (shown,) = (await bridge.get("/streams")).json
    assert (shown["topics_count"], shown["messages_count"], shown["size_bytes"]) == (0, 0, 0)
    assert (await bridge.get(f"/streams/{STREAM}/topics")).json == []


# --- what bodies name -------------------------------------------------------------------------------------------


async def test_to_make_what_one_may_not_is_refused_alike_whether_it_is_there_or_not(
    bridge: CalledBridge,
) -> None:
    bridge.caller = somebody(f"admin:{STREAM}/made-*")
    topics = f"/streams/{STREAM}/topics"
    told = [await bridge.call(json_to(topics, {"name": name})) for name in (TOPIC, "other", "missing")]
    told += [await bridge.call(json_to("/streams", {"name": name})) for name in (STREAM, "missing", "made-1")]
    assert {each.status for each in told} == {403}
    assert {each.json["detail"] for each in told} == {told[0].json["detail"]}
    assert (await bridge.call(json_to(topics, {"name": "made-1"}))).status == 201
    assert (await bridge.call(json_to(topics, {"name": "made-1"}))).status == 409
    assert (await bridge.call(json_to(topics, {"name": "made-*"}))).status == 400
    assert (await bridge.call(json_to("/streams/missing/topics", {"name": "made-1"}))).status == 404


async def test_a_stream_is_made_and_deleted_by_who_may_all_of_it(bridge: CalledBridge) -> None:
    bridge.caller = somebody("admin:shop*/*", "consume:audit/*")
    assert (await bridge.call(json_to("/streams", {"name": "shop-2"}))).status == 201
    assert (await bridge.get("/streams/shop-2", "DELETE")).status == 204
    assert (await bridge.get("/streams/audit", "DELETE")).status == 403
    bridge.caller = somebody("admin:shop*/*.log")
    assert (await bridge.call(json_to("/streams", {"name": "shop-3"}))).status == 403
    assert (await bridge.get(f"/streams/{STREAM}", "DELETE")).status == 403


@pytest.mark.parametrize(
    "kind, body",
    [
        ("application/x-ndjson", b'{"n":1}\n' * 1000),
        ("text/plain", b"x" * 100_000),
        ("application/octet-stream", b"\0"),
    ],
)
async def test_of_what_is_refused_nothing_is_stored(bridge: CalledBridge, kind: str, body: bytes) -> None:
    for permission, status in ((f"consume:{STREAM}/{TOPIC}", 403), (f"produce:{STREAM}/other", 404)):
        bridge.caller = somebody(permission)
        for path in ("/messages", f"{EVENTS}/messages"):
            assert (await bridge.call(Asked("POST", path, body, {"Content-Type": kind}))).status == status
    info = await bridge.app.log.topic(bridge.app.topic, deadline=bridge.app.deadline())
    assert sum(each.end_offset for each in info.partitions) == 1


# --- cursors, tokens, offsets -----------------------------------------------------------------------------------


async def test_a_cursor_is_a_place_and_no_right(bridge: CalledBridge) -> None:
    bridge.caller = None
    cursor = (await bridge.get("/messages?cursor=first")).json["next_cursor"]
    for permission, status in (
        (READS_OTHER, 404),
        (f"produce:{STREAM}/{TOPIC}", 403),
        (f"consume:{STREAM}/e*", 200),
    ):
        bridge.caller = somebody(permission)
        assert (await bridge.get(f"{EVENTS}/messages?cursor={cursor}")).status == status
        live = Asked("GET", f"{EVENTS}/messages/stream", None, {"Last-Event-ID": cursor})
        assert await bridge.status(live) == status
        assert (
            await bridge.status(live._replace(path=f"{EVENTS}/messages/stream?lastEventId={cursor}"))
            == status
        )
    bridge.caller = somebody(READS_OTHER)
    assert (await bridge.get(f"{OTHER}/messages?cursor={cursor}")).status == 400


async def test_a_lease_token_is_no_right_to_settle(bridge: CalledBridge) -> None:
    bridge.caller = somebody(f"consume:{STREAM}/{TOPIC}")
    (leased,) = (await bridge.get(f"{EVENTS}/groups/{GROUP}/receive", "POST")).json["messages"]
    tokens = {"tokens": [leased["token"]]}
    for call in ("ack", "nack", "extend"):
        bridge.caller = somebody(f"produce:{STREAM}/{TOPIC}")
        assert (await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/{call}", tokens))).status == 403
        bridge.caller = somebody(READS_OTHER)
        assert (await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/{call}", tokens))).status == 404
        # Where they may settle, it is a token of another topic.
        assert (await bridge.call(json_to(f"{OTHER}/groups/{GROUP}/{call}", tokens))).status == 400
    bridge.caller = somebody(f"consume:{STREAM}/*")
    settled = await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/ack", tokens))
    assert settled.json["done"] == 1


async def test_auto_commit_needs_what_reading_needs_and_moves_the_offset_of_any_consumer(
    bridge: CalledBridge,
) -> None:
    path = f"{EVENTS}/messages?consumer=c-1&auto_commit=true"
    bridge.caller = somebody(f"produce:{STREAM}/{TOPIC}")
    assert (await bridge.get(path)).status == 403
    offsets = f"{EVENTS}/consumers/c-1/offsets/0"
    bridge.caller = somebody(f"consume:{STREAM}/{TOPIC}")
    assert (await bridge.get(offsets)).json["offset"] is None
    assert (await bridge.get(path)).json["count"] == 1
    assert (await bridge.get(offsets)).json["offset"] == 0


async def test_dead_letters_are_read_by_who_has_a_permission_for_their_topic(bridge: CalledBridge) -> None:
    bridge.caller = somebody(f"consume:{STREAM}/{TOPIC}")
    asked = {"max_deliveries": 1, "wait_ms": 0}
    (given,) = (await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/receive", asked))).json["messages"]
    tokens = {"tokens": [given["token"]]}
    assert (await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/nack", tokens))).status == 200
    # It looks for more, and finds that this one was given out often enough.
    asked["wait_ms"] = 200
    assert (await bridge.call(json_to(f"{EVENTS}/groups/{GROUP}/receive", asked))).json["messages"] == []
    letters = f"/streams/{STREAM}/topics/{TOPIC}.{GROUP}.dlq"
    with bridge.by_the_owner():
        # They are written beside requests.
        while (await bridge.get(letters)).status == 404:
            pass
    assert (await bridge.get(letters)).status == 404
    bridge.caller = somebody(f"consume:{STREAM}/{TOPIC}.*.dlq")
    found = await bridge.call(json_to(f"{letters}/groups/keepers/receive", {"wait_ms": 5000}))
    assert len(found.json["messages"]) == 1
    assert (await bridge.get(EVENTS)).status == 404
    assert (await bridge.get(f"{letters}/purge", "POST")).status == 403
