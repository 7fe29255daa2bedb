"""What becomes of groups when their ledger, its snapshots or the topic itself are emptied or deleted by somebody."""

import asyncio
import contextlib

import pytest

from bridge import limits
from bridge.errors import BridgeError, Disconnected, Outcome, TopicNotFound
from bridge.messagelog import ConsumerKey, First, TopicRef
from tests.support.group_scene import LEDGER, SNAPSHOTS, Gate, Scene
from tests.support.groups import GROUP, Replica, offsets_of
from tests.support.local_logs import TOPIC
from tests.support.turns import until


async def half_acked(scene: Scene, replica: Replica) -> None:
    """Four messages, of which the first two are settled, and that is stored; the others are out."""
    await scene.send(b"a", b"b", b"c", b"d")
    given = await replica.receive(TOPIC, visibility_ms=600_000)
    await replica.ack(TOPIC, *given[:2])
    await replica.groups._maintenance.heartbeat(replica.groups._served_groups.refs)
    await replica.groups._maintenance.commit_offsets()


async def received(replica: Replica) -> list[tuple[int, int]]:
    """What is handed out next, however often it must be asked for."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(BridgeError):
                if given := await replica.receive(TOPIC, wait_s=1):
                    return offsets_of(given)


async def test_an_emptied_ledger_is_taken_up_again_from_the_stored_marks(scene: Scene) -> None:
    replica = await scene.start()
    await half_acked(scene, replica)
    await scene.log.purge_topic(LEDGER, deadline=scene.soon())
    assert await received(replica) == [(0, 2), (0, 3)]


async def test_a_deleted_ledger_is_made_anew_at_the_next_record(scene: Scene) -> None:
    replica = await scene.start()
    await half_acked(scene, replica)
    await scene.log.delete_topic(LEDGER, deadline=scene.soon())
    assert await received(replica) == [(0, 2), (0, 3)]
    assert await scene.log.partitions_count(LEDGER, deadline=scene.soon()) == 1


async def test_a_snapshot_of_before_the_ledger_was_emptied_is_not_believed(scene: Scene) -> None:
    one = await scene.start()
    await half_acked(scene, one)
    await one.close()
    await scene.log.purge_topic(LEDGER, deadline=scene.soon())
    two = await scene.start()
    assert await received(two) == [(0, 2), (0, 3)]
    three = await scene.start()
    assert await three.receive(TOPIC) == ()


async def test_snapshots_that_are_gone_are_made_again_and_nothing_is_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_SNAPSHOT_RECORDS", 1)
    replica = await scene.start()
    await half_acked(scene, replica)
    await scene.log.delete_topic(SNAPSHOTS, deadline=scene.soon())
    await replica.groups._maintenance.snapshot()
    assert await replica.receive(TOPIC) == ()
    await replica.groups._maintenance.snapshot()
    page = await scene.log.read(SNAPSHOTS, 0, First(), count=10, deadline=scene.soon())
    assert len(page.messages) == 1


async def test_a_topic_emptied_past_the_bridge_is_begun_again(scene: Scene) -> None:
    replica = await scene.start()
    await half_acked(scene, replica)
    await scene.log.purge_topic(TOPIC, deadline=scene.soon())
    scene.clock.advance(1)
    assert await replica.receive(TOPIC) == ()
    await scene.send(b"new")
    assert await received(replica) == [(0, 0)]


async def test_a_topic_emptied_under_messages_that_come_again_is_begun_again(scene: Scene) -> None:
    replica = await scene.start()
    await half_acked(scene, replica)
    await scene.log.purge_topic(TOPIC, deadline=scene.soon())
    scene.clock.advance(700)
    await scene.send(b"new")
    assert await received(replica) == [(0, 0)]


async def test_a_group_that_is_forgotten_while_somebody_waits_begins_again_for_him(scene: Scene) -> None:
    replica = await scene.start()
    await half_acked(scene, replica)
    waiting = asyncio.create_task(replica.receive(TOPIC, wait_s=15))
    assert await replica.receive(TOPIC, group="another") != ()
    await replica.groups.forget(*TOPIC, deadline=scene.soon())
    # Its stored offset is not the group's to delete.
    assert offsets_of(await waiting) == [(0, 2), (0, 3)]


async def test_groups_of_other_topics_and_streams_are_not_forgotten(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    await replica.receive(TOPIC)
    await replica.groups.forget(TOPIC.stream, "another", deadline=scene.soon())
    await replica.groups.forget("another", deadline=scene.soon())
    assert [each.name for each in await replica.groups.groups(TOPIC, deadline=scene.soon())] == [GROUP]
    await replica.groups.forget(TOPIC.stream, deadline=scene.soon())
    assert await replica.groups.groups(TOPIC, deadline=scene.soon()) == ()


async def test_a_mark_that_cannot_be_stored_is_stored_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await scene.start()
    store = scene.log.store_offset
    failures = [Disconnected(), TopicNotFound()]

    async def fail_first(
        topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, **rest: object
    ) -> None:
        if failures:
            raise failures.pop(0)
        await store(topic, partition_id, consumer, offset, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scene.log, "store_offset", fail_first)
    await scene.send(b"a", b"b")
    given = await replica.receive(TOPIC, visibility_ms=600_000)
    maintenance = replica.groups._maintenance
    await maintenance.heartbeat(replica.groups._served_groups.refs)
    await replica.ack(TOPIC, given[0])
    while failures:
        await maintenance.commit_offsets()
    assert await scene.log.stored_offset(TOPIC, 0, f"group.{GROUP}", deadline=scene.soon()) is None
    # Refused is not asked again, until the mark moves.
    await maintenance.commit_offsets()
    await replica.ack(TOPIC, given[1])
    await maintenance.commit_offsets()
    stored = await scene.log.stored_offset(TOPIC, 0, f"group.{GROUP}", deadline=scene.soon())
    assert stored is not None
    assert stored.offset == 1


async def test_duties_that_fail_are_done_again(scene: Scene) -> None:
    replica = await scene.start()
    assert await replica.receive(TOPIC) == ()
    await until(lambda: replica.groups._maintenance.refs)
    gate = Gate(replica, LEDGER)
    gate.before = Disconnected(outcome=Outcome.NOT_WRITTEN)
    gate.open.set()
    # Nobody receives any more, which is told, and told again.
    scene.clock.advance(limits.GROUP_MEMBER_LINGER_S)
    replica.groups._maintenance.due.set()
    await gate.reached.wait()
    gate.before = None
    gate.reached.clear()
    replica.groups._maintenance.due.set()
    await gate.reached.wait()
    await until(lambda: not replica.groups._maintenance.refs)
    assert await replica.receive(TOPIC) == ()
    await until(lambda: replica.groups._maintenance.refs)
    gate.before = Disconnected(outcome=Outcome.NOT_WRITTEN)
    await replica.groups.release()
