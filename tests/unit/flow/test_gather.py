"""Claims of the gathered appends, against a recorder of the port whose answers are given by hand."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from bridge import limits
from bridge.clock import Deadline, SystemClock
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
from bridge.flow.gather import GatheredAppender
from bridge.messagelog import (
    Balanced,
    ByKey,
    Durability,
    LogHealth,
    MessageLog,
    Messages,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    leaving,
    partition_of_key,
)

TOPIC = TopicRef("s", "t")
FIRST = ToPartition(0)


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


def message(text: str) -> NewMessage:
    return NewMessage(payload=text.encode())


class Recorder:
    """Keeps each append until it is answered."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[Placement, list[str], Deadline, asyncio.Future[Receipt]]] = (
            asyncio.Queue()
        )
        self.stored: list[str] = []
        self.count = 3
        self.count_error: Exception | None = None
        self.detail = ""

    async def append(
        self,
        topic: TopicRef,  # noqa: ARG002 (the port's)
        placement: Placement,
        messages: Messages,
        *,
        deadline: Deadline,
    ) -> Receipt:
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        texts = [item.payload.decode() for item in leaving(messages)]
        if not texts:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        self.calls.put_nowait((placement, texts, deadline, answer))
        receipt = await answer
        self.stored.extend(texts)
        return receipt

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:  # noqa: ARG002 (the port's)
        if self.count_error is not None:
            raise self.count_error
        return self.count

    def health(self) -> LogHealth:
        return LogHealth(
            kind="recorder",
            state="",
            ready=not self.detail,
            detail=self.detail,
            durability=Durability.PERSISTED,
        )

    async def probe(self, *, deadline: Deadline) -> None: ...

    async def answer(self, offset: int | None = None, *, partition_id: int = 0) -> list[str]:
        """Acknowledge the oldest append."""
        _, texts, _, answer = await self.calls.get()
        start = len(self.stored) if offset is None else offset
        answer.set_result(Receipt(partition_id, start, len(texts), Durability.PERSISTED))
        return texts

    async def refuse(self, error: Exception) -> list[str]:
        _, texts, _, answer = await self.calls.get()
        answer.set_exception(error)
        return texts


@pytest.fixture
def log() -> Recorder:
    return Recorder()


@pytest.fixture
async def appender(log: Recorder) -> AsyncIterator[GatheredAppender]:
    appender = GatheredAppender(cast("MessageLog", log), probe=log)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._lanes, appender._held, appender._held_bytes) == ({}, 0, 0)


def send(
    appender: GatheredAppender, *texts: str, placement: Placement = FIRST, seconds: float = 5.0
) -> asyncio.Task[Receipt]:
    return asyncio.create_task(
        appender.append(TOPIC, placement, [message(text) for text in texts], deadline=soon(seconds))
    )


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_idle_lane_sends_at_once(appender: GatheredAppender, log: Recorder) -> None:
    one = send(appender, "a")
    assert await log.answer(7) == ["a"]
    assert await one == Receipt(0, 7, 1, Durability.PERSISTED)


async def test_what_arrives_during_a_batch_goes_together_in_order(
    appender: GatheredAppender, log: Recorder
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


async def test_a_key_gathers_with_its_partition(appender: GatheredAppender, log: Recorder) -> None:
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


async def test_partitions_do_not_wait_for_each_other(appender: GatheredAppender, log: Recorder) -> None:
    tasks = [send(appender, str(number), placement=ToPartition(number)) for number in range(3)]
    tasks.append(send(appender, "any", placement=Balanced()))
    await turns()
    assert log.calls.qsize() == 4
    for _ in range(4):
        await log.answer()
    await asyncio.gather(*tasks)


async def test_a_bad_message_never_reaches_its_neighbours(appender: GatheredAppender, log: Recorder) -> None:
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
    appender: GatheredAppender, log: Recorder
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


async def test_an_append_larger_than_a_batch_goes_alone(appender: GatheredAppender, log: Recorder) -> None:
    first = send(appender, "a")
    await turns()
    many = [str(number) for number in range(limits.GATHER_MESSAGES_MAX + 1)]
    tasks = [send(appender, "b"), send(appender, *many), send(appender, "c")]
    await turns()
    batches = [await log.answer() for _ in range(4)]
    assert batches == [["a"], ["b"], many, ["c"]]
    await asyncio.gather(first, *tasks)


async def test_a_caller_cancelled_while_waiting_is_not_written(
    appender: GatheredAppender, log: Recorder
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
    appender: GatheredAppender, log: Recorder
) -> None:
    gone, stays = send(appender, "gone"), send(appender, "stays")
    await turns()
    gone.cancel()
    await turns()
    assert await log.answer(4) == ["gone", "stays"]
    assert (await stays).offset == 5


async def test_each_caller_leaves_at_its_own_deadline(appender: GatheredAppender, log: Recorder) -> None:
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
    appender: GatheredAppender, log: Recorder
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
    appender: GatheredAppender, log: Recorder, error: LogError
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
    appender: GatheredAppender, log: Recorder
) -> None:
    task = send(appender, "a")
    await log.refuse(ZeroDivisionError())
    with pytest.raises(SendError) as caught:
        await task
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_more_than_may_wait_is_refused(
    appender: GatheredAppender, log: Recorder, monkeypatch: pytest.MonkeyPatch
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
async def test_bytes_and_lanes_are_bounded(
    appender: GatheredAppender, log: Recorder, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(limits, bound, value)
    task = send(appender, "a")
    await turns()
    with pytest.raises(Overloaded):
        await send(appender, "b", placement=ToPartition(1))
    await log.answer()
    await task


async def test_a_key_whose_partition_is_gone_looks_again(appender: GatheredAppender, log: Recorder) -> None:
    task = send(appender, "a", placement=ByKey(b"k"))
    await turns()
    log.count = 1
    await log.refuse(PartitionNotFound())
    placement, _, _, answer = await log.calls.get()
    assert placement == ToPartition(0)
    answer.set_result(Receipt(0, 0, 1, Durability.PERSISTED))
    await task


async def test_a_count_that_cannot_be_had_wrote_nothing(appender: GatheredAppender, log: Recorder) -> None:
    log.count_error = Disconnected()
    with pytest.raises(Disconnected) as caught:
        await send(appender, "a", placement=ByKey(b"k"))
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(
    appender: GatheredAppender, log: Recorder
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


async def test_a_deadline_that_has_passed_writes_nothing(appender: GatheredAppender, log: Recorder) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await send(appender, "a", seconds=-1)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert log.calls.empty()


class Departing(Recorder):
    """A log that takes messages only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_leave = asyncio.Event()
        self.errors: list[Exception] = []
        self.asked: list[Messages] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        self.asked.append(messages)
        await self.may_leave.wait()
        if self.errors:
            raise self.errors.pop(0)
        return await super().append(topic, placement, messages, deadline=deadline)


@pytest.fixture
def departing() -> Departing:
    return Departing()


@pytest.fixture
async def behind(departing: Departing) -> AsyncIterator[GatheredAppender]:
    appender = GatheredAppender(cast("MessageLog", departing), probe=departing)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._lanes, appender._held, appender._held_bytes) == ({}, 0, 0)


async def test_what_the_log_has_not_taken_when_the_time_is_up_was_not_written(
    behind: GatheredAppender, departing: Departing
) -> None:
    departing.detail = "The log is away."
    patient = send(behind, "patient")
    with pytest.raises(Disconnected) as caught:
        await send(behind, "hasty", seconds=0.05)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    departing.may_leave.set()
    assert await departing.answer() == ["patient"]
    assert (await patient).messages_count == 1


async def test_who_comes_while_the_log_waits_for_its_turn_goes_along(
    behind: GatheredAppender, departing: Departing
) -> None:
    tasks = [send(behind, "a")]
    await turns()
    tasks += [send(behind, "b"), send(behind, "gone")]
    await turns()
    tasks.pop().cancel()
    departing.may_leave.set()
    assert await departing.answer() == ["a", "b"]
    assert [(await task).offset for task in tasks] == [0, 1]
    assert len(departing.asked) == 1


async def test_an_error_before_anything_left_is_for_those_whose_time_it_was(
    behind: GatheredAppender, departing: Departing
) -> None:
    departing.errors.append(Disconnected())
    early = send(behind, "early", seconds=5)
    await turns()
    late = send(behind, "late", seconds=50)
    await turns()
    departing.may_leave.set()
    with pytest.raises(Disconnected) as caught:
        await early
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert await departing.answer() == ["late"]
    assert (await late).messages_count == 1


async def test_a_log_that_acknowledges_what_it_never_took_is_not_believed(
    behind: GatheredAppender, departing: Departing
) -> None:
    async def lie(*_: object, deadline: Deadline) -> Receipt:
        return Receipt(0, 0, 1, Durability.PERSISTED)

    departing.append = lie  # type: ignore[method-assign, assignment]
    with pytest.raises(SendError) as caught:
        await send(behind, "a")
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_what_stays_waits_again_before_all_others(
    behind: GatheredAppender, departing: Departing
) -> None:
    first, hasty = send(behind, "first"), send(behind, "hasty", seconds=0.05)
    await turns()
    outgoing = departing.asked[0]
    assert not isinstance(outgoing, Sequence)
    assert [each.payload for each in outgoing.leave()] == [b"first", b"hasty"]
    with pytest.raises(DeadlineExceeded) as caught:
        await hasty
    # It had left when its time was up.
    assert caught.value.outcome is Outcome.UNKNOWN
    second = send(behind, "second")
    outgoing.stay()
    departing.may_leave.set()
    assert await departing.answer() == ["first", "second"]
    assert [(await task).offset for task in (first, second)] == [0, 1]


@pytest.mark.parametrize("turns_before", range(6))
async def test_a_lane_whose_only_caller_goes_away_at_any_moment_ends_quietly(
    behind: GatheredAppender, departing: Departing, turns_before: int
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    only = send(behind, "only")
    for _ in range(turns_before):
        await asyncio.sleep(0)
    only.cancel()
    await turns()
    departing.may_leave.set()
    await turns()
    gc.collect()
    assert faults == []
