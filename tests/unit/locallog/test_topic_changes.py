"""What only the embedded log could get wrong when a topic is emptied or grows: keys, readers in between, old files."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from bridge import limits
from bridge.errors import BadRequest
from bridge.locallog import LocalMessageLog
from bridge.locallog.catalog import KeyRange
from bridge.messagelog import First, Retention, StoredOffset, ToPartition, TopicRef
from tests.support.clock import FakeClock
from tests.support.local_logs import FAST, TOPIC, Disk, messages, open_log, open_topic, soon

FILE = "messages.db"


async def payloads(log: LocalMessageLog, partition_id: int = 0, topic: TopicRef = TOPIC) -> list[bytes]:
    page = await log.read(topic, partition_id, First(), count=100, deadline=soon())
    return [message.payload for message in page.messages]


async def purged_away(log: LocalMessageLog) -> None:
    """Wait until no row is left that nobody can reach."""
    while log._catalog.purges:
        await log.probe(deadline=soon())


class HeldReader:
    """Holds the first statement that a reader makes, until told; the writer is left alone."""

    def __init__(self, disk: Disk) -> None:
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.go = threading.Event()
        disk.before = self._before

    def _before(self, statement: str) -> None:
        if (
            statement.startswith("select")
            and "log-writer" not in threading.current_thread().name
            and not self.begun.is_set()
        ):
            self._loop.call_soon_threadsafe(self.begun.set)
            self.go.wait(20)


async def _reading(log: LocalMessageLog) -> object:
    page = await log.read(TOPIC, 0, First(), count=10, deadline=soon())
    return page.end_offset, list(page.messages)


async def _looking(log: LocalMessageLog) -> object:
    return await log.stored_offset(TOPIC, 0, 1, deadline=soon())


@pytest.mark.parametrize("look, seen", [(_reading, (0, [])), (_looking, None)])
async def test_whoever_a_purge_overtakes_finds_the_partition_empty(
    tmp_path: Path, look: Callable[[LocalMessageLog], Awaitable[object]], seen: object
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"old"), deadline=soon())
    await log.store_offset(TOPIC, 0, 1, 0, deadline=soon())
    held = HeldReader(disk)
    looking = asyncio.ensure_future(look(log))
    await held.begun.wait()
    await log.purge_topic(TOPIC, deadline=soon())
    await purged_away(log)
    # The keys are another's now.
    other = TopicRef("stream", "other")
    await log.create_topic(other, partitions_count=1, deadline=soon())
    await log.append(other, ToPartition(0), messages(b"foreign"), deadline=soon())
    await log.store_offset(other, 0, 1, 0, deadline=soon())
    held.go.set()
    assert await looking == seen
    await log.append(TOPIC, ToPartition(0), messages(b"new"), deadline=soon())
    assert await payloads(log) == [b"new"]
    await log.close()


async def test_what_waits_behind_a_purge_goes_to_the_emptied_partition(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"old"), deadline=soon())
    _, receipt, *_ = await asyncio.gather(
        log.purge_topic(TOPIC, deadline=soon()),
        log.append(TOPIC, ToPartition(0), messages(b"new"), deadline=soon()),
        log.store_offset(TOPIC, 0, 1, 0, deadline=soon()),
    )
    assert receipt.offset == 0
    assert await payloads(log) == [b"new"]
    assert await log.stored_offset(TOPIC, 0, 1, deadline=soon()) == StoredOffset(0, 1)
    await log.close()
    log = await open_log(tmp_path)
    assert await payloads(log) == [b"new"]
    await log.close()


async def test_purged_rows_leave_the_file_and_their_keys_are_given_out_again(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.add_partitions(TOPIC, 1, deadline=soon())
    for partition_id in range(3):
        await log.append(TOPIC, ToPartition(partition_id), messages(b"x"), deadline=soon())
        await log.store_offset(TOPIC, partition_id, 1, 0, deadline=soon())
    await log.purge_topic(TOPIC, deadline=soon())
    await purged_away(log)
    (topic,) = log._catalog.topics()
    assert list(topic.ranges) == [KeyRange(3, 3)]
    await log.add_partitions(TOPIC, 2, deadline=soon())
    assert list(topic.ranges) == [KeyRange(3, 3), KeyRange(0, 2)]
    await log.delete_topic(TOPIC, deadline=soon())
    await purged_away(log)
    await log.close()
    with apsw.Connection(str(tmp_path / FILE)) as connection:
        for table in ("topics", "extensions", "chunks", "trims", "stored_offsets", "purges"):
            assert connection.execute(f"select count(*) from {table}").get == 0
    connection.close()


async def test_a_stream_is_deleted_with_all_keys_of_its_topics(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.add_partitions(TOPIC, 2, deadline=soon())
    await log.append(TOPIC, ToPartition(3), messages(b"x"), deadline=soon())
    await log.delete_stream(TOPIC.stream, deadline=soon())
    await log.close()
    log = await open_log(tmp_path)
    await purged_away(log)
    await log.close()
    with apsw.Connection(str(tmp_path / FILE)) as connection:
        assert connection.execute("select count(*) from chunks").get == 0
    connection.close()


async def test_retention_changed_later_is_obeyed(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    await log.append(TOPIC, ToPartition(0), messages(b"old"), deadline=soon())
    clock.advance(100)
    await log.append(TOPIC, ToPartition(0), messages(b"new"), deadline=soon())
    await log.retain()
    assert await payloads(log) == [b"old", b"new"]
    await log.update_retention(TOPIC, Retention(age_s=50), deadline=soon())
    await log.retain()
    assert await payloads(log) == [b"new"]
    await log.update_retention(TOPIC, Retention(), deadline=soon())
    clock.advance(1000)
    await log.retain()
    assert await payloads(log) == [b"new"]
    await log.close()


async def test_partitions_of_the_whole_log_are_bounded_and_a_refusal_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await open_topic(tmp_path, tuning=FAST)
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    monkeypatch.setattr("bridge.locallog.catalog.LOCAL_PARTITIONS_MAX", 3)
    for refused in (log.add_partitions(TOPIC, 2, deadline=soon()), log.purge_topic(TOPIC, deadline=soon())):
        with pytest.raises(BadRequest) as caught:
            await refused
        assert caught.value.limit == 3
    monkeypatch.setattr("bridge.locallog.catalog.LOCAL_PARTITIONS_MAX", limits.LOCAL_PARTITIONS_MAX)
    assert await payloads(log) == [b"x"]
    assert await log.partitions_count(TOPIC, deadline=soon()) == 2
    await log.close()
