"""A log of an older bridge becomes one of this bridge, as a whole or not at all; one of a newer bridge is left alone."""

from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from bridge.errors import StartupError
from bridge.locallog import schema
from bridge.locallog.database import DAMAGED
from bridge.messagelog import FromOffset, Retention, ToPartition
from tests.support.clock import FakeClock
from tests.support.copies import changed
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon
from tests.support.misled_trees import misled, tree_of
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


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path / FILE))
    try:
        return list(connection.execute(f"select * from {table}"))
    finally:
        connection.close()


def test_every_version_that_was_ever_written_has_its_step() -> None:
    assert sorted(schema.UPGRADES) == list(range(1, schema.SCHEMA_VERSION))


async def test_a_log_of_version_1_is_taken_over_with_all_that_is_in_it(tmp_path: Path) -> None:
    make_version_1(tmp_path / "old", OLD)
    with capture_logs() as lines:
        log = await open_log(tmp_path / "old")
    told = next(line for line in lines if line["event"] == "embedded_log_upgraded")
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
    assert not [line for line in lines if line["event"] == "embedded_log_upgraded"]
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
    # Version 2 had all but the checksums, and no ends.
    without = "".join(
        f"alter table {table} drop column checksum;" for table in schema.SEALED if table != "ends"
    )
    changed(tmp_path / FILE, f"drop table ends; {without} pragma user_version = 2")
    for expected in ([2], []):
        with capture_logs() as lines:
            log = await open_log(tmp_path)
        upgraded = [line for line in lines if line["event"] == "embedded_log_upgraded"]
        assert [line["from_version"] for line in upgraded] == expected
        assert await log.partitions_count(TOPIC, deadline=soon()) == 3
        place = await log.stored_offset(TOPIC, 0, "7", deadline=soon())
        assert place is not None
        assert place.offset == 0
        await log.close()


async def test_a_log_of_version_3_is_taken_over_and_the_ends_of_its_partitions_are_written_down(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    await log.append(TOPIC, ToPartition(0), messages(b"gone", b"gone"), deadline=soon())
    clock.advance(11)
    await log.append(TOPIC, ToPartition(1), messages(b"gone"), deadline=soon())
    await log.add_partitions(TOPIC, 2, deadline=soon())
    clock.advance(2)
    for count in (2, 1):
        # The second partition has lost its first message, the third one none, the fourth one never had any.
        for partition_id in (1, 2):
            await log.append(TOPIC, ToPartition(partition_id), messages(*[b"kept"] * count), deadline=soon())
    await log.update_retention(TOPIC, Retention(age_s=1), deadline=soon())
    await log.retain()
    await log.update_retention(TOPIC, Retention(), deadline=soon())
    topic = await log.topic(TOPIC, deadline=soon())
    assert [(each.end_offset, each.messages_count) for each in topic.partitions] == [
        (2, 0),
        (4, 3),
        (3, 3),
        (0, 0),
    ]
    await log.close()
    written = rows(tmp_path, "ends")
    changed(tmp_path / FILE, "drop table ends; pragma user_version = 3")
    log = await open_log(tmp_path, clock=clock)
    assert rows(tmp_path, "ends") == written
    assert await log.topic(TOPIC, deadline=soon()) == topic
    await log.close()


async def test_taking_over_a_log_of_version_3_ends_where_its_tree_leads_back_into_itself(
    tmp_path: Path,
) -> None:
    log = await open_topic(tmp_path)
    for partition_id in (0, 1) * 12:
        await log.append(TOPIC, ToPartition(partition_id), messages(bytes(1_800)), deadline=soon())
    await log.close()
    changed(tmp_path / FILE, "drop table ends; pragma user_version = 3")
    tree = tree_of(tmp_path / FILE)
    content = (tmp_path / FILE).read_bytes()
    *_, last = tree.pointers.values()
    refused = []
    for place in tree.pointers:
        (tmp_path / FILE).write_bytes(misled(content, (place, last)))
        try:
            await (await open_log(tmp_path)).close()
        except StartupError as refusal:
            refused.append(refusal.detail)
    assert refused
    assert set(refused) == {DAMAGED}


async def test_an_upgrade_that_fails_in_the_middle_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version_1(tmp_path, OLD)
    before = shape(tmp_path)
    step = "create table more (n integer) strict; insert into nowhere values (1);"
    monkeypatch.setattr(schema, "UPGRADES", {**schema.UPGRADES, schema.SCHEMA_VERSION: step})
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    with pytest.raises(StartupError):
        await open_log(tmp_path)
    assert shape(tmp_path) == before


async def test_steps_over_several_versions_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version_1(tmp_path, OLD)
    step = "create table more (n integer) strict;"
    next_version = schema.SCHEMA_VERSION + 1
    monkeypatch.setattr(schema, "UPGRADES", {**schema.UPGRADES, schema.SCHEMA_VERSION: step})
    monkeypatch.setattr(schema, "SCHEMA_VERSION", next_version)
    disk = Disk()
    log = await open_log(tmp_path, tuning=disk.tuning())
    await log.close()
    version, names = shape(tmp_path)
    assert version == next_version
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
