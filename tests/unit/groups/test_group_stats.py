"""How groups stand, told by whoever looks, and the end of those that nobody uses."""

import pytest

from bridge.config import GroupsConfig
from bridge.errors import Disconnected
from bridge.groups import inspection, oldest_messages
from bridge.groups.records import AckKind, ExpireGroup, GroupRef
from bridge.messagelog import TopicRef
from bridge.telemetry.group_metrics import GroupStats
from tests.support.group_scene import LEDGER, SNAPSHOTS, Scene
from tests.support.groups import GROUP, Replica, offsets_of
from tests.support.local_logs import TOPIC

UNUSED_S = GroupsConfig().unused_s


async def standing(replica: Replica) -> GroupStats | None:
    """As the process tells it that is not asked for anything; the age is left out."""
    await Scene.look(replica)
    assert replica.figures.told is not None
    stats = replica.figures.told.get((*TOPIC, GROUP))
    return stats and stats._replace(oldest_age_s=None)


async def age_s(replica: Replica) -> float | None:
    """Of the oldest message that is not settled."""
    await Scene.look(replica)
    assert replica.figures.told is not None
    stats = replica.figures.told[*TOPIC, GROUP]
    assert stats is not None
    return stats.oldest_age_s


async def test_the_lag_of_a_group_whose_owner_is_gone_is_told_by_whoever_is_there(scene: Scene) -> None:
    one, other = await scene.start(), await scene.start()
    await scene.send(b"a", b"b", b"c")
    given = await one.receive(TOPIC, 2, visibility_ms=600_000)
    await one.ack(TOPIC, given[0])
    assert await standing(one) == GroupStats(2, 1, 0, 0, 0)
    await one.crash()
    await scene.send(*(b"%d" % number for number in range(1_000)))
    await scene.send(b"x", partition_id=1)
    assert await standing(other) == GroupStats(1_003, 1, 0, 0, 0)
    # And by one that starts later, without a word to anybody.
    before = len(await scene.log.topics(LEDGER.stream, deadline=scene.soon()))
    assert await standing(await scene.start()) == GroupStats(1_003, 1, 0, 0, 0)
    assert len(await scene.log.topics(LEDGER.stream, deadline=scene.soon())) == before


async def test_what_waits_is_told_besides(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a", b"b", b"c", b"d")
    given = await replica.receive(TOPIC, 3, visibility_ms=1_000, max_deliveries=1)
    tokens = [each.token for each in given]
    await replica.groups.acknowledge(
        TOPIC, GROUP, AckKind.NACK, tokens[:1], delay_ms=60_000, deadline=scene.soon()
    )
    await replica.groups.acknowledge(TOPIC, GROUP, AckKind.NACK, tokens[1:2], deadline=scene.soon())
    assert await standing(replica) == GroupStats(4, 1, 2, 1, 0)
    scene.clock.advance(2)
    # The two that are free again were given out often enough.
    assert offsets_of(await replica.receive(TOPIC, 4, max_deliveries=1, visibility_ms=600_000)) == [(0, 3)]
    await replica.groups._receiving.finish()
    assert await standing(replica) == GroupStats(4, 1, 1, 1, 2)


async def test_where_nothing_is_known_nothing_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await scene.start()
    await replica.groups._maintenance.measure_once()
    assert replica.figures.told is None
    await scene.send(b"a")
    await replica.receive(TOPIC)
    assert await standing(replica) == GroupStats(1, 1, 0, 0, 0)

    async def fail(*_: object, **__: object) -> None:
        raise Disconnected

    monkeypatch.setattr(scene.log, "topic", fail)
    with pytest.raises(Disconnected):
        await replica.groups._maintenance.measure_once()
    assert replica.figures.told is None
    other = await scene.start()
    await other.groups._replica._look()
    await other.groups._maintenance.measure_once()
    assert other.figures.told is None


async def test_a_group_that_nobody_used_for_long_ends_and_goes_on_where_it_was(scene: Scene) -> None:
    one = await scene.start()
    await scene.send(b"a", b"b", b"c")
    given = await one.receive(TOPIC, 2, visibility_ms=1_000)
    await one.ack(TOPIC, given[0])
    await one.receive(TOPIC, group="other")
    await one.crash()
    two = await scene.start()
    scene.clock.advance(UNUSED_S - 1)
    await standing(two)
    assert await scene.told(ExpireGroup) == 0
    await two.receive(TOPIC, group="other")
    scene.clock.advance(2)
    await standing(two)
    assert await scene.told(ExpireGroup) == 1
    names = [each.name for each in await two.groups.groups(TOPIC, deadline=scene.soon())]
    assert names == ["other"]
    assert offsets_of(await two.receive(TOPIC)) == [(0, 1), (0, 2)]


async def test_a_group_that_somebody_waits_at_does_not_end(scene: Scene) -> None:
    replica = await scene.start()
    await replica.receive(TOPIC)
    (served,) = replica.groups._served_groups
    served.receivers += 1
    scene.clock.advance(2 * UNUSED_S)
    await standing(replica)
    assert await scene.told(ExpireGroup) == 0
    served.receivers -= 1
    scene.clock.advance(1)
    await standing(replica)
    assert await scene.told(ExpireGroup) == 1


async def test_groups_of_a_topic_that_somebody_deleted_end_with_it(scene: Scene) -> None:
    replica = await scene.start()
    topic = TopicRef(TOPIC.stream, "short")
    await scene.log.create_topic(topic, partitions_count=1, deadline=scene.soon())
    await replica.receive(topic)
    await scene.log.delete_topic(topic, deadline=scene.soon())
    scene.clock.advance(1)
    await standing(replica)
    assert replica.groups._replica.ledger.groups == {}
    await standing(replica)
    assert replica.figures.told == {}


async def test_a_ledger_that_goes_while_nobody_asks_is_forgotten(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await scene.send(b"a")
    await one.receive(TOPIC)
    await one.close()
    assert await standing(two) == GroupStats(1, 1, 0, 0, 0)
    await scene.log.delete_topic(SNAPSHOTS, deadline=scene.soon())
    for _ in range(2):
        await two.groups._replica._look()
        await two.groups._maintenance.measure_once()
        # Without its snapshots it is not known to be whole.
        assert two.figures.told is None
    await scene.log.delete_stream(LEDGER.stream, deadline=scene.soon())
    assert await standing(two) is None
    assert two.figures.told == {}


async def test_a_group_is_as_late_as_its_oldest_message_that_is_not_settled(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    scene.clock.advance(10)
    await scene.send(b"b", partition_id=1)
    scene.clock.advance(5)
    given = {each.message.payload: each for each in await replica.receive(TOPIC, 2, visibility_ms=600_000)}
    assert await age_s(replica) == 15
    await replica.ack(TOPIC, given[b"a"])
    assert await age_s(replica) == 5
    await replica.ack(TOPIC, given[b"b"])
    assert await age_s(replica) == 0


async def test_the_log_is_asked_for_a_message_once_and_only_for_so_many_at_a_look(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oldest_messages, "GROUP_AGES_READ_MAX", 1)
    replica = await scene.start()
    await scene.send(b"a")
    await scene.send(b"b", partition_id=1)
    await replica.receive(TOPIC, 2, visibility_ms=600_000)
    # One of two partitions is not known yet, and it may be the later one.
    assert await age_s(replica) is None
    assert await age_s(replica) == 0

    async def fail(*_: object, **__: object) -> None:
        raise Disconnected

    monkeypatch.setattr(scene.log, "read", fail)
    scene.clock.advance(3)
    assert await age_s(replica) == 3


async def test_groups_beyond_the_bound_of_partitions_have_no_age(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "GROUP_AGES_MAX", 0)
    replica = await scene.start()
    await scene.send(b"a")
    await replica.receive(TOPIC)
    assert await age_s(replica) is None
    assert await standing(replica) == GroupStats(1, 1, 0, 0, 0)


async def test_of_what_is_gone_nothing_is_known(scene: Scene) -> None:
    oldest = oldest_messages.OldestMessages(scene.log)
    gone, there = GroupRef(TOPIC.stream, "gone", GROUP), GroupRef(*TOPIC, GROUP)
    await scene.send(b"a")
    await oldest.look({(gone, 0): 0, (there, 0): 0, (there, 1): 0}, deadline=scene.soon())
    assert oldest.stored_us(gone, (0,)) is None
    assert oldest.stored_us(there, (0,)) is not None
    assert oldest.stored_us(there, (0, 1)) is None
    await oldest.look({}, deadline=scene.soon())
    assert oldest.stored_us(there, (0,)) is None
