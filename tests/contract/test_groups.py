"""What groups promise, over both logs."""

import asyncio
import contextlib

from bridge.groups.dead_letters import dead_letter_topic
from bridge.groups.records import AckKind, GroupRef
from bridge.messagelog import (
    First,
    NewMessage,
    ToPartition,
    TopicRef,
)
from tests.support.group_scene import Gate
from tests.support.groups import (
    EVERYTHING,
    GROUP,
    LEASE_MS,
    Replicas,
    committed,
    drained,
    fill,
    offsets_of,
    soon,
)
from tests.support.log_backends import AnyLog

# --- receiving and settling -------------------------------------------------------------------------------------


async def test_messages_are_handed_out_once_and_not_again_once_acked(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    first = await replica.receive(topic)
    assert sorted(offsets_of(first)) == EVERYTHING
    assert {each.delivery_count for each in first} == {1}
    assert await replica.receive(topic) == ()
    assert await replica.ack(topic, *first) == ["done"] * 6
    assert await replica.ack(topic, *first) == ["settled"] * 6
    assert await replica.receive(topic) == ()


async def test_a_count_is_never_passed_and_partitions_are_served_in_turn(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await fill(replicas, topic)
    first = await replica.receive(topic, 3)
    assert {each.partition_id for each in first} == {0, 1, 2}
    second = await replica.receive(topic, 3)
    assert sorted(offsets_of(first + second)) == EVERYTHING


async def test_messages_of_a_partition_come_in_their_order(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 1, *(b"%d" % index for index in range(50)))
    assert await drained(replica, topic, 50) == [(1, offset) for offset in range(50)]


async def test_a_receiver_that_waits_gets_what_is_sent_meanwhile(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    waiting = asyncio.create_task(replica.receive(topic, wait_s=20))
    # Another group's receive is a round through the ledger: by then this one waits.
    assert await replica.receive(topic, group="another") == ()
    await replicas.send(topic, 2, b"late")
    assert offsets_of(await waiting) == [(2, 0)]


async def test_of_many_receivers_each_message_goes_to_one(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, *(b"%d" % index for index in range(40)))
    found = await asyncio.gather(*(replica.receive(topic, 1, wait_s=5) for _ in range(40)))
    assert sorted(offsets_of([each for some in found for each in some])) == [(0, i) for i in range(40)]


async def test_a_nacked_message_comes_again_with_its_count_and_its_old_token_is_void(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    (given,) = await replica.receive(topic)
    (settled,) = await replica.groups.acknowledge(
        topic, GROUP, AckKind.NACK, [given.token], deadline=replica.deadline()
    )
    assert settled.outcome == "done"
    (again,) = await replica.receive(topic)
    assert again.delivery_count == 2
    assert await replica.ack(topic, given) == ["expired"]
    assert await replica.ack(topic, again) == ["done"]


async def test_a_lease_that_ends_lets_the_message_come_again(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    (given,) = await replica.receive(topic, visibility_ms=LEASE_MS)
    (again,) = await replica.receive(topic, wait_s=10)
    assert again.delivery_count == 2
    assert again.expires_at_us > given.expires_at_us
    assert await replica.ack(topic, given) == ["expired"]


async def test_an_extended_lease_ends_later(replicas: Replicas, topic: TopicRef) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    (given,) = await replica.receive(topic, visibility_ms=LEASE_MS)
    (longer,) = await replica.groups.acknowledge(
        topic, GROUP, AckKind.EXTEND, [given.token], delay_ms=60_000, deadline=replica.deadline()
    )
    assert longer.outcome == "done"
    assert longer.expires_at_us is not None
    assert longer.expires_at_us >= given.expires_at_us + 50_000_000
    assert await replica.receive(topic, wait_s=1.1 * LEASE_MS / 1000) == ()
    assert await replica.ack(topic, given) == ["done"]


async def test_what_never_reached_its_consumer_comes_again_and_does_not_count(
    replicas: Replicas, topic: TopicRef
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    given = await replica.receive(topic)
    replica.groups.give_back(topic, GROUP, given)
    (again,) = await replica.receive(topic, wait_s=10)
    assert again.delivery_count == 1


async def test_what_is_given_to_a_receiver_that_has_left_is_free_again(
    replicas: Replicas, topic: TopicRef, name: str
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    assert await replica.receive(topic, group="another")
    gate = Gate(replica, TopicRef(f"{name}-groups", "ledger"))
    gate.open.set()
    assert await replica.receive(topic, 1, group="third")
    gate.open.clear()
    gate.reached.clear()
    leaving = asyncio.create_task(replica.receive(topic, group="fourth"))
    await gate.reached.wait()
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    gate.open.set()
    (given,) = await replica.receive(topic, wait_s=10, group="fourth")
    assert given.delivery_count == 1


# --- committed offsets ------------------------------------------------------------------------------------------


async def test_the_committed_offset_is_the_low_water_mark_and_survives_a_restart(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a", b"b", b"c", b"d")
    given = await replica.receive(topic, visibility_ms=60_000)
    await replica.ack(topic, given[0], given[1], given[3])
    await replica.close()
    assert await committed(log, topic, 0) == 1
    assert await committed(log, topic, 1) is None
    again = await replicas.start()
    assert await again.ack(topic, given[2]) == ["done"]
    await again.close()
    assert await committed(log, topic, 0) == 3


async def test_a_group_begins_after_the_offset_that_is_stored_for_it(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    await fill(replicas, topic)
    await log.store_offset(topic, 1, f"group.{GROUP}", 0, deadline=soon())
    replica = await replicas.start()
    assert sorted(offsets_of(await replica.receive(topic))) == [each for each in EVERYTHING if each != (1, 0)]


async def test_marks_are_stored_while_the_process_goes_on(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    await replicas.send(topic, 0, b"a")
    given = await replica.receive(topic)
    await replica.ack(topic, *given)
    async with asyncio.timeout(60):
        while await committed(log, topic, 0) is None:
            await replica.receive(topic, group="another", wait_s=0.05)
    assert await committed(log, topic, 0) == 0


# --- dead letters -----------------------------------------------------------------------------------------------


async def test_a_message_given_out_too_often_goes_to_the_dead_letter_topic(
    replicas: Replicas, topic: TopicRef, log: AnyLog
) -> None:
    replica = await replicas.start()
    poison = NewMessage(b"poison", 77, {"kind": "bad"})
    await log.append(topic, ToPartition(1), [poison, NewMessage(b"good")], deadline=soon())
    for delivery in (1, 2):
        first, good = sorted(await replica.receive(topic, max_deliveries=2), key=offset_of)
        assert (first.message.payload, first.delivery_count) == (b"poison", delivery)
        tokens = [first.token, good.token]
        await replica.groups.acknowledge(topic, GROUP, AckKind.NACK, tokens[: 3 - delivery], deadline=soon())
        if delivery == 2:
            await replica.ack(topic, good)
    assert await replica.receive(topic, max_deliveries=2) == ()
    await asyncio.wait_for(replica.figures.lettered.wait(), 20)
    letters = dead_letter_topic(GroupRef(*topic, GROUP))
    assert letters == TopicRef(topic.stream, f"topic.{GROUP}.dlq")
    (letter,) = (await log.read(letters, 0, First(), count=10, deadline=soon())).messages
    assert (letter.payload, letter.id) == (b"poison", 77)
    assert letter.headers["kind"] == "bad"
    assert letter.headers["dead-letter-reason"] == "max_deliveries"
    assert letter.headers["dead-letter-offset"] == 0
    assert letter.headers["dead-letter-partition"] == 1
    assert letter.headers["dead-letter-deliveries"] == 2
    info = await replica.groups.group(topic, GROUP, deadline=soon())
    assert info.partitions[1].committed_offset == 1


def offset_of(delivery: object) -> int:
    return delivery.message.offset  # type: ignore[attr-defined,no-any-return]
