"""Claims of what waits until the log can hand it over: who goes away meanwhile was not written."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import cast

import pytest

from bridge.clock import Deadline
from bridge.errors import (
    DeadlineExceeded,
    Disconnected,
    Outcome,
    SendError,
)
from bridge.flow.appending.batching import BatchingAppender
from bridge.messagelog import (
    Durability,
    MessageLog,
    Messages,
    OpenBatch,
    Placement,
    Receipt,
    TopicRef,
    check_append,
    sealed,
)
from tests.support.append_recorder import FIRST, TOPIC, Recorder, message, send, soon, turns


class Busy(Recorder):
    """A log that takes messages only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_seal = asyncio.Event()
        self.errors: list[Exception] = []
        self.asked: list[Messages] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        self.asked.append(messages)
        await self.may_seal.wait()
        if self.errors:
            raise self.errors.pop(0)
        return await super().append(topic, placement, messages, deadline=deadline)


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
async def behind(busy: Busy) -> AsyncIterator[BatchingAppender]:
    appender = BatchingAppender(cast("MessageLog", busy), probe=busy)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._queues, appender._backlog.appends_count, appender._backlog.size_bytes) == ({}, 0, 0)


async def test_what_the_log_has_not_taken_when_the_time_is_up_was_not_written(
    behind: BatchingAppender, busy: Busy
) -> None:
    busy.detail = "The log is away."
    patient = send(behind, "patient")
    with pytest.raises(Disconnected) as caught:
        await send(behind, "hasty", seconds=0.05)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    busy.may_seal.set()
    assert await busy.answer() == ["patient"]
    assert (await patient).messages_count == 1


async def test_who_comes_while_the_log_waits_for_its_turn_goes_along(
    behind: BatchingAppender, busy: Busy
) -> None:
    tasks = [send(behind, "a")]
    await turns()
    tasks += [send(behind, "b"), send(behind, "gone")]
    await turns()
    tasks.pop().cancel()
    busy.may_seal.set()
    assert await busy.answer() == ["a", "b"]
    assert [(await task).offset for task in tasks] == [0, 1]
    assert len(busy.asked) == 1


async def test_an_error_before_anything_left_is_for_those_whose_time_it_was(
    behind: BatchingAppender, busy: Busy
) -> None:
    busy.errors.append(Disconnected())
    early = send(behind, "early", seconds=5)
    await turns()
    late = send(behind, "late", seconds=50)
    await turns()
    busy.may_seal.set()
    with pytest.raises(Disconnected) as caught:
        await early
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert await busy.answer() == ["late"]
    assert (await late).messages_count == 1


async def test_a_log_that_acknowledges_what_it_never_took_is_not_believed(
    behind: BatchingAppender, busy: Busy
) -> None:
    async def lie(*_: object, deadline: Deadline) -> Receipt:
        return Receipt(0, 0, 1, Durability.PERSISTED)

    busy.append = lie  # type: ignore[method-assign, assignment]
    with pytest.raises(SendError) as caught:
        await send(behind, "a")
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_a_batch_that_is_reopened_waits_again_before_all_others(
    behind: BatchingAppender, busy: Busy
) -> None:
    first, hasty = send(behind, "first"), send(behind, "hasty", seconds=0.05)
    await turns()
    batch = busy.asked[0]
    assert isinstance(batch, OpenBatch)
    assert [each.payload for each in batch.seal()] == [b"first", b"hasty"]
    with pytest.raises(DeadlineExceeded) as caught:
        await hasty
    # It was sealed when its time was up.
    assert caught.value.outcome is Outcome.UNKNOWN
    second = send(behind, "second")
    batch.reopen()
    busy.may_seal.set()
    assert await busy.answer() == ["first", "second"]
    assert [(await task).offset for task in (first, second)] == [0, 1]


@pytest.mark.parametrize("turns_before", range(6))
async def test_a_partition_whose_only_caller_goes_away_at_any_moment_ends_quietly(
    behind: BatchingAppender, busy: Busy, turns_before: int
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    only = send(behind, "only")
    for _ in range(turns_before):
        await asyncio.sleep(0)
    only.cancel()
    await turns()
    busy.may_seal.set()
    await turns()
    gc.collect()
    assert faults == []


async def test_a_batch_knows_its_size_and_latest_deadline(behind: BatchingAppender, busy: Busy) -> None:
    tasks = [send(behind, "a", seconds=60), send(behind, "b", "c", seconds=5)]
    await turns()
    (batch,) = busy.asked
    assert isinstance(batch, OpenBatch)
    assert batch.size_bytes == 0
    busy.may_seal.set()
    await turns()
    assert batch.size_bytes == check_append([message("a"), message("b"), message("c")])
    assert busy.calls._queue[0][2].remaining_s() > 50  # type: ignore[attr-defined]
    await busy.answer()
    await asyncio.gather(*tasks)


async def test_a_batch_is_sealed_once_and_reopened_once(behind: BatchingAppender, busy: Busy) -> None:
    task = send(behind, "a")
    await turns()
    (batch,) = busy.asked
    assert isinstance(batch, OpenBatch)
    batch.seal()
    with pytest.raises(RuntimeError, match="sealed twice"):
        batch.seal()
    batch.reopen()
    with pytest.raises(RuntimeError, match="not sealed"):
        batch.reopen()
    busy.may_seal.set()
    assert await busy.answer() == ["a"]
    await task


async def test_a_log_that_seals_twice_is_told_so_and_nobody_hangs(
    behind: BatchingAppender, busy: Busy
) -> None:
    async def seal_twice(_: object, __: object, batch: Messages, *, deadline: Deadline) -> Receipt:
        sealed(batch)
        sealed(batch)
        return Receipt(0, 0, 1, Durability.PERSISTED)

    busy.append = seal_twice  # type: ignore[method-assign, assignment]
    with pytest.raises(SendError) as caught:
        await send(behind, "a")
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_partition_whose_callers_have_all_gone_sends_nothing(
    behind: BatchingAppender, busy: Busy
) -> None:
    gone = behind.append(TOPIC, FIRST, [message("gone")], deadline=soon())
    # By hand, since the cancellation of a task comes a turn of the loop later.
    gone.send(None)
    with pytest.raises(asyncio.CancelledError):
        gone.throw(asyncio.CancelledError())
    await turns()
    assert busy.asked == []
    assert behind._queues == {}
