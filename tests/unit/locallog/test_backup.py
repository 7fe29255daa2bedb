"""A backup holds the log of one moment, whole and checked, or is not there."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

import bridge
from bridge import limits
from bridge.errors import BridgeError, ConfigError, StartupError
from bridge.locallog import manifest, schema
from bridge.locallog.backup import left_behind
from bridge.locallog.database import Tuning
from bridge.messagelog import ToPartition, TopicRef
from tests.support.copies import Ended, backed_up, changed, spoil
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon
from tests.support.old_logs import make_version_1

FILE = "messages.db"


async def filled(directory: Path, payload: bytes = b"x" * 50_000, count: int = 300) -> None:
    """A closed log of some 15 MB, four steps of a backup."""
    log = await open_topic(directory)
    for _ in range(count // 100):
        await log.append(TOPIC, ToPartition(0), messages(*[payload] * 100), deadline=soon())
    await log.close()


async def refused(source: Path, target: Path, kind: type[BridgeError], tuning: Tuning | None = None) -> str:
    """Why there is no backup; nothing of one is left."""
    beside = set(target.parent.iterdir()) if target.parent.exists() else set()
    with pytest.raises(kind) as caught:
        await backed_up(source, target, tuning=tuning)
    assert not target.parent.exists() or set(target.parent.iterdir()) == beside
    assert str(source) not in str(caught.value)
    return str(caught.value)


async def test_a_backup_is_a_private_directory_with_the_database_and_what_it_says_of_itself(
    tmp_path: Path,
) -> None:
    await filled(tmp_path / "data")
    made = await backed_up(tmp_path / "data", tmp_path / "copy")
    database = (tmp_path / "copy" / FILE).read_bytes()
    assert made == manifest.decode((tmp_path / "copy" / "manifest.json").read_bytes())
    assert made == manifest.Manifest(
        format=1,
        made_at="2026-11-29T12:00:00.000000Z",
        bridge_version=bridge.__version__,
        schema_version=schema.SCHEMA_VERSION,
        size_bytes=len(database),
        sha256=hashlib.sha256(database).hexdigest(),
        streams_count=1,
        topics_count=1,
        messages_count=300,
    )
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()} == {
        FILE: 0o600,
        "manifest.json": 0o600,
    }
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


async def test_a_backup_beside_a_writer_is_the_log_of_its_beginning_and_never_begins_anew(
    tmp_path: Path,
) -> None:
    await filled(tmp_path / "data")
    log = await open_log(tmp_path / "data")
    await log.append(TOPIC, ToPartition(0), messages(b"before"), deadline=soon())
    writer = apsw.Connection(str(tmp_path / "data" / FILE))
    told: list[tuple[str, int, int]] = []

    def write_between(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))
        writer.execute("insert into streams (name, created_at_us) values (?, 1)", (f"during-{len(told)}",))

    made = await backed_up(tmp_path / "data", tmp_path / "copy", progress=write_between)
    writer.close()
    await log.close()
    copied = [done for phase, done, _ in told if phase == "copy"]
    assert copied == sorted(copied)
    assert len(copied) == -(-made.size_bytes // (limits.BACKUP_STEP_PAGES * limits.LOCAL_PAGE_BYTES)) >= 4
    assert [phase for phase, _, _ in told if phase != "copy"][:2] == ["check", "hash"]
    assert told[-1] == ("hash", made.size_bytes, made.size_bytes)
    assert (made.streams_count, made.messages_count) == (1, 301)


async def test_messages_that_wait_to_be_purged_are_not_counted(tmp_path: Path) -> None:
    log = await open_topic(tmp_path / "data")
    other = TopicRef(TOPIC.stream, "other")
    await log.create_topic(other, partitions_count=1, deadline=soon())
    for topic in (TOPIC, other):
        await log.append(topic, ToPartition(0), messages(b"x"), deadline=soon())
    await log.close()
    changed(
        tmp_path / "data" / FILE,
        "insert into purges values (2, 1, row_checksum(2, 1)); delete from topics where name = 'other'",
    )
    made = await backed_up(tmp_path / "data", tmp_path / "copy")
    assert (made.topics_count, made.messages_count) == (1, 1)


async def test_a_log_of_an_older_version_is_copied_as_it_is(tmp_path: Path) -> None:
    make_version_1(tmp_path / "data", [(1, b"old", {})])
    made = await backed_up(tmp_path / "data", tmp_path / "copy")
    assert (made.schema_version, made.messages_count) == (1, 1)


async def test_a_backup_writes_over_nothing(tmp_path: Path) -> None:
    await filled(tmp_path / "data", count=0)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("there", "file", "link"):
        assert "exists already" in await refused(tmp_path / "data", tmp_path / name, ConfigError)
    assert "does not exist: make it, or mount it" in await refused(
        tmp_path / "data", tmp_path / "no" / "copy", ConfigError
    )
    assert (tmp_path / "file").read_text() == "mine"


async def test_a_backup_is_not_made_within_the_log_it_saves(tmp_path: Path) -> None:
    await filled(tmp_path / "data", count=0)
    (tmp_path / "data" / "sub").mkdir()
    (tmp_path / "other-name").symlink_to(tmp_path / "data")
    for place in ("data", "data/sub", "other-name"):
        told = await refused(tmp_path / "data", tmp_path / place / "copy", ConfigError)
        assert "lies within DATA_DIR" in told
    (tmp_path / "data-2").mkdir()
    await backed_up(tmp_path / "data", tmp_path / "data-2" / "copy")


async def test_a_target_that_somebody_makes_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    await filled(tmp_path / "data")

    def make(_phase: str, _done: int, _total: int) -> None:
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / "mine").touch()

    with pytest.raises(ConfigError, match="exists already"):
        await backed_up(tmp_path / "data", tmp_path / "copy", progress=make)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["mine"]
    assert await asyncio.to_thread(left_behind, tmp_path / "copy") == []


@pytest.mark.parametrize(
    "statement, kind, told",
    [
        ("pragma user_version = 99", StartupError, "written by a newer bridge"),
        ("pragma application_id = 7", StartupError, "no log of a bridge"),
    ],
)
async def test_what_is_no_log_of_this_bridge_is_not_copied(
    tmp_path: Path, statement: str, kind: type[BridgeError], told: str
) -> None:
    await filled(tmp_path / "data", count=0)
    changed(tmp_path / "data" / FILE, statement)
    assert told in await refused(tmp_path / "data", tmp_path / "copy", kind)


async def test_where_there_is_no_log_there_is_nothing_to_copy(tmp_path: Path) -> None:
    assert "no embedded log in DATA_DIR" in await refused(tmp_path / "no", tmp_path / "copy", ConfigError)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).touch()
    assert "no embedded log in DATA_DIR" in await refused(tmp_path / "data", tmp_path / "copy", ConfigError)
    (tmp_path / "data" / FILE).write_bytes(b"not a database at all" * 100)
    assert "no log of a bridge" in await refused(tmp_path / "data", tmp_path / "copy", StartupError)


async def test_a_damaged_message_is_found_and_no_backup_is_made_of_it(tmp_path: Path) -> None:
    await filled(tmp_path / "data", count=0)
    log = await open_log(tmp_path / "data")
    await log.append(TOPIC, ToPartition(0), messages(b"to be damaged"), deadline=soon())
    await log.close()
    spoil(tmp_path / "data" / FILE, b"to be damaged")
    assert "damaged" in await refused(tmp_path / "data", tmp_path / "copy", StartupError)


async def test_a_damaged_page_is_found_and_no_backup_is_made_of_it(tmp_path: Path) -> None:
    await filled(tmp_path / "data", count=0)
    path = tmp_path / "data" / FILE
    content = bytearray(path.read_bytes())
    # The number of free pages, which no read of a message looks at.
    content[39] += 1
    path.write_bytes(content)
    assert "damaged" in await refused(tmp_path / "data", tmp_path / "copy", StartupError)


async def test_space_is_looked_for_before_anything_is_written(tmp_path: Path) -> None:
    await filled(tmp_path / "data")
    free = SimpleNamespace(f_frsize=4_096, f_blocks=1 << 20, f_bavail=1_000)
    told = await refused(
        tmp_path / "data", tmp_path / "copy", StartupError, Tuning(statvfs=lambda _path: free)
    )
    assert told == "There is no space for the copy: it takes 16 MiB, 3 MiB are free."


@pytest.mark.parametrize(
    "reached, error, told",
    [
        ("pragma application_id", apsw.CantOpenError, "as the bridge's own user"),
        ("pragma application_id", apsw.IOError, "cannot be copied: a disk fails"),
        ("pragma application_id", apsw.CorruptError, "damaged"),
        ("pragma synchronous", apsw.FullError, "no space left for the copy"),
        ("pragma integrity_check", lambda: OSError(errno.ENOSPC, "full"), "no space left for the copy"),
        (
            "pragma integrity_check",
            lambda: OSError(errno.EROFS, "no"),
            "cannot be read or written: Read-only",
        ),
    ],
)
async def test_a_disk_that_fails_is_told_in_words_and_nothing_is_left(
    tmp_path: Path, reached: str, error: Callable[[], Exception], told: str
) -> None:
    await filled(tmp_path / "data", count=0)
    disk = Disk()
    disk.failing[reached] = error
    assert told in await refused(tmp_path / "data", tmp_path / "copy", StartupError, disk.tuning())


async def test_a_check_can_be_ended_while_sqlite_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path / "data")
    monkeypatch.setattr(limits, "BACKUP_CHECK_STEPS", 50)
    looks: list[bool] = []

    class Connection(apsw.Connection):
        def set_progress_handler(
            self,
            callable: Any,  # noqa: A002 (apsw's names)
            nsteps: int = 100,
            *,
            id: Any = None,  # noqa: A002
        ) -> None:
            def look() -> bool:
                looks.append(callable())
                if len(looks) == 3:
                    raise Ended
                return looks[-1]

            super().set_progress_handler(look, nsteps, id=id)

    with pytest.raises(Ended):
        await backed_up(tmp_path / "data", tmp_path / "copy", tuning=Tuning(connect=Connection))
    assert looks == [False] * 3
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["data"]


async def test_what_a_killed_backup_left_is_named(tmp_path: Path) -> None:
    await filled(tmp_path / "data", count=0)
    left = tmp_path / ".a*b.partial-x1"
    left.mkdir()
    (tmp_path / ".axb.partial-x1").mkdir()
    assert await asyncio.to_thread(left_behind, tmp_path / "a*b") == [left]
    await backed_up(tmp_path / "data", tmp_path / "a*b")
    assert left.exists()


async def test_a_backup_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path / "data", count=0)
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(fd: int) -> None:
        done.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    def renamed(self: Path, target: Path) -> Path:
        done.append("renamed")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    await backed_up(tmp_path / "data", tmp_path / "copy")
    last = done[-5:]
    assert last[0] == FILE
    assert last[1] == "manifest.json"
    assert last[2].startswith(".copy.partial-")
    assert last[3:] == ["renamed", tmp_path.name]
