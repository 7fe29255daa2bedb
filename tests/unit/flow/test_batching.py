"""Claims of appends sent in batches, against a recorder of the port whose answers are given by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from bridge import limits
from bridge.errors import (
    BadRequest,
    ConnectionFailed,
    ConnectionReset,
    DeadlineExceeded,
    Disconnected,
    LogError,
    Outcome,
    Overloaded,
    PartitionNotFound,
    SendError,
    TopicNotFound,
)
from bridge.flow.appending.batching import BatchingAppender
from bridge.messagelog import (
    Balanced,
    ByKey,
    Durability,
    MessageLog,
    Receipt,
    StoredNews,
    ToPartition,
    partition_of_key,
)
from tests.support.append_recorder import TOPIC, Recorder, send, turns


@pytest.fixture
def log() -> Recorder:
    return Recorder()


@pytest.fixture
async def appender(log: Recorder) -> AsyncIterator[BatchingAppender]:
    appender = BatchingAppender(cast("MessageLog", log), probe=log)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._queues, appender._backlog.appends_count, appender._backlog.size_bytes) == ({}, 0, 0)


async def test_an_idle_partition_sends_at_once(appender: BatchingAppender, log: Recorder) -> None:
    one = send(appender, "a")
    assert await log.answer(7) == ["a"]
    assert await one == Receipt(0, 7, 1, Durability.PERSISTED)


async def test_what_arrives_during_a_batch_goes_together_in_order(
    appender: BatchingAppender, log: Recorder
) -> None:
    first = send(appender, "a")
    await turns()
    rest = [send(appender, "b"), send(appender, "c", "d"), send(appender, "e")]
    await turns()
    assert await log.answer(0) == ["a"]
    await first
    assert await log.answer(10) == ["b", "c", "d", "e"]
    assert [(receipt.offset, receipt.messages_count) for receipt in await asyncio.gather(*rest)] == [
        (10, 1),
        (11, 2),
        (13, 1),
    ]


async def test_a_key_shares_batches_with_its_partition(appender: BatchingAppender, log: Recorder) -> None:
    partition_id = partition_of_key(b"k", 3)
    first = send(appender, "a", placement=ToPartition(partition_id))
    await turns()
    keyed = send(appender, "b", placement=ByKey(b"k"))
    same = send(appender, "c", placement=ToPartition(partition_id))
    await turns()
    assert await log.answer() == ["a"]
    placement, texts, _, answer = await log.calls.get()
    assert (placement, texts) == (ToPartition(partition_id), ["b", "c"])
    answer.set_result(Receipt(partition_id, 1, 2, Durability.PERSISTED))
    await asyncio.gather(first, keyed, same)


async def test_partitions_do_not_wait_for_each_other(appender: BatchingAppender, log: Recorder) -> None:
    tasks = [send(appender, str(number), placement=ToPartition(number)) for number in range(3)]
    tasks.append(send(appender, "any", placement=Balanced()))
    await turns()
    assert log.calls.qsize() == 4
    for _ in range(4):
        await log.answer()
    await asyncio.gather(*tasks)


async def test_a_bad_message_never_reaches_its_neighbours(appender: BatchingAppender, log: Recorder) -> None:
    first = send(appender, "a")
    await turns()
    good, bad = send(appender, "b"), send(appender, "")
    await turns()
    with pytest.raises(BadRequest):
        await bad
    await log.answer()
    assert await log.answer() == ["b"]
    await asyncio.gather(first, good)


async def test_what_only_the_log_refuses_is_sorted_out_one_by_one(
    appender: BatchingAppender, log: Recorder
) -> None:
    first = send(appender, "a")
    await turns()
    good, bad = send(appender, "b"), send(appender, "c")
    await turns()
    await log.answer()
    assert await log.refuse(BadRequest()) == ["b", "c"]
    assert await log.answer() == ["b"]
    assert await log.refuse(BadRequest()) == ["c"]
    await asyncio.gather(first, good)
    with pytest.raises(BadRequest):
        await bad


async def test_an_append_larger_than_a_batch_goes_alone(appender: BatchingAppender, log: Recorder) -> None:
    first = send(appender, "a")
    await turns()
    many = [str(number) for number in range(limits.GATHER_MESSAGES_MAX + 1)]
    tasks = [send(appender, "b"), send(appender, *many), send(appender, "c")]
    await turns()
    batches = [await log.answer() for _ in range(4)]
    assert batches == [["a"], ["b"], many, ["c"]]
    await asyncio.gather(first, *tasks)


async def test_a_caller_cancelled_while_waiting_is_not_written(
    appender: BatchingAppender, log: Recorder
) -> None:
    first = send(appender, "a")
    await turns()
    gone, stays = send(appender, "gone"), send(appender, "stays")
    await turns()
    gone.cancel()
    await turns()
    await log.answer()
    assert await log.answer() == ["stays"]
    await asyncio.gather(first, stays)


async def test_a_caller_cancelled_after_the_handing_over_is_stored_and_hurts_nobody(
    appender: BatchingAppender, log: Recorder
) -> None:
    gone, stays = send(appender, "gone"), send(appender, "stays")
    await turns()
    gone.cancel()
    await turns()
    assert await log.answer(4) == ["gone", "stays"]
    assert (await stays).offset == 5


async def test_each_caller_leaves_at_its_own_deadline(appender: BatchingAppender, log: Recorder) -> None:
    handed_over = send(appender, "a", seconds=0.05)
    patient = send(appender, "b", seconds=60)
    await turns()
    waiting = send(appender, "c", seconds=0.05)
    with pytest.raises(DeadlineExceeded) as unknown:
        await handed_over
    assert unknown.value.outcome is Outcome.UNKNOWN
    with pytest.raises(DeadlineExceeded) as not_written:
        await waiting
    assert not_written.value.outcome is Outcome.NOT_WRITTEN
    _, texts, deadline, answer = await log.calls.get()
    assert texts == ["a", "b"]
    assert deadline.remaining_s() > 50
    answer.set_result(Receipt(0, 0, 2, Durability.PERSISTED))
    assert (await patient).offset == 1
    assert log.calls.empty()


async def test_who_waited_for_a_log_that_is_away_hears_of_that(
    appender: BatchingAppender, log: Recorder
) -> None:
    handed_over = send(appender, "a", seconds=60)
    await turns()
    waiting = send(appender, "b", seconds=0.05)
    log.detail = "The log is away."
    with pytest.raises(Disconnected, match="The log is away") as caught:
        await waiting
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert await log.answer() == ["a"]
    await handed_over


@pytest.mark.parametrize(
    "error",
    [TopicNotFound(), ConnectionReset(outcome=Outcome.UNKNOWN), Disconnected(outcome=Outcome.NOT_WRITTEN)],
)
async def test_a_failed_batch_fails_all_of_it_each_with_its_own_error(
    appender: BatchingAppender, log: Recorder, error: LogError
) -> None:
    tasks = [send(appender, "a"), send(appender, "b")]
    await turns()
    assert await log.refuse(error) == ["a", "b"]
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in raised] == [type(error)] * 2
    assert raised[0] is not raised[1]
    assert all(getattr(one, "outcome", None) is getattr(error, "outcome", None) for one in raised)
    again = send(appender, "c")
    assert await log.answer() == ["c"]
    await again


async def test_a_fault_of_the_bridge_itself_is_an_unknown_outcome(
    appender: BatchingAppender, log: Recorder
) -> None:
    task = send(appender, "a")
    await log.refuse(ZeroDivisionError())
    with pytest.raises(SendError) as caught:
        await task
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_more_than_may_wait_is_refused(
    appender: BatchingAppender, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATHER_WAITING_MAX", 2)
    tasks = [send(appender, "a"), send(appender, "b")]
    await turns()
    with pytest.raises(Overloaded) as caught:
        await send(appender, "c")
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    await log.answer()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("bound, value", [("GATHER_WAITING_BYTES_MAX", 60), ("GATHER_LANES_MAX", 1)])
async def test_bytes_and_queues_are_bounded(
    appender: BatchingAppender, log: Recorder, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(limits, bound, value)
    task = send(appender, "a")
    await turns()
    with pytest.raises(Overloaded):
        await send(appender, "b", placement=ToPartition(1))
    await log.answer()
    await task


async def test_a_key_whose_partition_is_gone_looks_again(appender: BatchingAppender, log: Recorder) -> None:
    task = send(appender, "a", placement=ByKey(b"k"))
    await turns()
    log.count = 1
    await log.refuse(PartitionNotFound())
    placement, _, _, answer = await log.calls.get()
    assert placement == ToPartition(0)
    answer.set_result(Receipt(0, 0, 1, Durability.PERSISTED))
    await task


async def test_a_count_that_cannot_be_had_wrote_nothing(appender: BatchingAppender, log: Recorder) -> None:
    log.count_error = Disconnected()
    with pytest.raises(Disconnected) as caught:
        await send(appender, "a", placement=ByKey(b"k"))
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(
    appender: BatchingAppender, log: Recorder
) -> None:
    accepted = send(appender, "a")
    await turns()
    closing = asyncio.create_task(appender.close())
    await turns()
    with pytest.raises(ConnectionFailed):
        await send(appender, "b")
    assert not closing.done()
    await log.answer()
    await closing
    assert (await accepted).messages_count == 1


async def test_a_deadline_that_has_passed_writes_nothing(appender: BatchingAppender, log: Recorder) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await send(appender, "a", seconds=-1)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert log.calls.empty()


async def test_every_batch_is_told_to_those_who_listen_before_any_of_its_callers(log: Recorder) -> None:
    news, told = StoredNews(), list[tuple[object, ...]]()
    news.listen(lambda *stored: told.append((*stored, [task.done() for task in tasks])))
    appender = BatchingAppender(cast("MessageLog", log), probe=log, news=news)
    tasks = [send(appender, "a", "b"), send(appender, "c")]
    await log.answer(40)
    await asyncio.gather(*tasks)
    assert told == [(TOPIC, 0, 43, [False, False])]
    await appender.close()


async def test_deadlines_of_all_callers_are_kept_by_one_timer(
    appender: BatchingAppender, log: Recorder
) -> None:
    patient = send(appender, "a", seconds=60)
    await turns()
    later, sooner = send(appender, "b", seconds=0.06), send(appender, "c", seconds=0.03)
    for task in (sooner, later):
        with pytest.raises(DeadlineExceeded) as caught:
            await task
        assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert not patient.done()
    handed_over = send(appender, "d", placement=ToPartition(1), seconds=0.03)
    with pytest.raises(DeadlineExceeded) as unknown:
        await handed_over
    assert unknown.value.outcome is Outcome.UNKNOWN
    assert await log.answer() == ["a"]
    assert await log.answer() == ["d"]
    await patient


async def test_a_fault_of_the_bridge_while_members_are_sorted_out_is_the_fault_of_one(
    appender: BatchingAppender, log: Recorder
) -> None:
    tasks = [send(appender, "a"), send(appender, "b")]
    await log.refuse(BadRequest())
    await log.refuse(ZeroDivisionError())
    assert await log.answer() == ["b"]
    failed, stored = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(failed, SendError)
    assert failed.outcome is Outcome.UNKNOWN
    assert isinstance(stored, Receipt)


async def test_who_listens_and_fails_keeps_nobody_waiting(log: Recorder) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    news = StoredNews()
    news.listen(fail)
    appender = BatchingAppender(cast("MessageLog", log), probe=log, news=news)
    task = send(appender, "a")
    await log.answer()
    with pytest.raises(SendError) as caught:
        await task
    assert caught.value.outcome is Outcome.UNKNOWN
    await appender.close()


async def test_a_cancelled_task_of_a_partition_leaves_nobody_without_an_answer(
    appender: BatchingAppender, log: Recorder
) -> None:
    handed_over = send(appender, "a")
    await turns()
    waiting = send(appender, "b")
    await turns()
    (queue,) = appender._queues.values()
    assert queue.task is not None
    queue.task.cancel()
    for task, outcome in ((handed_over, Outcome.UNKNOWN), (waiting, Outcome.NOT_WRITTEN)):
        with pytest.raises(SendError) as caught:
            await task
        assert caught.value.outcome is outcome
    again = send(appender, "c")
    await log.calls.get()
    assert await log.answer() == ["c"]
    await again
