"""What is refused of groups over HTTP, and where the fault is said to be."""

from hashlib import blake2b
from struct import pack
from typing import Any

import pytest

from bridge.groups.records import Lease, decoded
from bridge.groups.tokens import TOKEN_KEY_BYTES, Token, Tokens
from bridge.messagelog import First, TopicRef
from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event
from tests.support.group_calls import fill, receive, tokens
from tests.support.ws_client import open_socket


@pytest.fixture
def topic(bridge: BridgeApp) -> str:
    return f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}"


@pytest.fixture
def base(topic: str) -> str:
    return f"{topic}/groups/billing"


@pytest.mark.parametrize(
    "path, body, place",
    [
        ("/receive", {"count": 0}, "$.count"),
        ("/receive", {"count": 101}, "$.count"),
        ("/receive", {"count": 1001}, "$.count"),
        ("/receive", {"wait_ms": -1}, "$.wait_ms"),
        ("/receive", {"wait_ms": 60_001}, "$.wait_ms"),
        ("/receive", {"visibility_ms": 99}, "$.visibility_ms"),
        ("/receive", {"visibility_ms": 600_001}, "$.visibility_ms"),
        ("/receive", {"max_deliveries": 0}, "$.max_deliveries"),
        ("/receive", {"max": 1}, "$.max"),
        ("/receive", b'{"count": 1, "count": 2}', "$"),
        ("/ack", {}, "$"),
        ("/ack", {"tokens": []}, "$.tokens"),
        ("/ack", {"tokens": ["x"] * 1001}, "$.tokens"),
        ("/ack", {"tokens": ["x"]}, "$.tokens[0]"),
        ("/ack", {"tokens": ["A" * 36]}, "$.tokens[0]"),
        ("/ack", {"tokens": [1]}, "$.tokens[0]"),
        ("/ack", {"tokens": ["x"], "delay_ms": 1}, "$.delay_ms"),
        ("/nack", {"tokens": ["x"], "delay_ms": 3_600_001}, "$.delay_ms"),
        ("/extend", {"tokens": ["x"], "visibility_ms": 1}, "$.visibility_ms"),
    ],
)
async def test_a_bad_order_is_400_with_its_place(
    bridge: BridgeApp, base: str, path: str, body: Any, place: str
) -> None:
    answer = await bridge.call("POST", base + path, body)
    assert (answer.status, answer.json["path"]) == (400, place)


@pytest.mark.parametrize(
    "body, status, place",
    [
        ({}, 400, "$"),
        ({"to": "next"}, 400, "$.to"),
        ({"to": "2026-01-01"}, 400, "$.to"),
        ({"to": 5}, 400, "$.to"),
        ({"to": {"offsets": []}}, 400, "$.to.offsets"),
        ({"to": {"offsets": [{"partition_id": 0, "offset": -1}]}}, 400, "$.to.offsets[0].offset"),
        ({"to": {"offsets": [{"partition_id": 0, "offset": 1}] * 2}}, 400, "$.to.offsets[1].partition_id"),
        (b'{"to": {"offsets": [{"partition_id": 0, "offset": 1, "offset": 2}]}}', 400, "$.to"),
        ({"to": "first", "dry_run": "yes"}, 400, "$.dry_run"),
        ({"to": {"offsets": [{"partition_id": 3, "offset": 1}]}}, 404, None),
    ],
)
async def test_a_bad_move_is_refused_with_its_place(
    bridge: BridgeApp, base: str, body: Any, status: int, place: str | None
) -> None:
    answer = await bridge.call("PUT", f"{base}/offsets", body)
    assert (answer.status, answer.json.get("path")) == (status, place)


async def test_a_token_of_another_group_is_no_token(bridge: BridgeApp, topic: str, base: str) -> None:
    await fill(bridge, 1)
    received = await receive(bridge, base)
    for verb in ("ack", "nack", "extend"):
        answer = await bridge.call("POST", f"{topic}/groups/other/{verb}", {"tokens": tokens(received)})
        assert (answer.status, answer.json["path"]) == (400, "$.tokens[0]")


@pytest.mark.parametrize("group", ["7", "a..b", "a" * 250, "%C3%A9"])
async def test_what_no_group_is_called_is_400(bridge: BridgeApp, topic: str, group: str) -> None:
    for method, path, body in (
        ("POST", "/receive", {}),
        ("POST", "/ack", {"tokens": ["x"]}),
        ("GET", "", None),
        ("PUT", "/offsets", {"to": "first"}),
    ):
        answer = await bridge.call(method, f"{topic}/groups/{group}{path}", body)
        assert (answer.status, answer.json["path"]) == (400, "group"), path


async def test_groups_of_a_missing_topic_are_404(bridge: BridgeApp, topic: str) -> None:
    for place in (f"/streams/{bridge.topic.stream}/topics/none", "/streams/missing-one/topics/none"):
        for method, path, body in (
            ("GET", "/groups", None),
            ("GET", "/groups/g", None),
            ("POST", "/groups/g/receive", {"wait_ms": 1000}),
            ("PUT", "/groups/g/offsets", {"to": "first"}),
            ("DELETE", "/groups/g", None),
        ):
            answer = await bridge.call(method, place + path, body)
            assert (answer.status, answer.json["error"]) == (404, "not_found"), (method, path)
    assert (await bridge.call("GET", f"{topic}/groups/none")).status == 404


async def test_other_methods_and_queries_are_refused(bridge: BridgeApp, base: str) -> None:
    for path in ("/receive", "/ack", "/nack", "/extend"):
        answer = await bridge.call("GET", base + path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        answer = await bridge.call("POST", f"{base}{path}?wait_ms=1", {"tokens": ["x"]})
        assert (answer.status, answer.json["path"]) == (400, "wait_ms")
    assert (await bridge.call("POST", base, {})).status == 405
    wrong = await bridge.call("POST", f"{base}/receive", b"{}", headers={"Content-Type": "text/plain"})
    assert (wrong.status, wrong.json["path"]) == (415, "Content-Type")


async def test_a_token_made_from_what_stands_in_the_ledger_settles_nothing(
    bridge: BridgeApp, base: str
) -> None:
    await fill(bridge, 1)
    given = await receive(bridge, base, visibility_ms=600_000)
    page = await bridge.log.read(OWN, 0, First(), count=10_000, deadline=bridge.deadline())
    told = [decoded(message.payload) for message in page.messages]
    # On Iggy other tests' groups stand there too.
    (lease,) = [each for each in told if isinstance(each, Lease) and each.ref.stream == bridge.topic.stream]
    form, names = pack(">BIQQ", 1, 0, 0, lease.id), "\0".join(lease.ref).encode()
    # As the checksum of before was computed, and as this one is but for the key.
    forged = [(form + blake2b(names + form, digest_size=6).digest()).hex()]
    forged += [Tokens(lease.ref, key).text(Token(0, 0, lease.id)) for key in (b"", b"\0" * TOKEN_KEY_BYTES)]
    for verb in ("ack", "nack", "extend"):
        for token in forged:
            answer = await bridge.call("POST", f"{base}/{verb}", {"tokens": [token]})
            assert (answer.status, answer.json.get("path")) == (400, "$.tokens[0]"), verb
    # Nobody else has settled it.
    settled = await bridge.call("POST", f"{base}/ack", {"tokens": tokens(given)})
    assert [each["outcome"] for each in settled.json["results"]] == ["done"]


OWN = TopicRef("bridge-groups", "ledger")


async def test_nothing_of_the_bridges_own_stream_is_to_be_had_over_http(bridge: BridgeApp, base: str) -> None:
    await fill(bridge, 1)
    await receive(bridge, base)
    topic = f"/streams/{OWN.stream}/topics/{OWN.topic}"
    offsets, group = f"{topic}/consumers/c/offsets", f"{topic}/groups/g"
    for method, path, body in (
        ("GET", f"/streams/{OWN.stream}", None),
        ("DELETE", f"/streams/{OWN.stream}", None),
        ("POST", "/streams", {"name": OWN.stream}),
        ("GET", f"/streams/{OWN.stream}/topics", None),
        ("POST", f"/streams/{OWN.stream}/topics", {"name": "more"}),
        ("GET", topic, None),
        ("PATCH", topic, {"retention": {}}),
        ("DELETE", topic, None),
        ("GET", f"{topic}/messages", None),
        ("GET", f"{topic}/messages?cursor=first", None),
        ("GET", f"{topic}/messages/stream", None),
        ("POST", f"{topic}/messages", {"event": user_event()}),
        ("POST", f"{topic}/messages/batch", {"events": [user_event()]}),
        ("POST", f"{topic}/purge", None),
        ("POST", f"{topic}/partitions", {"count": 1}),
        ("GET", offsets, None),
        ("PUT", offsets, {"offsets": [{"partition_id": 0, "offset": 0}]}),
        ("DELETE", offsets, None),
        ("GET", f"{offsets}/0", None),
        ("PUT", f"{offsets}/0", {"offset": 0}),
        ("DELETE", f"{offsets}/0", None),
        ("GET", f"{topic}/groups", None),
        ("GET", group, None),
        ("DELETE", group, None),
        ("PUT", f"{group}/offsets", {"to": "first"}),
        ("POST", f"{group}/receive", {}),
        ("POST", f"{group}/ack", {"tokens": ["00"]}),
        ("POST", f"{group}/nack", {"tokens": ["00"]}),
        ("POST", f"{group}/extend", {"tokens": ["00"]}),
    ):
        # A log may take a name in whatever letters.
        for spelling in (path, path.replace(OWN.stream, OWN.stream.upper())):
            answer = await bridge.call(method, spelling, body)
            assert (answer.status, answer.json["error"]) == (403, "forbidden"), (method, spelling)
    for accepted in ("application/x-ndjson", "text/event-stream"):
        answer = await bridge.call("GET", f"{topic}/messages", headers={"Accept": accepted})
        assert (answer.status, answer.json["error"]) == (403, "forbidden"), accepted
    listed = [stream["name"] for stream in (await bridge.call("GET", "/streams")).json]
    assert bridge.topic.stream in listed
    assert OWN.stream not in listed


async def test_nothing_of_the_bridges_own_stream_is_to_be_had_over_a_socket(
    bridge: BridgeApp, base: str
) -> None:
    await receive(bridge, base)
    place = OWN._asdict()
    async with open_socket(bridge.session, bridge.base) as client:
        for operation, fields in (
            ("subscribe", {"permits": 1, "from": "first"}),
            ("subscribe", {"permits": 1, "group": "g"}),
            ("publish", {"payload": 1}),
        ):
            told = await client.ask(operation, "error", id="a", **place, **fields)
            assert (told["problem"]["status"], told["problem"]["path"]) == (403, "$.stream"), fields
