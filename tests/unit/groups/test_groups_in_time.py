"""Groups by a clock that the test moves, and what is bounded."""

import asyncio

import pytest

from bridge import limits
from bridge.config import GroupsConfig
from bridge.errors import BadRequest, Overloaded
from bridge.groups.records import AckKind, Acknowledge, Lease, Open
from bridge.messagelog import (
    FromOffset,
    NewMessage,
    Retention,
    ToPartition,
    TopicRef,
)
from tests.support.figures import total
from tests.support.group_scene import LEDGER, Gate, Scene
from tests.support.groups import GROUP, offsets_of
from tests.support.local_logs import TOPIC
from tests.support.turns import until

# --- time -------------------------------------------------------------------------------------------------------


async def test_a_message_comes_again_when_its_time_is_up_by_the_log_s_clock(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    (first,) = await replica.receive(TOPIC, visibility_ms=30_000)
    assert first.expires_at_us == scene.clock.now_us() + 30_000_000
    scene.clock.advance(29.9)
    assert await replica.receive(TOPIC) == ()
    scene.clock.advance(0.2)
    (second,) = await replica.receive(TOPIC)
    assert second.delivery_count == 2
    assert await replica.ack(TOPIC, first) == ["expired"]
    assert await replica.ack(TOPIC, second) == ["done"]


async def test_while_the_log_s_clock_stands_behind_no_lease_ends_and_nobody_asks_without_end(
    scene: Scene,
) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    assert len(await replica.receive(TOPIC, visibility_ms=1_000)) == 1
    scene.clock.advance(5)
    scene.clock._now_us -= 60_000_000
    assert await replica.receive(TOPIC) == ()
    assert await scene.told(Lease) < 20
    scene.clock.advance(60)
    assert len(await replica.receive(TOPIC)) == 1


async def test_an_ack_after_its_time_counts_if_nobody_was_faster(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    (given,) = await replica.receive(TOPIC, visibility_ms=1_000)
    scene.clock.advance(60)
    assert await replica.ack(TOPIC, given) == ["done"]
    assert await replica.receive(TOPIC) == ()


async def test_a_nack_with_a_delay_lets_the_message_come_after_it(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    (given,) = await replica.receive(TOPIC)
    await replica.groups.acknowledge(
        TOPIC, GROUP, AckKind.NACK, [given.token], delay_ms=5_000, deadline=scene.soon()
    )
    scene.clock.advance(4.9)
    assert await replica.receive(TOPIC) == ()
    scene.clock.advance(0.2)
    assert len(await replica.receive(TOPIC)) == 1


async def test_a_message_that_was_given_back_before_it_was_buried_is_not_kept_from_others(
    scene: Scene,
) -> None:
    replica, burier = await scene.start(), await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC, visibility_ms=1_000, max_deliveries=1)
    scene.clock.advance(2)
    await burier.receive(TOPIC, group="another")
    gate = Gate(burier, LEDGER)
    receiving = asyncio.create_task(burier.receive(TOPIC, max_deliveries=1))
    await until(lambda: burier.groups._receiving._aside)
    replica.groups.give_back(TOPIC, GROUP, given)
    await replica.groups._receiving.finish()
    gate.open.set()
    await receiving
    await burier.groups._receiving.finish()
    (again,) = await replica.receive(TOPIC, max_deliveries=1, wait_s=5)
    assert (again.message.payload, again.delivery_count) == (b"a", 1)
    assert total(burier.figures.dead_lettered) == 0


async def test_a_lease_that_took_too_long_to_get_is_not_handed_out(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    assert await replica.receive(TOPIC, group="another", visibility_ms=1_000)
    gate = Gate(replica, LEDGER)
    late = asyncio.create_task(replica.receive(TOPIC, visibility_ms=1_000, group="another", wait_s=0))
    scene.clock.advance(5)
    await gate.reached.wait()
    scene.clock.advance(1)
    gate.open.set()
    given = await late
    # It was given back without being counted, and given anew.
    assert all(each.delivery_count == 2 for each in given)
    (again,) = given or await replica.receive(TOPIC, group="another", wait_s=5)
    assert again.delivery_count == 2
    assert await scene.told(Acknowledge) >= 1


async def test_a_process_that_nobody_asks_rests_and_goes_on_when_asked(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a", b"b")
    (given,) = await replica.receive(TOPIC, 1, visibility_ms=600_000)
    scene.clock.advance(limits.GROUP_IDLE_S)
    ledger_replica = replica.groups._replica
    async with asyncio.timeout(60):
        while ledger_replica.is_followed:
            replica.groups._maintenance.due.set()
            await scene.log.probe(deadline=scene.soon())
            ledger_replica._written.set()
    assert len(replica.groups._served_groups.refs) == 0
    assert offsets_of(await replica.receive(TOPIC)) == [(0, 1)]
    assert await replica.ack(TOPIC, given) == ["done"]


# --- the topic --------------------------------------------------------------------------------------------------


async def test_what_retention_took_is_passed_over(scene: Scene) -> None:
    replica = await scene.start()
    old = TopicRef(TOPIC.stream, "old")
    await scene.log.create_topic(
        old, partitions_count=1, retention=Retention(age_s=60), deadline=scene.soon()
    )
    await scene.log.append(old, ToPartition(0), [NewMessage(b"a"), NewMessage(b"b")], deadline=scene.soon())
    assert len(await replica.receive(old, 1, visibility_ms=1_000)) == 1
    scene.clock.advance(120)
    await scene.log.append(old, ToPartition(0), [NewMessage(b"c")], deadline=scene.soon())
    await scene.log.retain()
    assert offsets_of(await replica.receive(old, wait_s=5)) == [(0, 2)]
    info = await replica.groups.group(old, GROUP, deadline=scene.soon())
    assert info.partitions[0].committed_offset == 1


async def test_an_answer_is_bounded_in_bytes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await scene.start()
    await scene.send(*(b"x" * 400 for _ in range(5)))
    monkeypatch.setattr(limits, "PAGE_BYTES_MAX", 1_000)
    assert offsets_of(await replica.receive(TOPIC)) == [(0, 0), (0, 1)]
    assert offsets_of(await replica.receive(TOPIC)) == [(0, 2), (0, 3)]


async def test_a_message_larger_than_an_answer_comes_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await scene.start()
    await scene.send(b"x" * 2_000, b"y")
    monkeypatch.setattr(limits, "PAGE_BYTES_MAX", 1_000)
    assert offsets_of(await replica.receive(TOPIC)) == [(0, 0)]


async def test_what_is_read_ahead_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_AHEAD_BYTES_MAX", 1)
    replica = await scene.start()
    await scene.send(b"a", b"b")
    await scene.send(b"c", b"d", partition_id=1)
    for _ in range(4):
        assert len(await replica.receive(TOPIC, 1)) == 1
    windows = replica.groups._context.ahead._windows
    assert sum(len(window.records) > 0 for window in windows.values()) <= 1


# --- bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, path",
    [
        ({"count": 0}, "count"),
        ({"count": limits.GROUP_RECEIVE_MESSAGES_MAX + 1}, "count"),
        ({"visibility_ms": limits.GROUP_VISIBILITY_MS_MIN - 1}, "visibility_ms"),
        ({"visibility_ms": limits.GROUP_VISIBILITY_MS_MAX + 1}, "visibility_ms"),
        ({"max_deliveries": 0}, "max_deliveries"),
        ({"group": "1"}, "group"),
        ({"group": "g" * (limits.GROUP_NAME_CHARS_MAX + 1)}, "group"),
    ],
)
async def test_what_is_out_of_bounds_is_refused(scene: Scene, options: dict[str, int], path: str) -> None:
    replica = await scene.start()
    with pytest.raises(BadRequest) as refused:
        await replica.receive(TOPIC, **options)  # type: ignore[arg-type]
    assert refused.value.path == path


async def test_too_many_receivers_are_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_RECEIVERS_MAX", 0)
    replica = await scene.start()
    with pytest.raises(Overloaded):
        await replica.receive(TOPIC)


async def test_too_many_groups_are_refused_until_one_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUPS_MAX", 1)
    replica = await scene.start()
    assert await replica.receive(TOPIC) == ()
    told = await scene.told(Open)
    with pytest.raises(BadRequest, match="There are 1 groups") as refused:
        await replica.receive(TOPIC, group="another")
    assert (refused.value.path, refused.value.limit) == ("group", 1)
    # What was refused leaves nothing behind, in the ledger neither.
    assert [each.group for each in replica.groups._served_groups.refs] == [GROUP]
    assert len(list(replica.groups._served_groups)) == 1
    assert await scene.told(Open) == told
    scene.clock.advance(GroupsConfig().unused_s)
    replica.groups._served_groups.tidy()
    await scene.look(replica)
    assert await replica.receive(TOPIC, group="another") == ()


async def test_a_group_is_taken_up_with_all_its_partitions_or_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_PARTITIONS_MAX", 3)
    replica = await scene.start()
    assert await replica.receive(TOPIC) == ()
    with pytest.raises(BadRequest, match="3 partitions at most") as refused:
        await replica.receive(TOPIC, group="another")
    assert (refused.value.path, refused.value.limit) == ("group", 3)
    assert [each.group for each in replica.groups._replica.ledger.groups] == [GROUP]


async def test_who_waits_where_no_partition_can_be_watched_looks_for_himself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.flow.following.tails.TAILS_MAX", 0)
    replica = await scene.start()
    waiting = asyncio.create_task(replica.receive(TOPIC, wait_s=20))
    assert await replica.receive(TOPIC, group="another") == ()
    await scene.send(b"a")
    async with asyncio.timeout(60):
        while not waiting.done():
            await scene.log.probe(deadline=scene.soon())
            await asyncio.sleep(0.01)
    assert offsets_of(waiting.result()) == [(0, 0)]


async def test_the_own_stream_is_known(scene: Scene) -> None:
    replica = await scene.start()
    assert replica.groups.is_own(LEDGER.stream)
    assert not replica.groups.is_own(TOPIC.stream)


async def test_a_seek_to_beyond_the_end_goes_to_the_end(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    (moved, other) = await replica.groups.seek(
        TOPIC, GROUP, FromOffset(99), dry_run=True, deadline=scene.soon()
    )
    assert (moved.to_offset, other.to_offset) == (1, 0)
