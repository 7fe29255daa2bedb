"""A log of an older bridge becomes one of this bridge, as a whole or not at all; one of a newer bridge is left alone."""

from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from bridge.errors import StartupError
from bridge.locallog import schema
from bridge.messagelog import FromOffset, ToPartition
from tests.support.copies import changed
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon
from tests.support.old_logs import make_version_1

FILE = "messages.db"
OLD = [(number + 1, b"old %d" % number, {"n": number} if number % 2 else {}) for number in range(5)]


def shape(path: Path) -> tuple[int, list[str]]:
    """Version and tables of a log."""
    connection = apsw.Connection(str(path / FILE))
    try:
        names = [name for (name,) in connection.execute("select name from sqlite_schema order by name")]
        return connection.pragma("user_version"), names
    finally:
        connection.close()


def test_every_version_that_was_ever_written_has_its_step() -> None:
    assert sorted(schema.UPGRADES) == list(range(1, schema.SCHEMA_VERSION))


async def test_a_log_of_version_1_is_taken_over_with_all_that_is_in_it(tmp_path: Path) -> None:
    make_version_1(tmp_path / "old", OLD)
    with capture_logs() as lines:
        log = await open_log(tmp_path / "old")
    told = next(line for line in lines if line["event"] == "embedded log upgraded")
    assert (told["from_version"], told["to_version"]) == (1, schema.SCHEMA_VERSION)
    page = await log.read(TOPIC, 1, FromOffset(0), count=10, deadline=soon())
    assert [
        (message.offset, message.id, message.payload, dict(message.headers)) for message in page.messages
    ] == [(offset, *message) for offset, message in enumerate(OLD)]
    stored = await log.stored_offset(TOPIC, 1, 7, deadline=soon())
    assert stored is not None
    assert stored.offset == 0
    receipt = await log.append(TOPIC, ToPartition(1), messages(b"new"), deadline=soon())
    assert receipt.offset == len(OLD)
    await log.add_partitions(TOPIC, 1, deadline=soon())
    await log.close()

    with capture_logs() as lines:
        log = await open_log(tmp_path / "old")
    assert not [line for line in lines if line["event"] == "embedded log upgraded"]
    assert await log.partitions_count(TOPIC, deadline=soon()) == 3
    await log.close()
    await (await open_log(tmp_path / "new")).close()
    assert shape(tmp_path / "old") == shape(tmp_path / "new")


async def test_a_log_of_version_2_is_taken_over_and_its_rows_get_checksums(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"old"), deadline=soon())
    await log.store_offset(TOPIC, 0, "7", 0, deadline=soon())
    await log.add_partitions(TOPIC, 1, deadline=soon())
    await log.close()
    # Version 2 had all but the checksums.
    without = "".join(f"alter table {table} drop column checksum;" for table in schema.SEALED)
    changed(tmp_path / FILE, f"{without} pragma user_version = 2")
    for expected in ([2], []):
        with capture_logs() as lines:
            log = await open_log(tmp_path)
        upgraded = [line for line in lines if line["event"] == "embedded log upgraded"]
        assert [line["from_version"] for line in upgraded] == expected
        assert await log.partitions_count(TOPIC, deadline=soon()) == 3
        place = await log.stored_offset(TOPIC, 0, "7", deadline=soon())
        assert place is not None
        assert place.offset == 0
        await log.close()


async def test_an_upgrade_that_fails_in_the_middle_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version_1(tmp_path, OLD)
    before = shape(tmp_path)
    broken = {**schema.UPGRADES, 3: "create table more (n integer) strict; insert into nowhere values (1);"}
    monkeypatch.setattr(schema, "UPGRADES", broken)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 4)
    with pytest.raises(StartupError):
        await open_log(tmp_path)
    assert shape(tmp_path) == before


async def test_steps_over_several_versions_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version_1(tmp_path, OLD)
    monkeypatch.setattr(schema, "UPGRADES", {**schema.UPGRADES, 3: "create table more (n integer) strict;"})
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 4)
    disk = Disk()
    log = await open_log(tmp_path, tuning=disk.tuning())
    await log.close()
    version, names = shape(tmp_path)
    assert version == 4
    assert {"extensions", "more"} <= set(names)
    assert len([statement for statement in disk.statements if statement.startswith("begin immediate")]) == 1


async def test_a_log_of_a_newer_bridge_is_refused_with_advice_and_left_alone(tmp_path: Path) -> None:
    await (await open_log(tmp_path)).close()
    with apsw.Connection(str(tmp_path / FILE)) as connection:
        connection.pragma("user_version", schema.SCHEMA_VERSION + 1)
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(
        StartupError, match="newer bridge; start that version, or restore a backup from before"
    ):
        await open_log(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
