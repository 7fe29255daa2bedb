"""What lies in DATA_DIR, and what may not."""

import asyncio
from pathlib import Path

import apsw
import pytest

from bridge import limits
from bridge.errors import StartupError
from bridge.locallog import LocalLogFailed
from bridge.messagelog import First, ToPartition
from tests.support.copies import changed
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon

FILE = "messages.db"


async def refused(directory: Path, *, disk: Disk | None = None) -> str:
    with pytest.raises(StartupError) as caught:
        await open_log(directory, tuning=(disk or Disk()).tuning())
    assert str(directory) not in caught.value.detail
    return caught.value.detail


async def test_a_second_bridge_on_the_directory_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    log = await open_log(tmp_path)
    assert "in use by another bridge" in await refused(tmp_path)
    await log.close()
    await (await open_log(tmp_path)).close()


async def test_a_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "a" / "b")
    await log.close()
    assert (tmp_path / "a" / "b" / FILE).exists()


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "DATA_DIR cannot be used" in await refused(tmp_path / "data")


@pytest.mark.parametrize(
    "statement", ["create table notes (text)", "pragma application_id = 7", "pragma user_version = 3"]
)
async def test_a_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, statement: str
) -> None:
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute(statement)
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    assert "no log of a bridge" in await refused(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    assert "no log of a bridge" in await refused(tmp_path)


@pytest.mark.parametrize("content", [b"S", b"SQLite format 3\0" + bytes(495)])
async def test_a_file_shorter_than_any_database_is_not_taken_for_an_empty_one(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert "no log of a bridge" in await refused(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


async def test_a_version_that_there_never_was_is_damage(tmp_path: Path) -> None:
    await (await open_topic(tmp_path)).close()
    changed(tmp_path / FILE, "pragma user_version = -2")
    assert "damaged" in await refused(tmp_path)


async def test_a_row_that_is_lost_from_a_small_table_is_found_at_the_start(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    for consumer in ("first", "second"):
        await log.store_offset(TOPIC, 0, consumer, 0, deadline=soon())
    await log.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    (page,) = {content.rindex(name) // 4096 for name in (b"first", b"second")}
    count = page * 4096 + 4
    assert content[count] == 2
    content[count] = 1
    (tmp_path / FILE).write_bytes(content)
    assert "damaged" in await refused(tmp_path)


async def test_a_refused_directory_is_not_held(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    await refused(tmp_path)
    (tmp_path / FILE).unlink()
    await (await open_log(tmp_path)).close()


async def test_a_damaged_table_is_found_at_the_start(tmp_path: Path) -> None:
    await (await open_topic(tmp_path)).close()
    content = bytearray((tmp_path / FILE).read_bytes())
    page = 4096
    content[page:] = b"\x5a" * (len(content) - page)
    (tmp_path / FILE).write_bytes(content)
    assert "damaged" in await refused(tmp_path)
    assert "damaged" in await refused(tmp_path)


@pytest.mark.parametrize(
    "reached, error, detail",
    [
        ("connect", apsw.CantOpenError, "cannot be opened"),
        ("pragma application_id", apsw.CorruptError, "damaged"),
        ("begin immediate", apsw.FullError, "no space left"),
        ("begin immediate", apsw.IOError, "cannot be used"),
        ("select id, name", apsw.IOError, "damaged"),
        ("pragma query_only", apsw.IOError, "cannot be used"),
    ],
)
async def test_a_disk_that_fails_at_the_start_is_told_in_words(
    tmp_path: Path, reached: str, error: type[Exception], detail: str
) -> None:
    disk = Disk()
    disk.failing[reached] = error
    assert detail in await refused(tmp_path, disk=disk)
    disk.failing.clear()
    await (await open_log(tmp_path, tuning=disk.tuning())).close()


async def test_a_file_system_without_shared_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Connection(apsw.Connection):
        def pragma(self, name: str, *args: object, **kwargs: object) -> object:
            return "delete" if name == "journal_mode" else super().pragma(name, *args, **kwargs)  # type: ignore[arg-type]

    disk = Disk()
    monkeypatch.setattr(disk, "connect", Connection)
    assert "use a local disk" in await refused(tmp_path, disk=disk)


async def test_a_start_that_was_cut_short_before_the_tables_is_made_good(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    log = await open_topic(tmp_path)
    await log.close()


async def test_opening_reads_a_row_for_each_partition_and_no_message(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for _ in range(50):
        await log.append(TOPIC, ToPartition(0), messages(*[b"x" * 60_000] * 20), deadline=soon())
    await log.append(TOPIC, ToPartition(1), messages(b"x"), deadline=soon())
    await log.close()
    size_bytes = (tmp_path / FILE).stat().st_size
    assert size_bytes > 50_000_000

    disk = Disk()
    log = await open_log(tmp_path, tuning=disk.tuning())
    assert (await log.totals(deadline=soon())).messages_count == 1001
    touching = [statement for statement in disk.statements if "from chunks" in statement]
    assert len(touching) == 3
    assert all("body" not in statement and "limit 1" in statement for statement in touching)
    await log.close()


@pytest.mark.parametrize("keep_wal_bytes", [0, 32, 5_000, 120_001, 140_000, 150_000])
async def test_a_write_ahead_log_cut_anywhere_leaves_whole_appends_from_the_start(
    tmp_path: Path, keep_wal_bytes: int
) -> None:
    log = await open_topic(tmp_path / "a")
    for number in range(20):
        await log.append(TOPIC, ToPartition(0), messages(*[b"%d" % number] * 3), deadline=soon())
    (tmp_path / "b").mkdir()
    for name in (FILE, f"{FILE}-wal"):
        (tmp_path / "b" / name).write_bytes((tmp_path / "a" / name).read_bytes())
    wal = tmp_path / "b" / f"{FILE}-wal"
    wal.write_bytes(wal.read_bytes()[:keep_wal_bytes])
    await log.close()

    torn = await open_log(tmp_path / "b")
    if TOPIC.stream in [stream.name for stream in await torn.streams(deadline=soon())] and await torn.topics(
        TOPIC.stream, deadline=soon()
    ):
        page = await torn.read(TOPIC, 0, First(), count=100, deadline=soon())
        found = [int(message.payload) for message in page.messages]
        assert found == [number for number in range(len(found) // 3) for _ in range(3)]
        receipt = await torn.append(TOPIC, ToPartition(0), messages(b"next"), deadline=soon())
        assert receipt.offset == len(found)
    else:
        assert keep_wal_bytes < 120_000
    await torn.close()


async def test_rows_that_wait_to_be_purged_belong_to_nobody_at_the_start(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    await log.close()
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute("insert into chunks select (9 << 40), 1, 1, bytes_end, checksum, body from chunks")
    connection.close()
    log = await open_log(tmp_path)
    assert (await log.totals(deadline=soon())).messages_count == 1
    await log.close()


@pytest.mark.parametrize("lost", ["moved", "emptied", "another"])
async def test_a_log_whose_directory_is_moved_or_emptied_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    data_dir = tmp_path / "data"
    log = await open_log(data_dir)
    monkeypatch.setattr(limits, "RETENTION_INTERVAL_S", 0.001)
    running = asyncio.create_task(log.run())
    for _ in range(3):
        await log.probe(deadline=soon())
    assert not running.done()
    if lost == "moved":
        data_dir.rename(tmp_path / "elsewhere")
    else:
        (data_dir / "bridge.lock").unlink()
    if lost == "another":
        (data_dir / "bridge.lock").touch()
    with pytest.raises(LocalLogFailed, match="DATA_DIR was moved or emptied"):
        await running
    await log.close()


async def test_a_restore_that_did_not_finish_is_not_served_as_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.partial").write_bytes(b"half")
    assert "restore into DATA_DIR did not finish" in await refused(tmp_path)
    assert not (tmp_path / FILE).exists()
    (tmp_path / f"{FILE}.partial").unlink()
    await (await open_log(tmp_path)).close()
