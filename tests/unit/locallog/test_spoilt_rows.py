"""A row that is no message and was spoilt is told: names, keys of partitions, where partitions begin, consumers' places."""

from pathlib import Path

import apsw
import pytest

from bridge.errors import PollError, StartupError
from bridge.locallog.database import DAMAGED
from bridge.messagelog import Retention, ToPartition
from tests.support.copies import backed_up, changed
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon

FILE = "messages.db"


async def written(directory: Path) -> None:
    """A log with a row in each table."""
    log = await open_topic(directory)
    for _ in range(2):
        await log.append(TOPIC, ToPartition(0), messages(b"x"), deadline=soon())
    for consumer in (7, "7"):
        await log.store_offset(TOPIC, 0, consumer, 1, deadline=soon())
    await log.add_partitions(TOPIC, 1, deadline=soon())
    await log.update_retention(TOPIC, Retention(size_bytes=1), deadline=soon())
    await log.retain()
    await log.update_retention(TOPIC, Retention(age_s=9), deadline=soon())
    await log.close()
    # As a process that was killed amid a purge leaves it.
    changed(directory / FILE, "insert into purges values (9, 1, row_checksum(9, 1))")


@pytest.mark.parametrize(
    "harm",
    [
        "streams set name = 'another'",
        "streams set created_at_us = created_at_us | 1 << 40",
        "topics set name = 'tobic'",
        "topics set base_key = base_key + 2",
        "topics set partitions_count = 1",
        "topics set retention_age_s = 8",
        "topics set retention_age_s = null",
        "extensions set partitions_count = 2",
        "trims set first_offset = first_offset + 1",
        "purges set base_key = base_key + 1",
        "ends set next_offset = next_offset - 1",
        'stored_offsets set "offset" = 0 where consumer = 7',
        "stored_offsets set consumer = 8 where consumer = 7",
    ],
)
async def test_a_row_with_another_value_is_told_at_the_start_and_in_a_backup(
    tmp_path: Path, harm: str
) -> None:
    await written(tmp_path / "data")
    await backed_up(tmp_path / "data", tmp_path / "before")
    connection = apsw.Connection(str(tmp_path / "data" / FILE))
    connection.execute(f"update {harm}")
    assert connection.changes()
    connection.close()
    with pytest.raises(StartupError) as caught:
        await open_log(tmp_path / "data")
    assert caught.value.detail == DAMAGED
    with pytest.raises(StartupError) as caught:
        await backed_up(tmp_path / "data", tmp_path / "after")
    assert caught.value.detail == DAMAGED


async def test_a_place_that_is_spoilt_while_the_log_is_open_is_told_and_others_are_not(
    tmp_path: Path,
) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"x", b"y"), deadline=soon())
    for consumer in (7, "7"):
        await log.store_offset(TOPIC, 0, consumer, 0, deadline=soon())
    changed(tmp_path / FILE, 'update stored_offsets set "offset" = 1 where consumer = 7')
    with pytest.raises(PollError, match="damaged"):
        await log.stored_offset(TOPIC, 0, 7, deadline=soon())
    place = await log.stored_offset(TOPIC, 0, "7", deadline=soon())
    assert place is not None
    assert place.offset == 0
    # Who stores a place anew has one again.
    await log.store_offset(TOPIC, 0, 7, 1, deadline=soon())
    place = await log.stored_offset(TOPIC, 0, 7, deadline=soon())
    assert place is not None
    assert place.offset == 1
    await log.close()
