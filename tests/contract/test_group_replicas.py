"""Groups that several processes serve, that are moved, and what goes wrong; two engines over one log are two processes."""

import asyncio
import contextlib

import pytest

from bridge.errors import BadRequest, NotFound, TopicNotFound
from bridge.groups.records import AckKind
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    NewMessage,
    ToPartition,
    TopicRef,
)
from tests.support.groups import (
    EVERYTHING,
    GROUP,
    LEASE_MS,
    Replica,
    Replicas,
    committed,
    fill,
    groups_over,
    knows,
    offsets_of,
    soon,
)
from tests.support.log_backends import AnyLog, Backend
from tests.support.turns import until

# --- several processes ------------------------------------------------------------------------------------------


async def test_a_token_is_good_at_any_process(replicas: Replicas, topic: TopicRef) -> None:
    one, two = await replicas.start(), await replicas.start()
    await fill(replicas, topic)
    given = await one.receive(topic)
    assert await two.ack(topic, *given) == ["done"] * 6
    assert await one.receive(topic) == ()
    assert await two.receive(topic) == ()


async def test_processes_share_a_topic_and_no_message_goes_to_both(
    replicas: Replicas, topic: TopicRef
) -> None:
    one, two = await replicas.start(), await replicas.start()
    for partition_id in range(3):
        await replicas.send(topic, partition_id, *(b"%d" % index for index in range(30)))

    async def consume(replica: Replica) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        while given := await replica.receive(topic, 7):
            found += offsets_of(given)
            assert await replica.ack(topic, *given) == ["done"] * len(given)
        return found

    first, second = await asyncio.gather(consume(one), consume(two))
    assert sorted(first + second) == [(p, o) for p in range(3) for o in range(30)]


async def test_any_process_serves_any_partition(replicas: Replicas, topic: TopicRef) -> None:
    one, two = await replicas.start(), await replicas.start()
    assert await one.receive(topic) == await two.receive(topic) == ()
    await fill(replicas, topic)
    found: list[tuple[int, int]] = []
    while len(found) < 6:
        given = await two.receive(topic, wait_s=10)
        assert given
        found += offsets_of(given)
    assert sorted(found) == EVERYTHING


async def test_what_a_killed_process_gave_out_comes_again_at_another(
    replicas: Replicas, topic: TopicRef
) -> None:
    one, two = await replicas.start(), await replicas.start()
    await fill(replicas, topic)
    assert len(await one.receive(topic, visibility_ms=LEASE_MS)) == 6
    await one.crash()
    found: list[tuple[int, int]] = []
    while len(found) < 6:
        given = await two.receive(topic, wait_s=10)
        assert {each.delivery_count for each in given} == {2}
        found += offsets_of(given)
    assert sorted(found) == EVERYTHING


async def test_acks_of_before_a_crash_hold_for_a_process_that_starts_later(
    replicas: Replicas, topic: TopicRef
) -> None:
    one = await replicas.start()
    await fill(replicas, topic)
    given = await one.receive(topic, visibility_ms=60_000)
    kept = [each for each in given if each.message.offset == 0]
    assert await one.ack(topic, *(each for each in given if each.message.offset == 1)) == ["done"] * 3
    await one.crash()
    two = await replicas.start()
    assert await two.receive(topic) == ()
    assert await two.ack(topic, *kept) == ["done"] * 3
    info = await two.groups.group(topic, GROUP, deadline=soon())
    assert [each.committed_offset for each in info.partitions] == [1, 1, 1]


async def test_a_process_starts_from_a_snapshot_as_from_the_whole_ledger(
    replicas: Replicas, topic: TopicRef
) -> None:
    one = await replicas.start()
    await fill(replicas, topic)
    given = await one.receive(topic, 3, visibility_ms=60_000)
    assert await one.ack(topic, given[0]) == ["done"]
    await one.close()
    two = await replicas.start()
    assert len(await two.receive(topic)) == 3
    assert two.groups._replica.ledger.offset > 0
    assert await two.ack(topic, *given) == ["settled", "done", "done"]


# --- moving and telling -----------------------------------------------------------------------------------------


async def test_a_group_is_moved_to_the_beginning_the_end_an_offset_or_a_time(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a", b"b")
    page = await log.read(topic, 0, Last(), count=1, deadline=soon())
    await replicas.send(topic, 0, b"c", b"d")

    async def moved(to: First | Last | FromOffset | FromTimestamp, *, dry_run: bool = False) -> int:
        found = await replica.groups.seek(topic, GROUP, {0: to}, dry_run=dry_run, deadline=soon())
        return found[0].to_offset

    assert await moved(Last()) == 4
    assert await replica.receive(topic) == ()
    assert await moved(First(), dry_run=True) == 0
    assert await replica.receive(topic) == ()
    assert await moved(First()) == 0
    given = await replica.receive(topic)
    assert offsets_of(given) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert await moved(FromOffset(3)) == 3
    # Leases of before are void, and what was acked of before does not count.
    assert await replica.ack(topic, *given[:2]) == ["settled", "settled"]
    assert await replica.ack(topic, given[3]) == ["expired"]
    assert offsets_of(await replica.receive(topic)) == [(0, 3)]
    assert await moved(FromTimestamp(page.messages[0].timestamp_us)) in (0, 1)
    assert await moved(FromTimestamp(page.messages[0].timestamp_us + 3_600_000_000)) == 4


async def test_a_move_is_told_for_all_partitions_and_a_missing_one_is_refused(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    await replica.ack(topic, *await replica.receive(topic))
    moved = await replica.groups.seek(topic, GROUP, First(), dry_run=False, deadline=soon())
    assert [tuple(each) for each in moved] == [(0, 2, 0), (1, 2, 0), (2, 2, 0)]
    assert sorted(offsets_of(await replica.receive(topic))) == EVERYTHING
    with pytest.raises(NotFound):
        await replica.groups.seek(topic, GROUP, {3: First()}, dry_run=True, deadline=soon())


async def test_a_group_tells_its_members_lag_and_what_is_in_flight(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    given = await replica.receive(topic, 4)
    await replica.ack(topic, given[0])
    async with asyncio.timeout(60):
        while not (info := await replica.groups.group(topic, GROUP, deadline=soon())).members:
            await replica.receive(topic, group="another", wait_s=0.05)
    assert {each.owner for each in info.partitions} == set(info.members)
    assert info.in_flight == 3
    assert info.lag == 5
    assert [each.name for each in await replica.groups.groups(topic, deadline=soon())] == sorted(
        {GROUP, *(["another"] if await knows(replica, topic, "another") else [])}
    )


async def test_a_deleted_group_is_forgotten_and_begins_again(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    await replica.ack(topic, *await replica.receive(topic))
    await replica.groups.delete(topic, GROUP, deadline=soon())
    assert not await knows(replica, topic, GROUP)
    assert await committed(log, topic, 0) is None
    assert sorted(offsets_of(await replica.receive(topic))) == EVERYTHING
    with pytest.raises(NotFound):
        await replica.groups.delete(topic, "nobody", deadline=soon())


# --- what goes wrong --------------------------------------------------------------------------------------------


async def test_a_missing_topic_is_told(replicas: Replicas, stream: str) -> None:
    replica = await replicas.start()
    with pytest.raises(TopicNotFound):
        await replica.receive(TopicRef(stream, "missing"))
    with pytest.raises(TopicNotFound):
        await replica.groups.groups(TopicRef(stream, "missing"), deadline=soon())


async def test_a_receiver_hears_that_its_topic_was_deleted(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    waiting = asyncio.create_task(replica.receive(topic, wait_s=15))
    assert await replica.receive(topic, group="another") == ()
    await log.delete_topic(topic, deadline=soon())
    with pytest.raises(TopicNotFound):
        await waiting


async def test_strange_tokens_are_refused(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    given = await replica.receive(topic)
    for tokens, path in (([], "tokens"), (["x"], "tokens[0]"), ([given[0].token, "é" * 36], "tokens[1]")):
        with pytest.raises(BadRequest) as refused:
            await replica.groups.acknowledge(topic, GROUP, AckKind.ACK, tokens, deadline=soon())
        assert refused.value.path == path
    with pytest.raises(BadRequest):
        await replica.ack(topic, *given, group="another")


async def test_a_ledger_that_somebody_deletes_is_made_anew_and_marks_are_kept(
    replicas: Replicas, topic: TopicRef, log: AnyLog, name: str
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    given = await replica.receive(topic, 3)
    await replica.ack(topic, *given)
    async with asyncio.timeout(60):
        while any([await committed(log, topic, each) is None for each in range(3)]):
            await replica.receive(topic, group="another", wait_s=0.05)
    await log.delete_stream(f"{name}-groups", deadline=soon())
    found: list[tuple[int, int]] = []
    async with asyncio.timeout(60):
        while len(found) < 3:
            with contextlib.suppress(Exception):
                found += offsets_of(await replica.receive(topic, wait_s=1))
    assert sorted(found) == [(0, 1), (1, 1), (2, 1)]


async def test_somebody_else_s_messages_in_the_ledger_change_nothing(
    replicas: Replicas, topic: TopicRef, log: AnyLog, name: str
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    given = await replica.receive(topic)
    for which in ("ledger", "snapshots"):
        stranger = [NewMessage(b"hello"), NewMessage(b"BGL1\xff"), NewMessage(b"BGS1" + b"\0" * 40)]
        await log.append(TopicRef(f"{name}-groups", which), ToPartition(0), stranger, deadline=soon())
    assert await replica.ack(topic, *given) == ["done"] * 6
    await replica.close()
    assert await (await replicas.start()).receive(topic) == ()


async def test_a_drain_ends_waits_and_takes_no_more(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    waiting = asyncio.create_task(replica.receive(topic, wait_s=20))
    assert await replica.receive(topic, group="another") == ()
    replica.groups.end_waits()
    assert await waiting == ()
    # What was given out may still be settled, and what is there is still given.
    await replicas.send(topic, 0, b"a")
    given = await replica.receive(topic, wait_s=20)
    assert await replica.ack(topic, *given) == ["done"]
    assert await replica.receive(topic, wait_s=20) == ()


async def test_partitions_added_later_are_served(replicas: Replicas, topic: TopicRef, log: AnyLog) -> None:
    replica = await replicas.start()
    assert await replica.receive(topic) == ()
    await log.add_partitions(topic, 1, deadline=soon())
    await replicas.send(topic, 3, b"new")
    async with asyncio.timeout(60):
        while not (given := await replica.receive(topic, wait_s=0.5)):
            pass
    assert offsets_of(given) == [(3, 0)]


async def test_who_waits_is_given_what_comes_into_partitions_added_meanwhile(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    assert await replica.receive(topic) == ()
    waiting = asyncio.create_task(replica.receive(topic, wait_s=19))
    (served,) = replica.groups._served_groups
    await until(lambda: not served.is_blind)
    await log.add_partitions(topic, 1, deadline=soon())
    await replicas.send(topic, 3, b"new")
    async with asyncio.timeout(60):
        assert offsets_of(await waiting) == [(3, 0)]


async def test_a_purged_topic_is_taken_up_anew(replicas: Replicas, topic: TopicRef, log: AnyLog) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    await replica.ack(topic, *await replica.receive(topic))
    await log.purge_topic(topic, deadline=soon())
    await replicas.send(topic, 0, b"new")
    async with asyncio.timeout(60):
        while not (given := await replica.receive(topic, wait_s=1)):
            pass
    assert [each.message.payload for each in given] == [b"new"]


async def test_a_restarted_log_keeps_what_groups_did(
    backend: Backend, log: AnyLog, topic: TopicRef, name: str
) -> None:
    async with groups_over(log, f"{name}-groups") as replicas:
        replica = await replicas.start()
        await fill(replicas, topic)
        given = await replica.receive(topic, visibility_ms=60_000)
        await replica.ack(topic, *given[:4])
    await backend.close()
    log = await backend.open()
    async with groups_over(log, f"{name}-groups") as replicas:
        replica = await replicas.start()
        assert await replica.receive(topic) == ()
        assert await replica.ack(topic, *given) == ["settled"] * 4 + ["done"] * 2
