"""A backup that is restored is served as the log that it was; what is no whole backup, or has no room, is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from bridge.errors import BridgeError, ConfigError, StartupError
from bridge.locallog import manifest, schema
from bridge.locallog.database import Tuning
from bridge.messagelog import FromOffset, NewMessage, ToPartition
from tests.support.copies import Ended, backed_up, changed, restored, spoil
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon
from tests.support.old_logs import make_version_1

FILE = "messages.db"


@pytest.fixture
async def copy(tmp_path: Path) -> Path:
    """A backup of a log with four messages, of which one is trimmed."""
    log = await open_topic(tmp_path / "data")
    sent = [NewMessage(payload=b"message %d" % number, headers={"n": number}) for number in range(3)]
    await log.append(TOPIC, ToPartition(1), sent, deadline=soon())
    await log.store_offset(TOPIC, 1, "reader", 1, deadline=soon())
    await log.close()
    await backed_up(tmp_path / "data", tmp_path / "copy")
    return tmp_path / "copy"


async def refused(copy: Path, data_dir: Path, kind: type[BridgeError], tuning: Tuning | None = None) -> str:
    """Why nothing is restored; there is no log then."""
    there = (data_dir / FILE).exists()
    with pytest.raises(kind) as caught:
        await restored(copy, data_dir, tuning=tuning)
    assert (data_dir / FILE).exists() == there
    assert not (data_dir / f"{FILE}.partial").exists()
    return str(caught.value)


def told_otherwise(copy: Path, **members: object) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


def move(copy: Path, place: Path) -> None:
    place.parent.mkdir(parents=True)
    copy.rename(place)


async def test_a_backup_is_not_served_in_its_own_place_and_stays_one(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(StartupError, match="DATA_DIR is a backup"):
        await open_log(copy)
    await restored(copy, tmp_path / "again")
    (copy / "manifest.json").unlink()
    await (await open_log(copy)).close()


async def test_what_is_restored_is_served_as_it_was(tmp_path: Path, copy: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    told = await restored(copy, tmp_path / "a" / "b", progress=lambda *step: steps.append(step))
    assert told == manifest.decode((copy / "manifest.json").read_bytes())
    assert steps == [("copy", told.size_bytes, told.size_bytes)]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / FILE).stat().st_mode & 0o777 == 0o600
    pages = []
    for directory in (tmp_path / "data", tmp_path / "a" / "b"):
        log = await open_log(directory)
        pages.append(await log.read(TOPIC, 1, FromOffset(0), count=10, deadline=soon()))
        stored = await log.stored_offset(TOPIC, 1, "reader", deadline=soon())
        assert stored is not None
        assert stored.offset == 1
        receipt = await log.append(TOPIC, ToPartition(1), messages(b"next"), deadline=soon())
        assert receipt.offset == 3
        await log.close()
    assert pages[0].messages == pages[1].messages
    assert [dict(message.headers) for message in pages[1].messages] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_an_older_log_is_restored_as_it_is_and_upgraded_when_it_is_served(tmp_path: Path) -> None:
    make_version_1(tmp_path / "data", [(1, b"old", {})])
    await backed_up(tmp_path / "data", tmp_path / "copy")
    assert (await restored(tmp_path / "copy", tmp_path / "again")).schema_version == 1
    log = await open_log(tmp_path / "again")
    page = await log.read(TOPIC, 1, FromOffset(0), count=10, deadline=soon())
    assert [message.payload for message in page.messages] == [b"old"]
    await log.close()


async def test_a_directory_with_anything_in_it_is_refused_and_left_alone(tmp_path: Path, copy: Path) -> None:
    for name in (FILE, "cursor.key", "notes.txt"):
        directory = tmp_path / f"with-{name}"
        directory.mkdir()
        (directory / name).write_text("mine")
        assert "DATA_DIR is not empty" in await refused(copy, directory, ConfigError)
        assert [path.name for path in directory.iterdir()] == [name]
    assert "DATA_DIR is not empty" in await refused(copy, tmp_path / "data", ConfigError)
    assert "DATA_DIR cannot be used: Not a directory" in await refused(
        copy, copy / "manifest.json", StartupError
    )


async def test_a_link_that_leads_nowhere_is_told_as_one(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "volume")
    assert "a symbolic link to a directory that does not exist" in await refused(
        copy, tmp_path / "link", StartupError
    )
    (tmp_path / "volume").mkdir()
    await restored(copy, tmp_path / "link")
    assert (tmp_path / "volume" / FILE).exists()


async def test_a_directory_in_use_is_refused(tmp_path: Path, copy: Path) -> None:
    log = await open_log(tmp_path / "again")
    assert "in use by another bridge" in await refused(copy, tmp_path / "again", StartupError)
    await log.close()


async def test_an_empty_disk_and_what_a_killed_restore_left_are_as_good_as_empty(
    tmp_path: Path, copy: Path
) -> None:
    (tmp_path / "again" / "lost+found").mkdir(parents=True)
    (tmp_path / "again" / "bridge.lock").touch()
    (tmp_path / "again" / f"{FILE}.partial").write_bytes(b"x" * 1_000_000)
    await restored(copy, tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_bytes() == (copy / FILE).read_bytes()
    assert not (tmp_path / "again" / f"{FILE}.partial").exists()


def cut(copy: Path) -> None:
    content = (copy / FILE).read_bytes()
    (copy / FILE).write_bytes(content[: len(content) // 2])


def to_another_program(copy: Path) -> None:
    changed(copy / FILE, "pragma application_id = 7")


def to_a_newer_version(copy: Path) -> None:
    changed(copy / FILE, f"pragma user_version = {schema.SCHEMA_VERSION + 1}")
    told_otherwise(copy, schema_version=schema.SCHEMA_VERSION + 1)


@pytest.mark.parametrize(
    "harm, told",
    [
        (cut, "backup is damaged"),
        (lambda copy: spoil(copy / FILE, b"message 1"), "backup is damaged"),
        (lambda copy: told_otherwise(copy, sha256="0" * 64), "backup is damaged"),
        (lambda copy: told_otherwise(copy, schema_version=1), "backup is damaged"),
        (lambda copy: (copy / "manifest.json").unlink(), "There is no backup"),
        (lambda copy: (copy / "manifest.json").write_text("{"), "manifest.json of the backup is damaged"),
        (lambda copy: told_otherwise(copy, format=9), "made by a newer bridge"),
        (lambda copy: (copy / FILE).unlink(), "There is no backup"),
        (lambda copy: (copy / FILE).write_bytes(b"no database" * 1_000), "no log of a bridge"),
        (lambda copy: (copy / FILE).write_bytes(b""), "no log of a bridge"),
        (to_another_program, "no log of a bridge"),
        (to_a_newer_version, "written by a newer bridge"),
    ],
    ids=[
        "cut", "flipped", "other hash", "other version", "no manifest", "half a manifest", "newer manifest", "no database",
        "foreign file", "empty file", "foreign database", "newer log",
    ],
)  # fmt: skip
async def test_what_is_no_whole_backup_of_a_bridge_is_refused(
    tmp_path: Path, copy: Path, harm: Callable[[Path], object], told: str
) -> None:
    harm(copy)
    assert told in await refused(copy, tmp_path / "again", ConfigError)


async def test_a_backup_that_cannot_be_read_is_refused(tmp_path: Path, copy: Path) -> None:
    disk = Disk()
    disk.failing["pragma application_id"] = apsw.IOError
    assert "backup is damaged" in await refused(copy, tmp_path / "again", ConfigError, disk.tuning())


async def test_without_space_nothing_is_begun(tmp_path: Path, copy: Path) -> None:
    free = SimpleNamespace(f_frsize=4_096, f_blocks=1 << 20, f_bavail=100)
    tuning = Tuning(statvfs=lambda _path: free)
    assert "no space for the copy" in await refused(copy, tmp_path / "again", StartupError, tuning)


async def test_a_restore_that_is_ended_in_the_middle_leaves_no_half_a_log(tmp_path: Path, copy: Path) -> None:
    def end(_phase: str, _done: int, _total: int) -> None:
        raise Ended

    with pytest.raises(Ended):
        await restored(copy, tmp_path / "again", progress=end)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["bridge.lock"]
    await restored(copy, tmp_path / "again")


@pytest.mark.parametrize("name", ["manifest.json", FILE])
async def test_a_pipe_is_no_part_of_a_backup(tmp_path: Path, copy: Path, name: str) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    await refused(copy, tmp_path / "new", ConfigError)


async def test_a_manifest_that_cannot_be_read_is_none(tmp_path: Path, copy: Path) -> None:
    (copy / "manifest.json").unlink()
    # A file whose first byte nobody can read.
    (copy / "manifest.json").symlink_to("/proc/self/mem")
    await refused(copy, tmp_path / "new", ConfigError)


async def test_a_database_that_sqlite_cannot_open_is_none(tmp_path: Path, copy: Path) -> None:
    # SQLite takes no path of more than 512 bytes.
    deep = tmp_path.joinpath(*("d" * 200,) * 3)
    move(copy, deep)
    await refused(deep, tmp_path / "new", ConfigError)
