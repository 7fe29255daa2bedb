"""What processes write, and know of each other, while no group is used."""

import asyncio
import contextlib

import pytest

from bridge import limits
from bridge.clock import Deadline
from bridge.groups.ledger import Ledger
from bridge.groups.records import Heartbeat, Lease, Leave
from bridge.groups.values import Delivery
from bridge.messagelog import First, Last
from tests.support.group_scene import LEDGER, SNAPSHOTS, Gate, Scene
from tests.support.groups import GROUP, Replica, offsets_of
from tests.support.local_logs import TOPIC
from tests.support.turns import until


async def caught_up(scene: Scene, replica: Replica) -> None:
    """Whatever the others told is known: seconds pass here between two looks at the ledger."""
    ledger_replica, there = replica.groups._replica, await records(scene)
    while ledger_replica.is_followed and ledger_replica.ledger.offset < there:
        ledger_replica._written.set()
        await asyncio.sleep(0)


async def ticks(scene: Scene, seconds: int, *replicas: Replica) -> None:
    """So much time, in which every process does its maintenance once a second."""
    for _ in range(seconds):
        scene.clock.advance(1)
        for replica in replicas:
            if replica.groups._replica.is_followed:
                await caught_up(scene, replica)
                await replica.groups._maintenance.turn()


async def records(scene: Scene) -> int:
    page = await scene.log.read(LEDGER, 0, Last(), count=1, deadline=scene.soon())
    return page.end_offset


async def members(scene: Scene, replica: Replica) -> set[str]:
    return set((await replica.groups.group(TOPIC, GROUP, deadline=scene.soon())).members)


async def receiving(replica: Replica) -> tuple[Delivery, ...]:
    """As consumers wait, one after the other."""
    deadline = Deadline.after(10**7, replica.clock)
    return await replica.groups.receive(TOPIC, GROUP, count=1, wait_s=10**6, deadline=deadline)


def waits(replica: Replica) -> bool:
    return any(served.change._waiters for served in replica.groups._served_groups)


def name(replica: Replica) -> str:
    return f"{replica.groups._context.member_id:016x}"


async def test_an_idle_group_writes_nothing_to_its_ledger_while_consumers_wait(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await scene.send(b"a")
    await one.ack(TOPIC, *await one.receive(TOPIC))
    waiting = [asyncio.create_task(receiving(each)) for each in (one, two)]
    await until(lambda: waits(one) and waits(two))
    await ticks(scene, 20, one, two)
    before = await records(scene)
    await ticks(scene, 600, one, two)
    assert await records(scene) == before
    for each in (one, two):
        await caught_up(scene, each)
    # They are still known to be there, and the next message goes to one of them.
    assert await members(scene, one) == {name(one), name(two)}
    await scene.send(b"b")
    for each in (one, two):
        each.tails.stored(TOPIC, 0, 2)
    await until(lambda: any(each.done() for each in waiting))
    (given,) = [each.result() for each in waiting if each.done()]
    assert offsets_of(given) == [(0, 1)]
    for task in waiting:
        task.cancel()


async def test_a_group_that_nobody_receives_from_any_more_writes_one_farewell(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    await replica.ack(TOPIC, *await replica.receive(TOPIC))
    await until(lambda: replica.groups._maintenance.refs)
    before = await records(scene)
    await ticks(scene, 3600, replica)
    assert await scene.told(Leave) == 1
    assert await records(scene) == before + 1
    assert await members(scene, replica) == set()


async def test_who_polls_now_and_then_writes_nothing_where_there_is_nothing(scene: Scene) -> None:
    replica = await scene.start()
    await replica.receive(TOPIC)
    await until(lambda: replica.groups._maintenance.refs)
    before = await records(scene)
    for _ in range(100):
        await ticks(scene, 5, replica)
        assert await replica.receive(TOPIC) == ()
    assert await records(scene) == before


async def test_a_killed_process_is_out_once_the_group_is_used_for_as_long_as_it_may_be_silent(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    for each in (one, two):
        await each.receive(TOPIC)
        await until(lambda each=each: each.groups._maintenance.refs)  # type: ignore[misc]
    await two.crash()
    for at in range(limits.GROUP_MEMBER_TTL_MS // 1000 + 2):
        await scene.send(b"%d" % at)
        assert len(await one.receive(TOPIC)) == 1
        await ticks(scene, 1, one)
    assert await members(scene, one) == {name(one)}
    assert await scene.told(Heartbeat) < 10


async def test_after_a_rest_those_who_wait_say_that_they_are_there(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    waiting = [asyncio.create_task(receiving(each)) for each in (one, two)]
    await until(lambda: all(each.groups._maintenance.refs for each in (one, two)))
    scene.clock.advance(3600)
    told = await scene.told(Heartbeat)
    await scene.send(b"a")
    one.tails.stored(TOPIC, 0, 1)
    await until(lambda: any(each.done() for each in waiting))
    for replica in (one, two):
        await caught_up(scene, replica)
    # At once, not at the next look.
    await until(lambda: not (one.groups._maintenance.is_out or two.groups._maintenance.is_out))
    assert await scene.told(Heartbeat) >= told + 2
    assert await scene.told(Lease) >= 1
    for task in waiting:
        task.cancel()


async def test_a_process_that_left_still_stores_what_it_told(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    await replica.ack(TOPIC, *await replica.receive(TOPIC))
    await ticks(scene, 50, replica)
    page = await scene.log.read(SNAPSHOTS, 0, First(), count=10, deadline=scene.soon())
    assert len(page.messages) == 1


async def test_a_process_does_not_go_to_rest_over_what_is_being_told(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC, visibility_ms=600_000)
    ledger_replica = replica.groups._replica
    gate = Gate(replica, LEDGER)
    acking = asyncio.create_task(replica.ack(TOPIC, *given))
    await gate.reached.wait()
    ledger_replica.rest()
    await until(lambda: ledger_replica._written._waiters)
    ledger_replica._written.set()
    for _ in range(10):
        await asyncio.sleep(0)
    gate.open.set()
    assert await acking == ["done"]


@pytest.mark.parametrize("turns", range(5))
async def test_duties_end_when_they_are_ended_whatever_happens_in_that_moment(
    scene: Scene, turns: int
) -> None:
    replica = await scene.start()
    assert await replica.receive(TOPIC) == ()
    await until(lambda: replica.groups._maintenance.refs and not replica.groups._maintenance.due.is_set())
    for _ in range(20):
        await asyncio.sleep(0)
    replica.groups._maintenance.due.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    replica._running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await asyncio.shield(replica._running)
    assert replica._running.done()


async def test_nothing_is_kept_of_groups_that_went_with_their_ledger(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    await replica.ack(TOPIC, *await replica.receive(TOPIC))
    maintenance, ledger_replica = replica.groups._maintenance, replica.groups._replica
    await maintenance.commit_offsets()
    assert len(maintenance._committed) == len(maintenance._seen) == 1
    ledger_replica.ledger = Ledger()
    await maintenance.commit_offsets()
    assert not maintenance._committed
    assert not maintenance._seen
