"""What may go goes, what must stay stays, and offsets are never given out twice."""

import asyncio
import threading
from collections.abc import Awaitable
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from bridge import limits
from bridge.errors import AlreadyExists, BadRequest
from bridge.locallog import LocalMessageLog
from bridge.locallog.schema import chunk_key
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    NewMessage,
    Next,
    Retention,
    ToPartition,
    TopicRef,
)
from bridge.telemetry.metrics import LogMetrics
from tests.support.clock import FakeClock
from tests.support.copies import changed
from tests.support.figures import WatchedLog
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon
from tests.support.timers import settled

KEPT = TopicRef("stream", "kept")


async def open_kept(
    directory: Path,
    retention: Retention,
    *,
    clock: FakeClock,
    disk: Disk | None = None,
    observer: LogMetrics | None = None,
) -> LocalMessageLog:
    log = await open_topic(directory, clock=clock, tuning=(disk or Disk()).tuning(), observer=observer)
    await log.create_topic(KEPT, partitions_count=2, retention=retention, deadline=soon())
    return log


async def offsets(log: LocalMessageLog, partition_id: int = 0) -> list[int]:
    page = await log.read(KEPT, partition_id, First(), count=10_000, deadline=soon())
    return [message.offset for message in page.messages]


async def test_messages_older_than_the_age_kept_go_and_no_younger_ones(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=60), clock=clock)
    for _ in range(5):
        await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
        clock.advance(20)
    await log.retain()
    assert await offsets(log) == [2, 3, 4]
    info = await log.topic(KEPT, deadline=soon())
    assert info.messages_count == info.partitions[0].messages_count == 3
    assert info.partitions[0].end_offset == 5
    assert (await log.read(KEPT, 0, FromOffset(0), count=1, deadline=soon())).messages[0].offset == 2
    await log.close()


async def test_offsets_go_on_after_everything_was_removed_and_the_log_reopened(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=60), clock=clock)
    await log.append(KEPT, ToPartition(0), messages(b"a", b"b", b"c"), deadline=soon())
    clock.advance(61)
    await log.retain()
    info = await log.topic(KEPT, deadline=soon())
    assert (info.messages_count, info.size_bytes, info.partitions[0].end_offset) == (0, 0, 3)
    for position in (First(), Last(), FromOffset(0), FromOffset(3), FromTimestamp(0), Next(1)):
        page = await log.read(KEPT, 0, position, count=1, deadline=soon())
        assert (page.end_offset, list(page.messages)) == (3, [])
    await log.close()
    log = await open_log(tmp_path, clock=clock)
    assert await log.topic(KEPT, deadline=soon()) == info
    receipt = await log.append(KEPT, ToPartition(0), messages(b"d"), deadline=soon())
    assert receipt.offset == 3
    assert await offsets(log) == [3]
    await log.close()
    log = await open_log(tmp_path, clock=clock)
    assert await offsets(log) == [3]
    assert (await log.topic(KEPT, deadline=soon())).messages_count == 1
    await log.close()


async def test_the_oldest_go_beyond_the_size_kept_and_never_more_than_that(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(size_bytes=5_000), clock=clock)
    for number in range(10):
        await log.append(KEPT, ToPartition(number % 2), messages(b"x" * 1_000), deadline=soon())
        clock.advance(1)
    await log.retain()
    info = await log.topic(KEPT, deadline=soon())
    assert 5_000 <= info.size_bytes < 6_100
    assert (await offsets(log, 0), await offsets(log, 1)) == ([3, 4], [2, 3, 4])
    await log.retain()
    assert await log.topic(KEPT, deadline=soon()) == info
    await log.close()


@pytest.mark.parametrize("bound", ["RETENTION_ROWS_PER_COMMIT", "LOCAL_COMMIT_BYTES_MAX"])
async def test_retention_removes_in_short_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    clock, disk = FakeClock(), Disk()
    log = await open_kept(tmp_path, Retention(age_s=60), clock=clock, disk=disk)
    for _ in range(10):
        await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
    clock.advance(61)
    monkeypatch.setattr(limits, bound, 3 if bound == "RETENTION_ROWS_PER_COMMIT" else 80)
    disk.statements.clear()
    await log.retain()
    assert await offsets(log) == []
    assert 3 <= disk.statements.count("commit") <= 4
    await log.close()


async def test_topics_without_retention_keep_everything(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=1), clock=clock)
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    clock.advance(10**9)
    await log.retain()
    assert (await log.topic(TOPIC, deadline=soon())).messages_count == 1
    await log.close()


async def test_retention_on_a_full_disk_is_put_off(tmp_path: Path) -> None:
    clock, disk = FakeClock(), Disk()
    log = await open_kept(tmp_path, Retention(age_s=1), clock=clock, disk=disk)
    await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
    clock.advance(5)
    disk.failing["commit"] = apsw.FullError
    await log.retain()
    disk.failing.clear()
    assert await offsets(log) == [0]
    await log.retain()
    assert await offsets(log) == []
    await log.close()


async def test_a_topic_deleted_before_its_turn_is_left_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=1), clock=clock)
    await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
    clock.advance(5)
    deleting = asyncio.create_task(log.delete_topic(KEPT, deadline=soon()))
    await asyncio.sleep(0)
    await log.retain()
    await deleting
    await log.close()


async def test_the_background_part_removes_what_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=1), clock=clock)
    monkeypatch.setattr(limits, "RETENTION_INTERVAL_S", 0.001)
    running = asyncio.create_task(log.run())
    for _ in range(2):
        await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
        clock.advance(5)
        while await offsets(log):
            # A page read often is answered at once, which lets nothing else run; a write waits for the writer.
            await log.probe(deadline=soon())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await log.close()


async def test_the_background_part_ends_when_it_is_cancelled_though_news_come_in_the_same_moment(
    tmp_path: Path,
) -> None:
    log = await open_kept(tmp_path, Retention(), clock=FakeClock())
    running = asyncio.create_task(log.run())
    await settled()
    log._state_news.set()
    await asyncio.sleep(0)
    running.cancel()
    ended, _ = await asyncio.wait({running}, timeout=5)
    assert running in ended
    await log.close()


async def rows_left(directory: Path) -> int:
    connection = apsw.Connection(str(directory / "messages.db"), apsw.SQLITE_OPEN_READONLY)
    try:
        return sum(
            int(connection.execute(f"select count(*) from {table}").get)
            for table in ("chunks", "trims", "stored_offsets", "purges", "probes")
        )
    finally:
        connection.close()


async def fill(log: LocalMessageLog, count: int) -> None:
    for _ in range(count):
        await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
    for consumer in range(1, count):
        await log.store_offset(KEPT, 0, consumer, 0, deadline=soon())


@pytest.mark.parametrize("bound", ["RETENTION_ROWS_PER_COMMIT", "LOCAL_COMMIT_BYTES_MAX"])
async def test_a_deleted_topic_is_purged_in_slices_between_other_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=10), clock=clock)
    await fill(log, 10)
    clock.advance(20)
    monkeypatch.setattr(limits, bound, 3 if bound == "RETENTION_ROWS_PER_COMMIT" else 80)
    await log.retain()
    await fill(log, 10)
    await log.delete_topic(KEPT, deadline=soon())
    await asyncio.gather(
        *(log.append(TOPIC, ToPartition(0), messages(b"other"), deadline=soon()) for _ in range(20))
    )
    while log._catalog.purges:
        await log.probe(deadline=soon())
    info = await log.topic(TOPIC, deadline=soon())
    assert info.messages_count == 20
    await log.delete_stream(TOPIC.stream, deadline=soon())
    while log._catalog.purges:
        await log.probe(deadline=soon())
    assert await rows_left(tmp_path) == 0
    await log.close()


async def test_a_purge_cut_short_goes_on_after_reopening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETENTION_ROWS_PER_COMMIT", 1)
    disk = Disk()
    log = await open_kept(tmp_path, Retention(), clock=FakeClock(), disk=disk)
    await fill(log, 10)
    pause = threading.Event()

    def hold_until_closing(statement: str) -> None:
        while statement.startswith("delete from chunks") and log._writer._queue.empty():
            pause.wait(0.001)

    disk.before = hold_until_closing
    await log.delete_topic(KEPT, deadline=soon())
    await log.close()
    assert await rows_left(tmp_path) > 0
    log = await open_log(tmp_path)
    created = await log.create_topic(KEPT, partitions_count=2, deadline=soon())
    assert created.messages_count == 0
    assert await offsets(log) == []
    while log._catalog.purges:
        await log.probe(deadline=soon())
    assert await rows_left(tmp_path) == 0
    await log.close()


async def test_a_purge_on_a_full_disk_waits_until_there_is_room(tmp_path: Path) -> None:
    disk, metrics = Disk(), WatchedLog()
    log = await open_kept(tmp_path, Retention(), clock=FakeClock(), disk=disk, observer=metrics)
    await fill(log, 3)
    disk.failing["delete from chunks"] = apsw.FullError
    await log.delete_topic(KEPT, deadline=soon())
    await metrics.states.until("full")
    assert log._catalog.purges
    assert not log.health().ready
    disk.failing.clear()
    while log._catalog.purges:
        await log.probe(deadline=soon())
    assert log.health().ready
    await log.close()


async def test_an_offset_may_be_stored_for_a_message_of_the_same_commit(tmp_path: Path) -> None:
    log = await open_kept(tmp_path, Retention(), clock=FakeClock())
    results = await asyncio.gather(
        log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon()),
        log.store_offset(KEPT, 0, 1, 0, deadline=soon()),
    )
    assert results[1] is None
    with pytest.raises(BadRequest):
        await log.store_offset(KEPT, 0, 1, -1, deadline=soon())
    await log.close()


async def test_keys_of_partitions_are_given_out_again_once_they_are_free(tmp_path: Path) -> None:
    log = await open_kept(tmp_path, Retention(), clock=FakeClock())
    await log.delete_topic(TOPIC, deadline=soon())
    while log._catalog.purges:
        await log.probe(deadline=soon())
    await log.create_topic(TopicRef("stream", "wide"), partitions_count=3, deadline=soon())
    await log.create_topic(TopicRef("stream", "narrow"), partitions_count=2, deadline=soon())
    topics = {topic.name: topic.ranges[0].base_key for topic in log._catalog.topics()}
    assert topics == {"kept": 2, "wide": 4, "narrow": 0}
    await log.close()


@pytest.mark.parametrize(
    "bound, value", [("LOCAL_STREAMS_MAX", 1), ("TOPICS_PER_STREAM_MAX", 2), ("LOCAL_PARTITIONS_MAX", 4)]
)
async def test_streams_topics_and_partitions_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    log = await open_kept(tmp_path, Retention(), clock=FakeClock())
    monkeypatch.setattr(limits, bound, value)
    monkeypatch.setattr("bridge.locallog.catalog.LOCAL_PARTITIONS_MAX", limits.LOCAL_PARTITIONS_MAX)
    creation: Awaitable[object] = (
        log.create_stream("more", deadline=soon())
        if bound == "LOCAL_STREAMS_MAX"
        else log.create_topic(TopicRef("stream", "more"), partitions_count=1, deadline=soon())
    )
    with pytest.raises(BadRequest) as caught:
        await creation
    assert caught.value.limit == value
    await log.close()


async def test_of_concurrent_creations_one_succeeds(tmp_path: Path) -> None:
    log = await open_log(tmp_path)
    results = await asyncio.gather(
        *(log.create_stream("stream", deadline=soon()) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, AlreadyExists) for result in results) == 7
    topics = await asyncio.gather(
        *(log.create_topic(KEPT, partitions_count=1, deadline=soon()) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, AlreadyExists) for result in topics) == 7
    await log.append(KEPT, ToPartition(0), [NewMessage(payload=b"x")], deadline=soon())
    await log.close()


@pytest.mark.parametrize(
    "harm, due_after_s",
    [
        ("update chunks set messages_count = 0", 61),
        ("update chunks set messages_count = 3", 61),
        # Gone before their time, by what they tell of themselves.
        ("update chunks set bytes_end = -1 << 60", 0),
        ("update chunks set timestamp_us = 1", 0),
        ("delete from chunks", 61),
    ],
)
async def test_a_chunk_that_is_spoilt_holds_back_the_retention_of_its_topic_alone(
    tmp_path: Path, harm: str, due_after_s: int
) -> None:
    clock = FakeClock()
    log = await open_kept(tmp_path, Retention(age_s=60, size_bytes=1_000_000), clock=clock)
    other = TopicRef("stream", "other")
    await log.create_topic(other, partitions_count=1, retention=Retention(age_s=60), deadline=soon())
    for topic in (KEPT, other):
        for _ in range(4):
            await log.append(topic, ToPartition(0), messages(b"x"), deadline=soon())
    clock.advance(due_after_s)
    changed(tmp_path / "messages.db", f"{harm} where key = {chunk_key(2, 0)}")
    with capture_logs() as lines:
        await log.retain()
    told = [
        (line["topic"], line["partition_id"])
        for line in lines
        if line["event"] == "retention_held_back_by_damage"
    ]
    assert told == [("kept", 0)]
    assert log.health().ready
    assert (await log.topic(KEPT, deadline=soon())).messages_count == 4
    clock.advance(61)
    await log.retain()
    assert (await log.topic(other, deadline=soon())).messages_count == 0
    await log.purge_topic(KEPT, deadline=soon())
    await log.append(KEPT, ToPartition(0), messages(b"x"), deadline=soon())
    await log.retain()
    assert await offsets(log) == [0]
    await log.close()
