"""What groups say and do when the log fails, and how they begin and end."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BadRequest, ConnectionFailed, DeadlineExceeded, Disconnected, Outcome, Overloaded
from bridge.groups.dead_letters import dead_letter_topic
from bridge.groups.ledger_topics import LedgerTopics
from bridge.groups.records import AckKind, GroupRef, Lease
from bridge.messagelog import (
    First,
    NewMessage,
    ToPartition,
)
from tests.support.figures import total
from tests.support.group_scene import LEDGER, SNAPSHOTS, Gate, Scene
from tests.support.groups import GROUP
from tests.support.local_logs import TOPIC

# --- what fails -------------------------------------------------------------------------------------------------


async def test_a_record_that_was_not_written_says_so_and_the_message_is_free(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    assert await replica.receive(TOPIC, group="another")
    assert await replica.receive(TOPIC, 1, group="third")
    gate = Gate(replica, LEDGER)
    gate.open.set()
    gate.before = Disconnected(outcome=Outcome.NOT_WRITTEN)
    with pytest.raises(Disconnected) as failed:
        await replica.receive(TOPIC)
    assert failed.value.outcome is Outcome.NOT_WRITTEN
    gate.before = None
    assert len(await replica.receive(TOPIC)) == 1


async def test_a_lease_of_unknown_outcome_is_given_back_once_it_is_seen(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    assert await replica.receive(TOPIC) != ()
    await scene.send(b"b")
    gate = Gate(replica, LEDGER)
    gate.open.set()
    gate.after = DeadlineExceeded(outcome=Outcome.UNKNOWN)
    with pytest.raises(DeadlineExceeded):
        await replica.receive(TOPIC)
    gate.after = None
    (given,) = await replica.receive(TOPIC, wait_s=10)
    assert (given.message.payload, given.delivery_count) == (b"b", 1)


async def test_an_ack_of_unknown_outcome_may_be_told_again(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC)
    gate = Gate(replica, LEDGER)
    gate.open.set()
    gate.after = DeadlineExceeded(outcome=Outcome.UNKNOWN)
    with pytest.raises(DeadlineExceeded):
        await replica.ack(TOPIC, *given)
    gate.after = None
    assert await replica.ack(TOPIC, *given) == ["settled"]


async def test_a_receiver_that_leaves_while_its_lease_is_on_its_way_gives_it_back(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    assert await replica.receive(TOPIC, group="another")
    assert await replica.receive(TOPIC)
    await scene.send(b"b")
    gate = Gate(replica, LEDGER)
    leaving = asyncio.create_task(replica.receive(TOPIC))
    await gate.reached.wait()
    leases = await scene.told(Lease)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    gate.open.set()
    (given,) = await replica.receive(TOPIC, wait_s=10)
    assert (given.message.payload, given.delivery_count) == (b"b", 1)
    assert await scene.told(Lease) in (leases + 1, leases + 2)


async def test_a_ledger_that_does_not_answer_is_told_at_the_deadline(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC)
    never = asyncio.Event()

    async def hang(*_args: object, **_options: object) -> None:
        await never.wait()

    scene.log.read = hang  # type: ignore[method-assign,assignment]
    tokens = [each.token for each in given]
    with pytest.raises(DeadlineExceeded) as late:
        await replica.groups.acknowledge(TOPIC, GROUP, AckKind.ACK, tokens, deadline=scene.soon(0.05))
    assert late.value.outcome is Outcome.UNKNOWN


async def test_a_group_that_cannot_be_started_says_why_and_is_started_later(scene: Scene) -> None:
    replica = await scene.start()
    read = scene.log.read

    async def fail(*_args: object, **_options: object) -> None:
        raise Disconnected("The log is away.")

    scene.log.read = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(Disconnected) as failed:
        await replica.receive(TOPIC)
    assert failed.value.outcome is Outcome.NOT_WRITTEN
    scene.log.read = read  # type: ignore[method-assign]
    assert await replica.receive(TOPIC) == ()


async def test_an_outage_while_the_ledger_is_followed_is_waited_out(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC)
    read = scene.log.read
    failed = asyncio.Event()

    async def fail(*_args: object, **_options: object) -> None:
        failed.set()
        raise Disconnected("The log is away.")

    scene.log.read = fail  # type: ignore[method-assign,assignment]
    acking = asyncio.create_task(replica.ack(TOPIC, *given))
    await failed.wait()
    with pytest.raises(Disconnected) as unknown:
        await acking
    assert unknown.value.outcome is Outcome.UNKNOWN
    scene.log.read = read  # type: ignore[method-assign]
    assert await replica.ack(TOPIC, *given) == ["settled"]


async def test_a_duty_that_fails_again_and_again_is_told_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_COMMIT_INTERVAL_S", 0.001)
    replica = await scene.start()
    await scene.send(b"a")
    turns: asyncio.Queue[None] = asyncio.Queue()
    working = replica.groups._maintenance.turn
    failing = asyncio.Event()

    async def duty() -> None:
        turns.put_nowait(None)
        if failing.is_set():
            raise Overloaded("There is no space left for the log.")
        await working()

    with capture_logs() as told:
        monkeypatch.setattr(replica.groups._maintenance, "turn", duty)
        await replica.receive(TOPIC)
        for turn in (failing.set, failing.clear, failing.set):
            turn()
            # Those of before say nothing of what is now.
            while not turns.empty():
                turns.get_nowait()
            for _ in range(5):
                await turns.get()
    assert [line["event"] for line in told].count("group_duty_failed") == 2


async def test_a_log_that_takes_no_ledger_is_asked_again_and_ends_no_process(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await scene.start()
    await scene.send(b"a")

    async def refused(*_: object, deadline: Deadline) -> LedgerTopics:
        raise BadRequest("The log takes no more of these.")

    with monkeypatch.context() as full:
        full.setattr(LedgerTopics, "ensure", refused)
        with pytest.raises(Overloaded, match="takes no more") as caught:
            await replica.receive(TOPIC)
        assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert len(await replica.receive(TOPIC, wait_s=10)) == 1


async def test_a_dead_letter_that_cannot_be_written_is_tried_again(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"poison")
    gate = Gate(replica, dead_letter_topic(GroupRef(*TOPIC, GROUP)))
    gate.open.set()
    gate.before = Disconnected(outcome=Outcome.NOT_WRITTEN)
    (given,) = await replica.receive(TOPIC, max_deliveries=1)
    await replica.groups.acknowledge(TOPIC, GROUP, AckKind.NACK, [given.token], deadline=scene.soon())
    assert await replica.receive(TOPIC, max_deliveries=1) == ()
    await replica.groups._receiving.finish()
    assert total(replica.figures.dead_lettered) == 0
    scene.clock.advance(limits.GROUP_DEAD_LETTER_LEASE_MS / 1000)
    gate.before = None
    assert await replica.receive(TOPIC, max_deliveries=1) == ()
    await replica.groups._receiving.finish()
    assert total(replica.figures.dead_lettered) == 1
    scene.clock.advance(3600)
    assert await replica.receive(TOPIC, max_deliveries=1) == ()


# --- snapshots and the end --------------------------------------------------------------------------------------


async def test_a_snapshot_in_pieces_is_found_behind_strangers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_SNAPSHOT_PIECE_BYTES", 16)
    one = await scene.start()
    await scene.send(b"a", b"b")
    given = await one.receive(TOPIC, visibility_ms=600_000)
    await one.ack(TOPIC, given[0])
    await one.close()
    page = await scene.log.read(SNAPSHOTS, 0, First(), count=1_000, deadline=scene.soon())
    assert len(page.messages) > 3
    await scene.log.append(SNAPSHOTS, ToPartition(0), [NewMessage(b"stranger")], deadline=scene.soon())
    # The records that the snapshot stands for are not needed any more.
    two = await scene.start()
    ledger_before = two.groups._replica.ledger
    assert await two.receive(TOPIC) == ()
    assert two.groups._replica.ledger is not ledger_before
    assert await two.ack(TOPIC, *given) == ["settled", "done"]


async def test_one_process_makes_snapshots_as_records_come(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_SNAPSHOT_RECORDS", 3)
    replica = await scene.start()
    await scene.send(b"a")
    await replica.ack(TOPIC, *await replica.receive(TOPIC))
    maintenance = replica.groups._maintenance
    await maintenance.heartbeat(())
    await maintenance.snapshot()
    page = await scene.log.read(SNAPSHOTS, 0, First(), count=10, deadline=scene.soon())
    assert len(page.messages) == 1
    await maintenance.snapshot()
    page = await scene.log.read(SNAPSHOTS, 0, First(), count=10, deadline=scene.soon())
    assert len(page.messages) == 1


async def test_a_process_that_ended_takes_nothing_more(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC)
    await replica.groups.release()
    with pytest.raises(ConnectionFailed) as refused:
        await replica.ack(TOPIC, *given)
    assert refused.value.outcome is Outcome.NOT_WRITTEN
    with pytest.raises(ConnectionFailed):
        await replica.receive(TOPIC)


async def test_a_process_in_which_no_group_was_used_ends_without_a_word(scene: Scene) -> None:
    replica = await scene.start()
    assert await replica.groups.groups(TOPIC, deadline=scene.soon()) == ()
    await replica.groups.forget(TOPIC.stream, deadline=scene.soon())
    await replica.close()
    assert "groups" not in [each.name for each in await scene.log.streams(deadline=scene.soon())]
