"""Appends, by themselves and in batches: one change for each batch, and what is told of it."""

import asyncio
from pathlib import Path

import apsw
import pytest

from bridge.clock import SystemClock
from bridge.config import LocalLogConfig
from bridge.errors import BridgeError, ConnectionFailed, DeadlineExceeded, Outcome, Overloaded, TopicNotFound
from bridge.flow.appending.batching import BatchingAppender
from bridge.locallog import LocalMessageLog
from bridge.messagelog import (
    Balanced,
    ByKey,
    Durability,
    First,
    NewRecords,
    OpenBatch,
    Placement,
    Receipt,
    StoredNews,
    ToPartition,
    TopicRef,
    check_append,
    partition_of_key,
)
from bridge.telemetry.exemplars import Traced
from bridge.telemetry.metrics import LogMetrics
from tests.support.figures import by_label
from tests.support.local_logs import FAST, TOPIC, Disk, messages, open_topic, soon

FIRST = ToPartition(0)


class Ears(LogMetrics):
    """Keeps how many messages each write had."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    def appended(
        self,
        stream: str,
        topic: str,
        *,
        messages: int,
        payload_bytes: int,
        seconds: float,
        traced: Traced | None = None,
    ) -> None:
        assert (stream, topic) == TOPIC
        assert traced is None
        assert payload_bytes >= messages
        assert seconds >= 0
        self.writes.append(messages)


async def test_an_append_is_stored_counted_and_told(tmp_path: Path) -> None:
    ears, news = Ears(), StoredNews()
    told: list[tuple[TopicRef, int, int | None]] = []
    news.listen(lambda *stored: told.append(stored))
    config = LocalLogConfig(data_dir=str(tmp_path))
    log = await LocalMessageLog.open(config, clock=SystemClock(), observer=ears, news=news, tuning=FAST)
    await log.create_stream(TOPIC.stream, deadline=soon())
    await log.create_topic(TOPIC, partitions_count=2, deadline=soon())
    assert await log.append(TOPIC, FIRST, messages(b"a", b"bc"), deadline=soon()) == Receipt(
        0, 0, 2, Durability.PERSISTED
    )
    assert ears.writes == [2]
    assert told == [(TOPIC, 0, 2)]
    await log.close()


async def test_callers_of_one_turn_share_a_write_and_find_their_own_places(tmp_path: Path) -> None:
    ears = Ears()
    log = await open_topic(tmp_path, tuning=FAST, observer=ears)
    appender = BatchingAppender(log, probe=log)

    async def send(payload: bytes, placement: Placement) -> Receipt:
        return await appender.append(TOPIC, placement, messages(payload), deadline=soon())

    receipts = await asyncio.gather(*(send(b"%d" % number, FIRST) for number in range(64)))
    assert [receipt.offset for receipt in receipts] == list(range(64))
    assert {receipt.durability for receipt in receipts} == {Durability.PERSISTED}
    assert ears.writes == [64]
    assert (await send(b"keyed", ByKey(b"key"))).partition_id == partition_of_key(b"key", 2)
    page = await log.read(TOPIC, 0, First(), count=64, deadline=soon())
    assert [message.payload for message in page.messages] == [b"%d" % number for number in range(64)]
    await appender.close()
    await log.close()


class Batch(OpenBatch):
    """Messages that are sealed once."""

    def __init__(self, *payloads: bytes) -> None:
        self.messages = NewRecords.of(messages(*payloads))
        self.is_sealed = False

    @property
    def size_bytes(self) -> int:
        return check_append(self.messages)

    def seal(self) -> NewRecords:
        self.is_sealed = True
        return self.messages

    def reopen(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    "topic, placement, seconds",
    [
        (TopicRef("stream", "none"), FIRST, 20.0),
        (TopicRef("none", "none"), Balanced(), 20.0),
        (TOPIC, ToPartition(99), 20.0),
        (TOPIC, FIRST, -1.0),
    ],
)
async def test_a_batch_that_has_no_place_or_no_time_is_not_sealed(
    tmp_path: Path, topic: TopicRef, placement: Placement, seconds: float
) -> None:
    log, batch = await open_topic(tmp_path, tuning=FAST), Batch(b"x")
    with pytest.raises(BridgeError):
        await log.append(topic, placement, batch, deadline=soon(seconds))
    assert not batch.is_sealed
    await log.close()


async def test_a_batch_in_which_nobody_waits_is_not_written(tmp_path: Path) -> None:
    log = await open_topic(tmp_path, tuning=FAST)
    with pytest.raises(DeadlineExceeded) as caught:
        await log.append(TOPIC, FIRST, Batch(), deadline=soon())
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert (await log.totals(deadline=soon())).messages_count == 0
    await log.close()


@pytest.mark.parametrize(
    "reached, error, expected, outcome",
    [
        ("begin", apsw.FullError, Overloaded, Outcome.NOT_WRITTEN),
        ("commit", apsw.IOError, ConnectionFailed, Outcome.UNKNOWN),
    ],
)
async def test_a_failing_disk_is_told_with_its_outcome(
    tmp_path: Path,
    reached: str,
    error: type[Exception],
    expected: type[Overloaded | ConnectionFailed],
    outcome: Outcome,
) -> None:
    disk, ears = Disk(), Ears()
    log = await open_topic(tmp_path, tuning=disk.tuning(), observer=ears)
    disk.failing[reached] = error
    with pytest.raises(expected) as told:
        await log.append(TOPIC, FIRST, Batch(b"x"), deadline=soon())
    assert told.value.outcome is outcome
    assert by_label(ears.append_failures) == {told.value.code: 1}
    disk.failing.clear()
    await log.close()


async def test_a_topic_deleted_in_between_is_not_found(tmp_path: Path) -> None:
    log = await open_topic(tmp_path, tuning=FAST)
    appender = BatchingAppender(log, probe=log)
    deleting = asyncio.create_task(log.delete_topic(TOPIC, deadline=soon()))
    await asyncio.sleep(0)
    for placement in (FIRST, ByKey(b"k")):
        with pytest.raises(TopicNotFound):
            await appender.append(TOPIC, placement, messages(b"x"), deadline=soon())
    await deleting
    await appender.close()
    await log.close()


async def test_a_deadline_says_whether_the_writer_had_it(tmp_path: Path) -> None:
    disk, loop = Disk(), asyncio.get_running_loop()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    reached, on = asyncio.Event(), asyncio.Event()

    def hold(statement: str) -> None:
        if statement == "commit":
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(on.wait(), loop).result(20)

    disk.before = hold
    appender = BatchingAppender(log, probe=log)
    taken = asyncio.create_task(appender.append(TOPIC, FIRST, messages(b"a"), deadline=soon(0.05)))
    await reached.wait()
    waiting = asyncio.create_task(log.append(TOPIC, FIRST, Batch(b"b"), deadline=soon(0.05)))
    for task, outcome in ((taken, Outcome.UNKNOWN), (waiting, Outcome.NOT_WRITTEN)):
        with pytest.raises(DeadlineExceeded) as caught:
            await task
        assert caught.value.outcome is outcome
    disk.before = lambda _: None
    on.set()
    # What the writer had was stored, what still waited was not.
    assert (await appender.append(TOPIC, FIRST, messages(b"after"), deadline=soon())).offset == 1
    await appender.close()
    await log.close()
