"""A disk without space can be left: what is there is read and deleted, nothing acknowledged is lost, and it ends by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from bridge.errors import LogError, Outcome, Overloaded, StartupError
from bridge.locallog import LocalMessageLog
from bridge.messagelog import First, FromOffset, Retention, ToPartition, TopicRef
from tests.support.checker import Account, Stored
from tests.support.counted_disk import CountedDisk, SmallDisk, counted, mounted
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon

MIB = 1024 * 1024
OTHER = TopicRef(TOPIC.stream, "other")
FIRST = ToPartition(0)


@pytest.fixture(params=[mounted, counted], ids=["mounted", "counted"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with request.param(tmp_path / "disk", 12 * MIB) as made:
        yield made


async def opened(disk: SmallDisk) -> LocalMessageLog:
    """A log with two topics, a message in each."""
    log = await open_topic(disk.directory, tuning=disk.tuning)
    await log.create_topic(OTHER, partitions_count=1, deadline=soon())
    for topic in (TOPIC, OTHER):
        await log.append(topic, FIRST, messages(b"first"), deadline=soon())
    return log


async def filled(log: LocalMessageLog, topic: TopicRef = TOPIC, size_bytes: int = 30_000) -> int:
    """Append until the log is full; how many went in."""
    refused: Overloaded | None = None
    for count in range(10_000):
        try:
            await log.append(topic, FIRST, messages(b"%05d" % count + b"x" * size_bytes), deadline=soon())
        except Overloaded as error:
            refused = error
            break
    assert refused is not None
    assert refused.outcome is Outcome.NOT_WRITTEN
    assert refused.retry_after_ms
    assert log.health().state == "full"
    return count


async def payloads(log: LocalMessageLog, topic: TopicRef) -> list[bytes]:
    found: list[bytes] = []
    while page := (await log.read(topic, 0, FromOffset(len(found)), count=1_000, deadline=soon())).messages:
        found.extend(message.payload for message in page)
    return found


async def open_again(log: LocalMessageLog) -> None:
    """Wait until the log takes messages; what was deleted is removed beside everything else."""
    async with asyncio.timeout(20):
        while log.health().state != "open":
            await log.streams(deadline=soon())
            await asyncio.sleep(0)


async def _delete_topic(log: LocalMessageLog) -> None:
    await log.delete_topic(TOPIC, deadline=soon())


async def _delete_stream(log: LocalMessageLog) -> None:
    await log.create_stream("kept", deadline=soon())
    await log.delete_stream(TOPIC.stream, deadline=soon())


async def _purge(log: LocalMessageLog) -> None:
    await log.purge_topic(TOPIC, deadline=soon())


async def _retain(log: LocalMessageLog) -> None:
    await log.update_retention(TOPIC, Retention(size_bytes=100_000), deadline=soon())
    await log.retain()


@pytest.mark.parametrize("by_others", [False, True], ids=["by itself", "by others"])
@pytest.mark.parametrize("leave", [_delete_topic, _delete_stream, _purge, _retain])
async def test_whatever_deletes_is_done_on_a_full_disk_and_the_log_takes_messages_again(
    disk: SmallDisk, leave: Callable[[LocalMessageLog], Awaitable[None]], by_others: bool
) -> None:
    log = await opened(disk)
    if by_others:
        for _ in range(100):
            await log.append(TOPIC, FIRST, messages(b"x" * 30_000), deadline=soon())
        disk.take_all()
    await filled(log)
    assert not log.health().ready
    assert "Delete" in log.health().detail
    assert await payloads(log, OTHER) == [b"first"]
    await leave(log)
    await open_again(log)
    if leave is not _delete_stream:
        await log.append(OTHER, FIRST, messages(b"second"), deadline=soon())
        assert await payloads(log, OTHER) == [b"first", b"second"]
    await log.close()
    log = await open_log(disk.directory, tuning=disk.tuning)
    assert log.health().ready
    await log.close()


async def test_a_log_that_filled_its_disk_needs_no_reserve_to_leave_it_however_often(disk: SmallDisk) -> None:
    log = await opened(disk)
    reserve = disk.directory / "reserve"
    held_bytes = reserve.stat().st_size
    counts = []
    for _ in range(4):
        counts.append(await filled(log))
        assert reserve.stat().st_size == held_bytes
        await log.purge_topic(TOPIC, deadline=soon())
        await open_again(log)
    assert min(counts) > 0.9 * max(counts)
    assert counts[0] * 30_000 > 0.6 * 12 * MIB
    await log.close()


async def test_the_reserve_is_there_again_once_others_have_let_go(disk: SmallDisk) -> None:
    log = await opened(disk)
    reserve = disk.directory / "reserve"
    held_bytes = reserve.stat().st_size
    for _ in range(40):
        await log.append(TOPIC, FIRST, messages(b"x" * 30_000), deadline=soon())
    disk.take_all()
    await filled(log)
    assert not reserve.exists() or reserve.stat().st_size < held_bytes
    disk.give_back()
    await log.probe(deadline=soon())
    assert log.health().ready
    assert reserve.stat().st_size == held_bytes
    await log.close()


async def test_a_log_starts_on_a_full_disk_and_leaves_it(disk: SmallDisk) -> None:
    log = await opened(disk)
    count = await filled(log)
    await log.close()
    disk.take_all()
    log = await open_log(disk.directory, tuning=disk.tuning)
    await log.probe(deadline=soon())
    assert log.health().state == "full"
    assert len(await payloads(log, TOPIC)) == count + 1
    await log.delete_topic(TOPIC, deadline=soon())
    await open_again(log)
    await log.append(OTHER, FIRST, messages(b"second"), deadline=soon())
    await log.close()
    log = await open_log(disk.directory, tuning=disk.tuning)
    assert await payloads(log, OTHER) == [b"first", b"second"]
    await log.close()


async def test_a_new_log_on_a_full_disk_is_refused_in_words_and_made_once_there_is_space(
    disk: SmallDisk,
) -> None:
    disk.directory.mkdir(exist_ok=True)
    disk.take_all()
    with pytest.raises(StartupError) as caught:
        await open_log(disk.directory, tuning=disk.tuning)
    assert "no space left" in caught.value.detail
    disk.give_back()
    log = await opened(disk)
    assert log.health().ready
    await log.close()


@pytest.mark.parametrize("by_others", [False, True], ids=["by itself", "by others"])
async def test_of_gathered_writes_the_stored_are_told_so_and_the_others_that_they_are_not(
    disk: SmallDisk, by_others: bool
) -> None:
    log = await opened(disk)
    acknowledged: set[bytes] = set()
    refused: dict[bytes, Outcome | None] = {}

    async def write(payload: bytes) -> None:
        try:
            await log.append(OTHER, FIRST, messages(payload), deadline=soon())
        except Overloaded as error:
            refused[payload] = error.outcome
        else:
            acknowledged.add(payload)

    for turn in range(200):
        if by_others and turn == 20:
            disk.take_all()
        await asyncio.gather(*(write(b"%d:%d:" % (turn, each) + b"x" * 997 * each) for each in range(16)))
        if refused:
            break
    assert acknowledged
    assert set(refused.values()) == {Outcome.NOT_WRITTEN}
    for _ in range(2):
        found = (await payloads(log, OTHER))[1:]
        assert set(found) == acknowledged
        assert len(found) == len(acknowledged)
        await log.close()
        log = await open_log(disk.directory, tuning=disk.tuning)
    await log.close()


async def test_one_message_too_large_for_what_is_left_leaves_the_rest_to_others(disk: SmallDisk) -> None:
    log = await opened(disk)
    with capture_logs() as told, pytest.raises(Overloaded) as caught:
        await log.append(TOPIC, FIRST, messages(b"x" * 9 * MIB), deadline=soon())
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert told == []
    assert log.health().ready
    assert (await log.append(TOPIC, FIRST, messages(b"x" * MIB), deadline=soon())).offset == 1
    await log.close()


async def test_a_full_disk_and_its_end_are_told_once_each(disk: SmallDisk) -> None:
    log = await opened(disk)
    with capture_logs() as told:
        disk.take_all()
        await filled(log)
        for _ in range(5):
            await log.probe(deadline=soon())
            await filled(log)
            await log.retain()
        await log.delete_topic(TOPIC, deadline=soon())
        disk.give_back()
        for _ in range(5):
            await log.probe(deadline=soon())
            await log.append(OTHER, FIRST, messages(b"x"), deadline=soon())
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("warning", "embedded_log_full"),
        ("info", "embedded_log_has_space_again"),
    ]
    await log.close()


async def test_the_log_looks_by_itself_whether_its_disk_is_still_full(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.limits.LOCAL_FULL_RETRY_S", 0.01)
    log = await opened(disk)
    running = asyncio.create_task(log.run())
    for _ in range(2):
        disk.take_all()
        await filled(log)
        disk.give_back()
        await open_again(log)
    running.cancel()
    await log.close()


async def test_places_are_kept_on_a_full_disk(disk: SmallDisk) -> None:
    log = await opened(disk)
    await filled(log)
    await log.store_offset(TOPIC, 0, 7, 0, deadline=soon())
    stored = await log.stored_offset(TOPIC, 0, 7, deadline=soon())
    assert stored is not None
    assert stored.offset == 0
    assert log.health().state == "full"
    await log.close()


async def test_a_quota_that_no_figure_tells_of_is_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 12 * MIB) as disk:
        endless = SimpleNamespace(f_frsize=4096, f_blocks=1 << 40, f_bavail=1 << 40)
        disk.tuning = replace(disk.tuning, statvfs=lambda _: endless)
        log = await opened(disk)
        counts = []
        for _ in range(4):
            counts.append(await filled(log))
            assert await payloads(log, OTHER) == [b"first"]
            await log.purge_topic(TOPIC, deadline=soon())
            await open_again(log)
        assert min(counts) > 0.8 * max(counts)
        await log.close()


async def test_a_full_disk_in_the_middle_of_everything_at_once(disk: SmallDisk) -> None:
    """Writers, readers, retention and deletions on a disk that others fill and leave: nobody is told anything false."""
    log = await opened(disk)
    account = Account("none")
    account.send(b"first", b"first")
    account.acknowledge(b"first", 0, 0)

    async def write(writer: int) -> None:
        for number in range(60):
            payload = b"%d:%d:" % (writer, number) + b"x" * 5_000
            account.send(payload, payload, writer=writer)
            try:
                receipt = await log.append(OTHER, FIRST, messages(payload), deadline=soon())
            except LogError as error:
                (account.refuse if error.outcome is Outcome.NOT_WRITTEN else account.doubt)(payload)
                await log.probe(deadline=soon())
            else:
                assert receipt.offset is not None
                account.acknowledge(payload, 0, receipt.offset)

    async def disturb() -> None:
        for _ in range(6):
            disk.take_all()
            for _ in range(3):
                await log.probe(deadline=soon())
                await log.purge_topic(TOPIC, deadline=soon())
            await log.read(OTHER, 0, First(), count=10, deadline=soon())
            disk.give_back()
            await log.probe(deadline=soon())

    await asyncio.gather(disturb(), *(write(writer) for writer in range(8)))
    await log.close()
    log = await open_log(disk.directory, tuning=disk.tuning)
    found = await payloads(log, OTHER)
    assert account.doubtful == set()
    account.check({0: [Stored(offset, payload, payload) for offset, payload in enumerate(found)]})
    await log.close()


def test_a_counted_disk_counts(tmp_path: Path) -> None:
    with counted(tmp_path / "disk", MIB) as disk:
        assert isinstance(disk, CountedDisk)
        (disk.directory / "x").write_bytes(b"x" * 1000)
        assert disk.free_bytes == MIB - 1000
        disk.take_all()
        assert disk.free_bytes == 0
