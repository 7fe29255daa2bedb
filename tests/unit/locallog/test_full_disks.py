"""How far a log may grow, what it keeps back, and faults in the middle of making room."""

import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge import limits
from bridge.errors import ConnectionFailed, Outcome, Overloaded, StartupError
from bridge.locallog import LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.locallog.faults import DiskFault, fault_of
from bridge.locallog.space import Room, Space, growth_bytes
from bridge.messagelog import Retention, ToPartition
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon

SIZES = st.integers(0, 1 << 40)
KIB = 1024
MIB = 1024 * KIB


def room(total_bytes: int, free_bytes: int) -> Room:
    return SimpleNamespace(f_frsize=KIB, f_blocks=total_bytes // KIB, f_bavail=free_bytes // KIB)


def space(directory: Path, total_bytes: int, free_bytes: int) -> Space:
    return Space(directory, "x.db", pages_max=None, statvfs=lambda _: room(total_bytes, free_bytes))


async def append(log: LocalMessageLog, size_bytes: int = 1) -> None:
    await log.append(TOPIC, ToPartition(0), messages(b"x" * size_bytes), deadline=soon())


async def full(disk: Disk, directory: Path) -> LocalMessageLog:
    """A log that has found its disk full, which is not any more."""
    log = await open_topic(directory, tuning=disk.tuning())
    disk.failing["commit"] = apsw.FullError
    with pytest.raises(Overloaded):
        await append(log)
    assert log.health().state == "full"
    disk.failing.clear()
    return log


@given(free_bytes=SIZES, wal_bytes=SIZES, owed_bytes=SIZES, spare_bytes=SIZES)
def test_what_may_grow_fits_the_disk_in_the_write_ahead_log_and_in_the_database(
    free_bytes: int, wal_bytes: int, owed_bytes: int, spare_bytes: int
) -> None:
    def fits(growth: int) -> bool:
        needed = owed_bytes + growth + max(0, growth - wal_bytes) + max(0, spare_bytes - wal_bytes)
        return needed <= free_bytes

    growth = growth_bytes(free_bytes, wal_bytes=wal_bytes, owed_bytes=owed_bytes, spare_bytes=spare_bytes)
    assert growth >= 0
    assert growth == 0 or fits(growth)
    assert not fits(growth + 1)


@pytest.mark.parametrize(
    "error, number, fault",
    [
        (apsw.SQLITE_FULL, 0, DiskFault.FULL),
        (apsw.SQLITE_IOERR_WRITE, errno.ENOSPC, DiskFault.FULL),
        (apsw.SQLITE_IOERR_WRITE, errno.EDQUOT, DiskFault.FULL),
        (apsw.SQLITE_IOERR_WRITE, errno.EFBIG, DiskFault.FULL),
        (apsw.SQLITE_IOERR_SHMSIZE, errno.ENOSPC, DiskFault.FULL),
        (apsw.SQLITE_CANTOPEN, errno.ENOSPC, DiskFault.FULL),
        # The kernel may have dropped what it could not write: nobody knows what is there.
        (apsw.SQLITE_IOERR_FSYNC, errno.ENOSPC, DiskFault.FATAL),
        (apsw.SQLITE_IOERR_DIR_FSYNC, errno.EDQUOT, DiskFault.FATAL),
        (apsw.SQLITE_IOERR_WRITE, errno.EIO, DiskFault.FATAL),
        (apsw.SQLITE_IOERR_WRITE, errno.EROFS, DiskFault.FATAL),
        (apsw.SQLITE_READONLY, errno.EROFS, DiskFault.FATAL),
        (apsw.SQLITE_CANTOPEN, errno.EACCES, DiskFault.FATAL),
        (apsw.SQLITE_BUSY, 0, DiskFault.BUSY),
        (apsw.SQLITE_LOCKED, errno.ENOSPC, DiskFault.BUSY),
        (apsw.SQLITE_CORRUPT, errno.ENOSPC, DiskFault.FATAL),
    ],
)
def test_only_a_lack_of_space_and_a_lock_are_waited_out(error: int, number: int, fault: DiskFault) -> None:
    assert fault_of(apsw.exception_for(error), number) is fault


@pytest.mark.parametrize(
    "disk_bytes, reserve_bytes",
    [(1 << 40, 8 * MIB), (128 * MIB, 8 * MIB), (8 * MIB, 512 * KIB), (600 * KIB, 32 * KIB), (100 * KIB, 0)],
)
def test_the_reserve_is_a_part_of_a_small_disk_and_bounds_what_waits_to_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk_bytes: int, reserve_bytes: int
) -> None:
    monkeypatch.setattr(limits, "LOCAL_RESERVE_BYTES", 8 * MIB)
    made = space(tmp_path, disk_bytes, disk_bytes)
    assert made.reserve_bytes == reserve_bytes
    assert made.checkpoint_pages * limits.LOCAL_PAGE_BYTES <= reserve_bytes / 2
    assert made.wal_bytes_max <= 2 * reserve_bytes


def test_the_reserve_fits_a_limit_on_the_size_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8 * MIB, resource.RLIM_INFINITY))
    assert space(tmp_path, 1 << 40, 1 << 40).reserve_bytes == 512 * KIB


def _refuses(_directory: Path) -> Room:
    raise OSError(errno.ESTALE, "stale")


@pytest.mark.parametrize("statvfs", [_refuses, lambda _: room(0, 0)])
async def test_a_file_system_that_tells_nothing_of_its_space_is_used(
    tmp_path: Path, statvfs: "object"
) -> None:
    log = await open_topic(tmp_path, tuning=Tuning(synchronous="off", statvfs=statvfs))  # type: ignore[arg-type]
    await append(log, 3 * MIB)
    assert log.health().ready
    await log.close()


def test_what_files_take_is_measured_and_what_is_free_only_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"x" * 5)
    known = {"database": 5, "write_ahead_log": 0, "reserve": 0}
    assert space(tmp_path, 1 << 40, 1 << 30).measured() == {**known, "free": 1 << 30}
    assert Space(tmp_path, "x.db", pages_max=None, statvfs=_refuses).measured() == known


async def test_a_reserve_that_cannot_be_written_stops_growth_and_leaves_what_the_write_ahead_log_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def noise(size_bytes: int) -> bytes:
        nonlocal written
        written += size_bytes
        if written > 900 * KIB:
            raise OSError(errno.EDQUOT, "quota")
        return b"x" * size_bytes

    monkeypatch.setattr(os, "urandom", noise)
    log = await open_topic(tmp_path, tuning=Tuning(synchronous="off"))
    assert (tmp_path / "reserve").stat().st_size == 0
    with pytest.raises(Overloaded):
        await append(log, 3 * MIB)
    monkeypatch.undo()
    await log.close()


async def test_all_of_a_batch_is_tried_once_more_and_then_told_that_it_is_not_written(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    disk.failing["commit"] = apsw.FullError
    disk.statements.clear()
    with pytest.raises(Overloaded) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert disk.statements.count("commit") == 2
    disk.statements.clear()
    with pytest.raises(Overloaded):
        await append(log)
    # A full log tries nothing.
    assert disk.statements == []
    await log.close()


async def test_retention_on_a_full_disk_is_not_told_again_and_again(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await append(log)
    await log.update_retention(TOPIC, Retention(size_bytes=1), deadline=soon())
    disk.failing["commit"] = apsw.FullError
    with capture_logs() as told:
        for _ in range(3):
            await log.retain()
        disk.failing["begin"] = apsw.BusyError
        await log.retain()
    assert [line["event"] for line in told] == ["embedded_log_full", "retention_put_off"]
    await log.close()


async def test_what_was_deleted_waits_while_nothing_can_be_written(tmp_path: Path) -> None:
    disk = Disk()
    log = await full(disk, tmp_path)
    await log.delete_topic(TOPIC, deadline=soon())
    assert log.health().ready
    await log.probe(deadline=soon())
    assert log._catalog.purges == ()
    await log.close()


@pytest.mark.parametrize(
    "failing, error, state",
    [
        ("pragma page_count", apsw.IOError, "failed"),
        ("pragma page_count", apsw.BusyError, "full"),
        ("pragma freelist_count", apsw.IOError, "failed"),
        ("pragma freelist_count", apsw.BusyError, "full"),
        ("insert or replace into probes", apsw.IOError, "failed"),
        ("insert or replace into probes", apsw.FullError, "full"),
        ("insert or replace into probes", apsw.BusyError, "full"),
    ],
)
async def test_whoever_deletes_is_told_so_whatever_the_look_for_room_after_it_finds(
    tmp_path: Path, failing: str, error: type[Exception], state: str
) -> None:
    disk = Disk()
    log = await full(disk, tmp_path)
    disk.failing[failing] = error
    await log.delete_topic(TOPIC, deadline=soon())
    assert log.health().state == state
    await log.close()
    log = await open_log(tmp_path)
    assert await log.topics(TOPIC.stream, deadline=soon()) == ()
    await log.close()


@pytest.mark.parametrize(
    "failing, error, state",
    [
        ("pragma freelist_count", apsw.IOError, "failed"),
        ("pragma freelist_count", apsw.BusyError, "full"),
        ("pragma page_count", apsw.CorruptError, "failed"),
        ("checkpoint", apsw.IOError, "failed"),
        ("checkpoint", apsw.BusyError, "full"),
        ("checkpoint", apsw.FullError, "full"),
    ],
)
async def test_a_fault_while_room_is_made_is_no_acknowledgement(
    tmp_path: Path, failing: str, error: type[Exception], state: str
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    disk.failing = {"commit": apsw.FullError, failing: error}
    with pytest.raises((Overloaded, ConnectionFailed)) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert log.health().state == state
    await log.close()


@pytest.mark.parametrize("error, state", [(apsw.IOError, "failed"), (apsw.FullError, "full")])
async def test_after_a_large_message_that_does_not_fit_it_is_found_out_whether_anything_does(
    tmp_path: Path, error: type[Exception], state: str
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    disk.failing = {"commit": apsw.FullError, "insert or replace into probes": error}
    with pytest.raises(Overloaded) as caught:
        await append(log, 3 * MIB)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert log.health().state == state
    await log.close()


async def test_a_start_that_finds_no_space_and_no_reserve_is_refused(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.close()
    (tmp_path / "reserve").unlink()
    disk.failing["pragma journal_mode"] = apsw.FullError
    with pytest.raises(StartupError) as caught:
        await open_log(tmp_path, tuning=disk.tuning())
    assert "no space left" in caught.value.detail
    assert not (tmp_path / "reserve").exists()


async def test_a_start_that_takes_the_reserve_says_so(tmp_path: Path) -> None:
    disk = Disk()
    await (await open_topic(tmp_path, tuning=disk.tuning())).close()

    def once() -> Exception:
        disk.failing.clear()
        return apsw.FullError()

    disk.failing["pragma journal_mode"] = once
    with capture_logs() as told:
        log = await open_log(tmp_path, tuning=disk.tuning())
    assert [line["event"] for line in told] == ["embedded_log_full", "embedded_log_opened"]
    assert log.health().state == "full"
    await log.probe(deadline=soon())
    assert log.health().ready
    await log.close()
