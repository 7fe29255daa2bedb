"""Claims of gathering over a log that begins appends at once: the same promises, without a task."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import pytest

from bridge.clock import Deadline, SystemClock
from bridge.errors import (
    BadRequest,
    ConnectionReset,
    DeadlineExceeded,
    NotFound,
    Outcome,
    SendError,
)
from bridge.flow.appending.gathering import GatheredAppender
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
    StoredNews,
    ToPartition,
    TopicRef,
    leaving,
    partition_of_key,
)
from bridge.messagelog.ready import Ending

TOPIC = TopicRef("s", "t")
FIRST = ToPartition(0)


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


class ReadyRecorder:
    """
    Keeps each append that was begun until its end is told by hand; answers at once what comes by `append`.

    Attributes:
        begins: whether the next append is begun at once, or its error.
    """

    def __init__(self) -> None:
        self.begins: bool | Exception = True
        self.begun: list[tuple[Placement, list[str], int, Deadline, Callable[[Ending], None]]] = []
        self.appended: list[list[str]] = []
        self.count: int | None = 3

    def begin_append(
        self,
        topic: TopicRef,  # noqa: ARG002 (the port's)
        placement: Balanced | ToPartition,
        messages: Sequence[NewMessage],
        *,
        size_bytes: int,
        deadline: Deadline,
        ended: Callable[[Ending], None],
    ) -> bool:
        if isinstance(self.begins, Exception):
            raise self.begins
        if self.begins:
            texts = [message.payload.decode() for message in messages]
            self.begun.append((placement, texts, size_bytes, deadline, ended))
        return self.begins

    def partitions_now(self, topic: TopicRef) -> int | None:  # noqa: ARG002 (the port's)
        return self.count

    async def append(
        self,
        topic: TopicRef,  # noqa: ARG002 (the port's)
        placement: Placement,
        messages: Messages,
        *,
        deadline: Deadline,  # noqa: ARG002 (the port's)
    ) -> Receipt:
        texts = [message.payload.decode() for message in leaving(messages)]
        if "bad" in texts:
            raise BadRequest
        self.appended.append(texts)
        partition_id = placement.partition_id if isinstance(placement, ToPartition) else 9
        return Receipt(partition_id, 100, len(texts), Durability.PERSISTED)

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:  # noqa: ARG002 (the port's)
        return 5

    def health(self) -> LogHealth:
        return LogHealth(kind="recorder", state="", ready=True, detail="", durability=Durability.PERSISTED)

    async def probe(self, *, deadline: Deadline) -> None: ...

    def end(self, ending: Ending | int = 0) -> list[str]:
        """Tell the oldest its end; an offset is a receipt."""
        placement, texts, _, _, ended = self.begun.pop(0)
        if isinstance(ending, int):
            partition_id = placement.partition_id if isinstance(placement, ToPartition) else 9
            ending = Receipt(partition_id, ending, len(texts), Durability.PERSISTED)
        ended(ending)
        return texts


@pytest.fixture
def log() -> ReadyRecorder:
    return ReadyRecorder()


@pytest.fixture
def told() -> list[tuple[object, ...]]:
    return []


@pytest.fixture
async def appender(log: ReadyRecorder, told: list[tuple[object, ...]]) -> AsyncIterator[GatheredAppender]:
    news = StoredNews()
    news.listen(lambda *stored: told.append(stored))
    appender = GatheredAppender(cast("MessageLog", log), probe=log, ready=log, news=news)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._lanes, appender._held, appender._held_bytes) == ({}, 0, 0)


def send(
    appender: GatheredAppender, *texts: str, placement: Placement = FIRST, seconds: float = 5.0
) -> asyncio.Task[Receipt]:
    messages = [NewMessage(payload=text.encode()) for text in texts]
    return asyncio.create_task(appender.append(TOPIC, placement, messages, deadline=soon(seconds)))


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_ready_in_one_turn_goes_together_and_the_next_when_that_has_its_end(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    first = [send(appender, "a"), send(appender, "b", "c")]
    await turns()
    rest = [send(appender, "d"), send(appender, "e")]
    await turns()
    assert len(log.begun) == 1
    assert log.end(7) == ["a", "b", "c"]
    assert [(await task).offset for task in first] == [7, 8]
    assert log.end(10) == ["d", "e"]
    assert [(await task).offset for task in rest] == [10, 11]
    assert log.appended == []


async def test_the_log_hears_of_size_and_latest_deadline(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    patient, hasty = send(appender, "a", seconds=60), send(appender, "b", seconds=5)
    await turns()
    _, _, size_bytes, deadline, _ = log.begun[0]
    alone = send(appender, "c", placement=ToPartition(1))
    await turns()
    assert size_bytes == 2 * log.begun[1][2]
    assert deadline.remaining_s() > 50
    log.end()
    log.end()
    await asyncio.gather(patient, hasty, alone)


async def test_every_batch_is_told_to_those_who_listen(
    appender: GatheredAppender, log: ReadyRecorder, told: list[tuple[object, ...]]
) -> None:
    tasks = [send(appender, "a", "b"), send(appender, "c")]
    await turns()
    assert told == []
    log.end(40)
    # Before any of the callers.
    assert told == [(TOPIC, 0, 43, None)]
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("begins", [True, False])
async def test_what_cannot_be_done_at_once_is_done_by_append(
    appender: GatheredAppender, log: ReadyRecorder, begins: bool
) -> None:
    log.begins = begins
    tasks = [send(appender, "a"), send(appender, "b")]
    await turns()
    waiting = [] if not begins else [send(appender, "c")]
    await turns()
    if begins:
        log.end(None)
    assert [(await task).offset for task in (*tasks, *waiting)] == [100, 101, 102][: 2 + len(waiting)]
    # What came meanwhile goes along.
    assert log.appended == [["a", "b", "c"][: 2 + len(waiting)]]


async def test_a_refusal_is_sorted_out_by_append(appender: GatheredAppender, log: ReadyRecorder) -> None:
    good, bad = send(appender, "good"), send(appender, "bad")
    await turns()
    log.end(None)
    assert (await good).messages_count == 1
    with pytest.raises(BadRequest):
        await bad
    assert log.appended == [["good"]]


@pytest.mark.parametrize("error", [ConnectionReset(outcome=Outcome.UNKNOWN), NotFound()])
async def test_an_error_is_everybodys_own_and_the_lane_goes_on(
    appender: GatheredAppender, log: ReadyRecorder, error: ConnectionReset | NotFound
) -> None:
    tasks = [send(appender, "a"), send(appender, "b")]
    await turns()
    log.end(error)
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in raised] == [type(error)] * 2
    assert raised[0] is not raised[1]
    again = send(appender, "c")
    await turns()
    assert log.end() == ["c"]
    await again


async def test_a_fault_of_the_bridge_itself_is_an_unknown_outcome(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    log.begins = ZeroDivisionError()
    task = send(appender, "a")
    with pytest.raises(SendError) as caught:
        await task
    assert caught.value.outcome is Outcome.UNKNOWN
    log.begins = True
    again = send(appender, "b")
    await turns()
    log.end()
    await again


async def test_a_caller_that_goes_away_hurts_nobody(appender: GatheredAppender, log: ReadyRecorder) -> None:
    gone, stays = send(appender, "gone"), send(appender, "stays")
    await turns()
    withdrawn, waits = send(appender, "withdrawn"), send(appender, "waits")
    await turns()
    gone.cancel()
    withdrawn.cancel()
    await turns()
    assert log.end(4) == ["gone", "stays"]
    assert (await stays).offset == 5
    assert log.end(6) == ["waits"]
    assert (await waits).offset == 6


async def test_a_lane_whose_callers_have_all_gone_sends_nothing(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    gone = appender.append(TOPIC, FIRST, [NewMessage(b"gone")], deadline=soon())
    # By hand, since the cancellation of a task comes a turn of the loop later.
    gone.send(None)
    with pytest.raises(asyncio.CancelledError):
        gone.throw(asyncio.CancelledError())
    await turns()
    assert log.begun == []
    assert appender._lanes == {}


async def test_deadlines_of_all_callers_are_kept_by_one_timer(
    appender: GatheredAppender, log: ReadyRecorder
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
    assert log.end() == ["a"]
    assert log.end() == ["d"]
    await patient


async def test_a_key_takes_the_number_of_partitions_that_is_known_now(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    known = send(appender, "a", placement=ByKey(b"key"))
    await turns()
    assert log.begun[0][0] == ToPartition(partition_of_key(b"key", 3))
    log.end()
    await known
    log.count = None
    asked = send(appender, "a", placement=ByKey(b"key"))
    await turns()
    assert log.begun[0][0] == ToPartition(partition_of_key(b"key", 5))
    log.end()
    await asked


async def test_closing_waits_for_what_was_begun(appender: GatheredAppender, log: ReadyRecorder) -> None:
    accepted = send(appender, "a")
    await turns()
    closing = asyncio.create_task(appender.close())
    await turns()
    assert not closing.done()
    log.end()
    await closing
    await accepted


async def test_an_append_that_ends_twice_ends_nothing_but_itself(
    appender: GatheredAppender, log: ReadyRecorder
) -> None:
    first = send(appender, "first")
    await turns()
    ended = log.begun[0][-1]
    log.end(0)
    second = send(appender, "second")
    await turns()
    ended(Receipt(0, 0, 1, Durability.PERSISTED))
    await turns()
    assert not second.done()
    log.end(1)
    assert [(await task).offset for task in (first, second)] == [0, 1]
