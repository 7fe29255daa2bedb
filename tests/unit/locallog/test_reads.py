"""Reads that go wrong, wait, or meet a deletion."""

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from bridge import limits
from bridge.errors import (
    BadRequest,
    DeadlineExceeded,
    Overloaded,
    PartitionNotFound,
    PollError,
    StreamNotFound,
    TopicNotFound,
)
from bridge.locallog import queries, reader
from bridge.locallog.schema import chunk_key
from bridge.messagelog import (
    NO_RECORDS,
    Balanced,
    ByKey,
    First,
    FromOffset,
    FromTimestamp,
    ToPartition,
    partition_of_key,
)
from tests.support.clock import FakeClock
from tests.support.local_logs import TOPIC, Disk, messages, open_topic, soon

FILE = "messages.db"


@pytest.mark.parametrize("count", [0, limits.PAGE_MESSAGES_MAX + 1])
async def test_a_page_has_a_bounded_number_of_messages(tmp_path: Path, count: int) -> None:
    log = await open_topic(tmp_path)
    with pytest.raises(BadRequest):
        await log.read(TOPIC, 0, First(), count=count, deadline=soon())
    await log.close()


async def test_a_damaged_chunk_is_reported_and_the_others_are_readable(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for payload in (b"one", b"two", b"three"):
        await log.append(TOPIC, ToPartition(0), messages(payload), deadline=soon())
    outside = apsw.Connection(str(tmp_path / FILE))
    outside.execute("update chunks set body = zeroblob(length(body)) where key = ?", (chunk_key(0, 1),))
    outside.close()
    with pytest.raises(PollError, match="damaged"):
        await log.read(TOPIC, 0, First(), count=10, deadline=soon())
    assert (await log.read(TOPIC, 0, First(), count=1, deadline=soon())).messages[0].payload == b"one"
    assert (await log.read(TOPIC, 0, FromOffset(2), count=9, deadline=soon())).messages[0].payload == b"three"
    assert log.health().ready
    await log.close()


@pytest.mark.parametrize("gone, told", [(0, {0}), (1, {0, 1}), (2, {2})])
async def test_a_message_that_is_gone_is_told_and_never_passed_over(
    tmp_path: Path, gone: int, told: set[int]
) -> None:
    log = await open_topic(tmp_path)
    for payload in (b"one", b"two", b"three"):
        await log.append(TOPIC, ToPartition(0), messages(payload), deadline=soon())
    outside = apsw.Connection(str(tmp_path / FILE))
    outside.execute("delete from chunks where key = ?", (chunk_key(0, gone),))
    outside.close()
    found = set()
    for offset in range(3):
        try:
            page = await log.read(TOPIC, 0, FromOffset(offset), count=9, deadline=soon())
        except PollError:
            found.add(offset)
        else:
            assert page.messages[0].offset == offset
    assert found == told
    await log.close()


async def test_a_read_that_the_disk_refuses_is_told_without_internals(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    disk.failing["select key"] = lambda: apsw.IOError("disk I/O error at /secret/path")
    with pytest.raises(PollError) as caught:
        await log.read(TOPIC, 0, First(), count=1, deadline=soon())
    assert "secret" not in caught.value.detail
    disk.failing.clear()
    assert (await log.read(TOPIC, 0, First(), count=1, deadline=soon())).messages
    await log.close()


class SlowReads:
    """Holds every read until told."""

    def __init__(self, disk: Disk) -> None:
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.go = threading.Event()
        disk.before = self._before

    def _before(self, statement: str) -> None:
        if statement.startswith("select"):
            self._loop.call_soon_threadsafe(self.begun.set)
            self.go.wait(20)


async def test_reads_that_wait_are_bounded_and_end_by_their_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    monkeypatch.setattr("bridge.locallog.reader.LOCAL_READS_WAITING_MAX", 4)
    slow = SlowReads(disk)
    late = [asyncio.create_task(log.read(TOPIC, 0, First(), count=1, deadline=soon(0.1))) for _ in range(3)]
    fine = asyncio.create_task(log.read(TOPIC, 0, First(), count=1, deadline=soon()))
    await slow.begun.wait()
    with pytest.raises(Overloaded) as caught:
        await log.read(TOPIC, 0, First(), count=1, deadline=soon())
    assert caught.value.retry_after_ms
    for task in late:
        with pytest.raises(DeadlineExceeded):
            await task
    slow.go.set()
    assert (await fine).messages
    assert (await log.read(TOPIC, 0, First(), count=1, deadline=soon())).messages
    await log.close()


async def test_a_deadline_that_comes_with_the_answer_changes_nothing() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(1)
    reader._expire(future)
    assert await future == 1


async def test_a_read_cancelled_by_its_caller_disturbs_nobody(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    slow = SlowReads(disk)
    task = asyncio.create_task(log.read(TOPIC, 0, First(), count=1, deadline=soon()))
    await slow.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.go.set()
    assert (await log.read(TOPIC, 0, First(), count=1, deadline=soon())).messages
    await log.close()


@pytest.mark.parametrize("whole_stream", [False, True])
async def test_a_topic_deleted_during_a_read_is_not_found(tmp_path: Path, whole_stream: bool) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    slow = SlowReads(disk)
    reads = [
        asyncio.create_task(log.read(TOPIC, 0, First(), count=1, deadline=soon())),
        asyncio.create_task(log.stored_offset(TOPIC, 0, 1, deadline=soon())),
    ]
    await slow.begun.wait()
    if whole_stream:
        await log.delete_stream(TOPIC.stream, deadline=soon())
    else:
        await log.delete_topic(TOPIC, deadline=soon())
    slow.go.set()
    for task in reads:
        with pytest.raises(StreamNotFound if whole_stream else TopicNotFound):
            await task
    await log.close()


async def test_times_in_a_partition_never_go_back_with_the_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    for step_s in (0.0, -3600.0, 10.0, 7200.0):
        clock.advance(step_s)
        await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    times = [m.timestamp_us for m in (await log.read(TOPIC, 0, First(), count=9, deadline=soon())).messages]
    assert times[0] == times[1] == times[2] < times[3]
    page = await log.read(TOPIC, 0, FromTimestamp(times[3]), count=9, deadline=soon())
    assert [message.offset for message in page.messages] == [3]
    await log.close()


async def test_a_read_whose_chunks_were_removed_meanwhile_begins_with_what_is_left(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for _ in range(6):
        await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    marks = log._catalog.topic(TOPIC).partitions[0].marks
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute("delete from chunks where key < ?", (chunk_key(0, 4),))
    connection.execute("insert into trims values (0, 4, 0, 0, 0)")
    found = queries.messages_from(connection, 0, marks, 0, 10)
    assert [message.offset for message in found.records] == [4, 5]
    assert not found.lost
    assert queries.first_offset_since(connection, 0, marks, 0) == 4
    connection.execute("delete from chunks")
    assert queries.messages_from(connection, 0, marks, 0, 10) == (NO_RECORDS, (), False)
    # Retention did not take the last two: a read begins with one of them, and finds out whether the partition is going.
    assert queries.first_offset_since(connection, 0, marks, 0) == 5
    assert queries.messages_from(connection, 0, marks, 5, 10).lost
    connection.execute("update trims set first_offset = 6")
    assert queries.first_offset_since(connection, 0, marks, 0) == 6
    connection.close()
    await log.close()


async def test_a_page_may_end_within_a_chunk(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for number in range(4):
        await log.append(TOPIC, ToPartition(0), messages(*[b"%d" % number] * 5), deadline=soon())
    page = await log.read(TOPIC, 0, FromOffset(3), count=9, deadline=soon())
    assert [message.offset for message in page.messages] == list(range(3, 12))
    await log.close()


async def test_what_the_log_does_not_have_or_cannot_do_any_more_is_refused(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    with pytest.raises(PartitionNotFound):
        await log.append(TOPIC, ToPartition(2), messages(b"x"), deadline=soon())
    with pytest.raises(BadRequest):
        await log.create_topic(TOPIC, partitions_count=1001, deadline=soon())
    with pytest.raises(DeadlineExceeded):
        await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon(-1))
    with pytest.raises(DeadlineExceeded):
        await log.streams(deadline=soon(-1))
    await log.close()


async def test_keys_turns_and_ids_lead_to_partitions(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for placement, expected in (
        (ByKey(b"key"), partition_of_key(b"key", 2)),
        (Balanced(), 0),
        (Balanced(), 1),
        (ToPartition(1), 1),
    ):
        receipt = await log.append(TOPIC, placement, messages(b"x"), deadline=soon())
        assert receipt.partition_id == expected
    await log.close()
