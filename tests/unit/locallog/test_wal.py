"""A write-ahead log that lost what was synced is told from one that a power cut tore, and from one that began anew."""

from pathlib import Path

import apsw
import pytest

from bridge.errors import ConnectionFailed, StartupError
from bridge.locallog.wal import lost_commits
from bridge.messagelog import First, ToPartition
from tests.support.copies import backed_up, restored
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon

FILE, WAL = "messages.db", "messages.db-wal"
FRAME = 24 + 4096


def committed(directory: Path, *, rows: int = 3) -> tuple[apsw.Connection, Path]:
    """A database with a commit of one frame for each of its rows."""
    connection = apsw.Connection(str(directory / "some.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("wal_autocheckpoint", 0)
    connection.execute("create table t (a)")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    for row in range(rows):
        connection.execute("insert into t values (?)", (row,))
    return connection, directory / "some.db-wal"


def spoil(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_log_that_sqlite_took_whole_lost_nothing(tmp_path: Path) -> None:
    _, path = committed(tmp_path)
    assert not lost_commits(path, 3)


def test_there_may_be_none_or_one_that_has_not_begun(tmp_path: Path) -> None:
    assert not lost_commits(tmp_path / "none", 0)
    (tmp_path / "short").write_bytes(b"x" * 31)
    assert not lost_commits(tmp_path / "short", 0)
    (tmp_path / "zeros").write_bytes(bytes(32))
    assert not lost_commits(tmp_path / "zeros", 0)


@pytest.mark.parametrize("at", [8, 32 + 4, 32 + 9, 32 + 24 + 4000])
def test_what_follows_a_broken_commit_was_synced(tmp_path: Path, at: int) -> None:
    _, path = committed(tmp_path)
    spoil(path, at)
    assert lost_commits(path, 0)


def test_the_last_commit_may_be_one_that_a_power_cut_tore(tmp_path: Path) -> None:
    _, path = committed(tmp_path)
    spoil(path, 32 + 2 * FRAME + 30)
    assert not lost_commits(path, 2)
    spoil(path, 32 + FRAME + 30)
    assert lost_commits(path, 1)


def test_a_log_that_begins_anew_beside_its_readers_lost_nothing(tmp_path: Path) -> None:
    _, path = committed(tmp_path)
    # Its readers say that it is empty; what lies in its file is whole, and long in the database.
    assert not lost_commits(path, 0)


def test_a_log_of_one_torn_commit_lost_nothing(tmp_path: Path) -> None:
    _, path = committed(tmp_path, rows=1)
    path.write_bytes(path.read_bytes()[: 32 + FRAME].replace(path.read_bytes()[56:64], bytes(8), 1))
    assert not lost_commits(path, 0)


def test_a_log_whose_only_frames_have_no_end_lost_nothing(tmp_path: Path) -> None:
    connection, path = committed(tmp_path, rows=0)
    connection.execute("begin")
    connection.execute("create table u (a)")
    connection.execute("insert into u values (zeroblob(9000))")
    connection.execute("commit")
    path.write_bytes(path.read_bytes()[: 32 + FRAME])
    assert not lost_commits(path, 0)


async def test_a_start_that_would_drop_acknowledged_messages_is_refused_with_advice(tmp_path: Path) -> None:
    log = await open_topic(tmp_path / "log")
    for number in range(3):
        await log.append(TOPIC, ToPartition(0), messages(b"%d" % number), deadline=soon())
    (tmp_path / "harmed").mkdir()
    for name in (FILE, WAL):
        (tmp_path / "harmed" / name).write_bytes((tmp_path / "log" / name).read_bytes())
    await log.close()
    frames = ((tmp_path / "harmed" / WAL).stat().st_size - 32) // FRAME
    # Each commit has two pages: its messages, and the ends of their partitions.
    spoil(tmp_path / "harmed" / WAL, 32 + (frames - 3) * FRAME + 24)
    before = (tmp_path / "harmed" / WAL).read_bytes()
    for _ in range(2):
        with pytest.raises(StartupError) as refused:
            await open_log(tmp_path / "harmed")
        assert "bridge backup" in refused.value.detail
        assert (tmp_path / "harmed" / WAL).read_bytes() == before

    await backed_up(tmp_path / "harmed", tmp_path / "copy")
    assert (tmp_path / "harmed" / WAL).read_bytes() == before
    await restored(tmp_path / "copy", tmp_path / "again")
    log = await open_log(tmp_path / "again")
    page = await log.read(TOPIC, 0, First(), count=9, deadline=soon())
    assert [message.payload for message in page.messages] == [b"0"]
    await log.close()


async def test_a_process_that_reads_while_the_bridge_starts_again_is_no_damage(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"kept"), deadline=soon())
    reader = apsw.Connection(str(tmp_path / FILE), apsw.SQLITE_OPEN_READONLY)
    assert reader.execute("select count(*) from chunks").get == 1
    await log.close()
    log = await open_log(tmp_path)
    page = await log.read(TOPIC, 0, First(), count=9, deadline=soon())
    assert [message.payload for message in page.messages] == [b"kept"]
    await log.close()
    reader.close()


async def test_a_log_that_failed_leaves_its_write_ahead_log_as_it_is(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"acknowledged"), deadline=soon())
    before = (tmp_path / WAL).read_bytes()
    disk.failing["commit"] = apsw.IOError
    with pytest.raises(ConnectionFailed):
        await log.append(TOPIC, ToPartition(0), messages(b"unknown"), deadline=soon())
    await log.close()
    assert (tmp_path / WAL).read_bytes() == before
