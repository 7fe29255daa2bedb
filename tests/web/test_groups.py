"""Groups over HTTP: messages under leases, given back, settled, and how far a group came."""

import asyncio
from typing import Any

import pytest

from bridge.groups.values import Delivery
from bridge.messagelog import NewMessage, ToPartition
from bridge.web.rules import RULES
from bridge.web.server.connection import BridgeProtocol
from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event
from tests.support.group_calls import fill, places, receive, receive_all, tokens
from tests.support.groups import LEASE_MS


@pytest.fixture
def topic(bridge: BridgeApp) -> str:
    return f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}"


@pytest.fixture
def base(topic: str) -> str:
    return f"{topic}/groups/billing"


async def test_a_message_is_received_as_it_is_polled_with_its_lease(
    bridge: BridgeApp, topic: str, base: str
) -> None:
    sent = await bridge.call("POST", f"{topic}/messages", {"event": user_event()})
    place = (sent.json["partition_id"], sent.json["offset"])
    received = await bridge.call("POST", f"{base}/receive")
    assert (received.status, received.json["count"], places(received)) == (200, 1, [place])
    polled = await bridge.call("GET", f"{topic}/messages?offset=0&partition_id={place[0]}")
    (message,) = received.json["messages"]
    assert message.pop("delivery_count") == 1
    assert len(message.pop("token")) > 20
    assert message.pop("lease_expires_at") > message["timestamp"]
    assert message.pop("partition_id") == place[0]
    assert [message] == polled.json["messages"]


async def test_no_message_is_given_twice_and_what_is_acked_never_comes_again(
    bridge: BridgeApp, base: str
) -> None:
    await fill(bridge, 7, 5, 3)
    answers = [await receive(bridge, base, count=4) for _ in range(5)]
    given = [place for answer in answers for place in places(answer)]
    assert sorted(given) == [(0, n) for n in range(7)] + [(1, n) for n in range(5)] + [
        (2, n) for n in range(3)
    ]
    everything = [token for answer in answers for token in tokens(answer)]
    acked = await bridge.call("POST", f"{base}/ack", {"tokens": everything})
    assert (acked.status, acked.json["done"]) == (200, 15)
    assert acked.json["results"] == [{"token": token, "outcome": "done"} for token in everything]
    again = await bridge.call("POST", f"{base}/ack", {"tokens": everything[:1]})
    assert again.json == {"results": [{"token": everything[0], "outcome": "settled"}], "done": 0}
    assert places(await receive(bridge, base)) == []
    told = (await bridge.call("GET", base)).json
    assert (told["lag"], told["in_flight"]) == (0, 0)
    assert [part["committed_offset"] for part in told["partitions"]] == [6, 4, 2]


async def test_a_message_given_back_comes_again_and_is_counted(bridge: BridgeApp, base: str) -> None:
    await fill(bridge, 2)
    first = await receive(bridge, base)
    back = await bridge.call("POST", f"{base}/nack", {"tokens": tokens(first)[:1]})
    assert (back.status, back.json["done"]) == (200, 1)
    again = await receive(bridge, base)
    assert [(message["offset"], message["delivery_count"]) for message in again.json["messages"]] == [(0, 2)]
    stale = await bridge.call("POST", f"{base}/ack", {"tokens": tokens(first)[:1]})
    assert stale.json["results"][0]["outcome"] == "expired"
    later = await bridge.call("POST", f"{base}/nack", {"tokens": tokens(again), "delay_ms": 3_600_000})
    assert later.json["done"] == 1
    assert places(await receive(bridge, base)) == []


async def test_a_lease_that_ends_gives_the_message_to_who_waits(bridge: BridgeApp, base: str) -> None:
    await fill(bridge, 1)
    first = await receive(bridge, base, visibility_ms=LEASE_MS)
    waited = await receive(bridge, base, wait_ms=10_000)
    assert [(message["offset"], message["delivery_count"]) for message in waited.json["messages"]] == [(0, 2)]
    stale = await bridge.call("POST", f"{base}/ack", {"tokens": tokens(first)})
    assert stale.json["results"][0]["outcome"] == "expired"


async def test_a_lease_is_extended_from_now_on(bridge: BridgeApp, base: str) -> None:
    await fill(bridge, 1)
    first = await receive(bridge, base, visibility_ms=60_000)
    kept = await bridge.call("POST", f"{base}/extend", {"tokens": tokens(first), "visibility_ms": 600_000})
    (result,) = kept.json["results"]
    assert (kept.status, result["outcome"]) == (200, "done")
    assert result["lease_expires_at"] > first.json["messages"][0]["lease_expires_at"]
    told = (await bridge.call("GET", base)).json
    assert (told["in_flight"], told["lag"]) == (1, 1)


async def until_there(bridge: BridgeApp, topic: str) -> None:
    """Letters are written beside requests."""
    while (await bridge.call("GET", topic)).status == 404:
        pass


async def test_a_message_given_out_too_often_goes_to_the_dead_letters(
    bridge: BridgeApp, topic: str, base: str
) -> None:
    await fill(bridge, 1)
    for count in (1, 2):
        given = await receive(bridge, base, max_deliveries=2, wait_ms=5000)
        assert given.json["messages"][0]["delivery_count"] == count
        await bridge.call("POST", f"{base}/nack", {"tokens": tokens(given)})
    letters = f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}.billing.dlq"
    # Who asks for it makes the bridge find it spent; who waits sees that there is nothing.
    assert places(await receive(bridge, base, max_deliveries=2, wait_ms=300)) == []
    await until_there(bridge, letters)
    found = await receive(bridge, f"{letters}/groups/keepers", wait_ms=5000)
    (letter,) = found.json["messages"]
    assert letter["payload"] == {"number": 0}
    assert str(bridge.topic.topic) in letter["headers"].values()


# --- waiting ----------------------------------------------------------------------------------------------------


async def until_waiting(bridge: BridgeApp, waiting: "asyncio.Task[Any]", count: int = 1) -> None:
    """Return when so many receivers wait in the engine and hold no place."""
    admission = bridge.runner.app[RULES].admission
    while bridge.services.groups._receivers != count or admission.in_flight:
        done, _ = await asyncio.wait({waiting}, timeout=0.005)
        assert not done
    # Not in its first look any more, which takes no time to speak of.
    assert not waiting.done()


async def test_who_waits_is_given_what_comes_and_holds_no_place(bridge: BridgeApp, base: str) -> None:
    waiting = asyncio.create_task(receive(bridge, base, wait_ms=20_000))
    await until_waiting(bridge, waiting)
    await bridge.call("POST", "/messages", {"event": user_event()})
    answer = await waiting
    assert answer.json["count"] == 1


async def test_who_waits_is_told_nothing_when_the_time_is_over_or_the_bridge_drains(
    bridge: BridgeApp, base: str
) -> None:
    assert (await receive(bridge, base, wait_ms=50)).json == {"messages": [], "count": 0}
    answer = await bridge.call(
        "POST", f"{base}/receive", {"wait_ms": 60_000}, headers={"X-Request-Timeout": "3000"}
    )
    assert (answer.status, answer.json["count"]) == (200, 0)
    waiting = asyncio.create_task(receive(bridge, base, wait_ms=20_000))
    await until_waiting(bridge, waiting)
    bridge.services.groups.end_waits()
    assert (await waiting).json == {"messages": [], "count": 0}


async def test_who_leaves_while_waiting_takes_nothing_along(bridge: BridgeApp, base: str) -> None:
    waiting = asyncio.create_task(receive(bridge, base, wait_ms=20_000))
    await until_waiting(bridge, waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    other = asyncio.create_task(receive(bridge, base, wait_ms=20_000))
    await until_waiting(bridge, other)
    await bridge.call("POST", "/messages", {"event": user_event()})
    (message,) = (await other).json["messages"]
    assert message["delivery_count"] == 1


async def test_what_was_leased_to_who_has_left_is_free_at_once_and_not_counted(
    bridge: BridgeApp, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bridge, 3)
    groups = bridge.services.groups
    leased = asyncio.Event()
    left = asyncio.Event()
    receive_indeed = groups.receive

    async def receive_and_stay(*args: Any, **options: Any) -> tuple[Delivery, ...]:
        deliveries = await receive_indeed(*args, **options)
        leased.set()
        await left.wait()
        return deliveries

    monkeypatch.setattr(groups, "receive", receive_and_stay)
    leaving = asyncio.create_task(receive(bridge, base))
    await leased.wait()
    assert bridge.runner.server is not None
    (protocol,) = bridge.runner.server.connections
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert isinstance(protocol, BridgeProtocol)
    while not protocol.may_have_left:
        await asyncio.wait({leaving, asyncio.create_task(left.wait())}, timeout=0.005)
    monkeypatch.undo()
    left.set()
    again = await receive(bridge, base, wait_ms=10_000)
    assert [(message["offset"], message["delivery_count"]) for message in again.json["messages"]] == [
        (0, 1), (1, 1), (2, 1),
    ]  # fmt: skip


# --- groups themselves ------------------------------------------------------------------------------------------


async def test_groups_of_a_topic_are_listed_with_how_far_they_came(
    bridge: BridgeApp, topic: str, base: str
) -> None:
    assert (await bridge.call("GET", f"{topic}/groups")).json == []
    await fill(bridge, 4, 2)
    await bridge.call("POST", f"{base}/ack", {"tokens": (await receive_all(bridge, base))[:5]})
    await receive(bridge, f"{topic}/groups/audit", count=1)
    listed = await bridge.call("GET", f"{topic}/groups")
    assert [(row["name"], row["lag"], row["in_flight"]) for row in listed.json] == [
        ("audit", 6, 1),
        ("billing", 1, 1),
    ]
    told = (await bridge.call("GET", base)).json
    assert len(told["members"]) == 1
    assert set(told["partitions"][0]) == {
        "partition_id", "committed_offset", "end_offset", "lag", "in_flight", "waiting", "owner",
    }  # fmt: skip
    assert (await bridge.call("HEAD", base)).status == 200


async def test_a_group_is_moved_after_it_was_told_where_to(bridge: BridgeApp, base: str) -> None:
    await fill(bridge, 5, 2)
    await bridge.call("POST", f"{base}/ack", {"tokens": await receive_all(bridge, base)})
    for to, targets in (
        ("first", {0: 0, 1: 0, 2: 0}),
        ("last", {0: 5, 1: 2, 2: 0}),
        ("2000-01-01T00:00:00Z", {0: 0, 1: 0, 2: 0}),
        ({"offsets": [{"partition_id": 0, "offset": 3}]}, {0: 3}),
    ):
        dry = await bridge.call("PUT", f"{base}/offsets", {"to": to, "dry_run": True})
        assert (dry.status, dry.json["dry_run"]) == (200, True)
        assert {row["partition_id"]: row["to_offset"] for row in dry.json["partitions"]} == targets
        assert {row["from_offset"] for row in dry.json["partitions"] if row["partition_id"] == 0} == {5}
    assert places(await receive(bridge, base)) == []
    moved = await bridge.call(
        "PUT", f"{base}/offsets", {"to": {"offsets": [{"partition_id": 0, "offset": 3}]}}
    )
    assert (moved.status, moved.json["dry_run"]) == (200, False)
    assert places(await receive(bridge, base)) == [(0, 3), (0, 4)]


async def test_a_deleted_group_begins_again(bridge: BridgeApp, topic: str, base: str) -> None:
    await fill(bridge, 2)
    await bridge.call("POST", f"{base}/ack", {"tokens": tokens(await receive(bridge, base))})
    assert (await bridge.call("DELETE", base)).status == 204
    for method in ("GET", "DELETE"):
        gone = await bridge.call(method, base)
        assert (gone.status, gone.json["path"]) == (404, "group")
    assert places(await receive(bridge, base)) == [(0, 0), (0, 1)]


@pytest.mark.parametrize("how", ["purge", "topic", "stream"])
async def test_a_group_misses_nothing_of_a_topic_that_began_again(
    bridge: BridgeApp, topic: str, base: str, how: str
) -> None:
    await fill(bridge, 5)
    given = await receive(bridge, base)
    await bridge.call("POST", f"{base}/ack", {"tokens": tokens(given)[:4]})
    if how == "purge":
        assert (await bridge.call("POST", f"{topic}/purge")).status == 204
    else:
        # It is the default topic, and is made again by itself.
        stream = f"/streams/{bridge.topic.stream}"
        assert (await bridge.call("DELETE", topic if how == "topic" else stream)).status == 204
    batch = [NewMessage(b'{"new":%d}' % number) for number in range(8)]
    await bridge.log.append(bridge.topic, ToPartition(0), batch, deadline=bridge.deadline())
    seen: list[tuple[int, int, Any]] = []
    while len(seen) < 8:
        again = await receive(bridge, base, count=20, wait_ms=5000)
        seen += [
            (message["offset"], message["delivery_count"], message["payload"])
            for message in again.json["messages"]
        ]
    assert seen == [(number, 1, {"new": number}) for number in range(8)]
    stale = await bridge.call("POST", f"{base}/ack", {"tokens": tokens(given)[4:]})
    assert stale.json["results"][0]["outcome"] == "expired"


async def test_the_figures_count_what_users_sent_and_not_what_groups_note(
    bridge: BridgeApp, base: str
) -> None:
    await bridge.refresh_stats()
    before = (await bridge.call("GET", "/stats")).json
    for _ in range(3):
        assert (await bridge.call("POST", "/messages", {"event": user_event()})).status == 201
    for _ in range(5):
        given = await receive(bridge, base)
        if given.json["count"]:
            await bridge.call("POST", f"{base}/ack", {"tokens": tokens(given)})
    await bridge.refresh_stats()
    after = (await bridge.call("GET", "/stats")).json
    more = {
        name: after[name] - before[name] for name in after if name.endswith(("_count", "_messages", "_sent"))
    }
    assert more == {"streams_count": 0, "topics_count": 0, "total_messages": 3, "messages_sent": 3}
    figures = (await bridge.call("GET", "/metrics")).body.decode()
    assert 'stream="bridge-groups"' not in figures
