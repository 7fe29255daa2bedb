"""Messages at the end of a partition that its tree does not lead to any more are missed, so that no offset is given twice.

A pointer of the tree leads to another sound page, or a page is as it was before: SQLite finds nothing wrong in either.
"""

from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from bridge.errors import LogError, PollError, StartupError
from bridge.locallog.database import DAMAGED
from bridge.messagelog import FromOffset, FromTimestamp, Retention, ToPartition
from tests.support.clock import FakeClock
from tests.support.copies import backed_up, changed
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon
from tests.support.misled_trees import PAGE, misled, tree_of

FILE = "messages.db"
PARTITIONS = 2
# Of each partition.
MESSAGES = 12
REFUSED = "the start is refused"


def payload(partition_id: int, offset: int) -> bytes:
    return b"%d/%02d" % (partition_id, offset) * 360


async def written(directory: Path) -> bytes:
    """The file of a log whose partitions have some six leaves each, with a message a second."""
    clock = FakeClock(now_us=0)
    log = await open_topic(directory, clock=clock)
    for offset in range(MESSAGES):
        clock.advance(1)
        for partition_id in range(PARTITIONS):
            new = messages(payload(partition_id, offset))
            await log.append(TOPIC, ToPartition(partition_id), new, deadline=soon())
    await log.close()
    return (directory / FILE).read_bytes()


async def told(directory: Path) -> list[str]:
    """What is missing or wrong in a log without a word; that the start was refused is a word."""
    try:
        log = await open_log(directory)
    except StartupError as refused:
        return [REFUSED] if refused.detail == DAMAGED else [refused.detail]
    faults = []
    for partition in (await log.topic(TOPIC, deadline=soon())).partitions:
        if partition.end_offset != MESSAGES:
            faults.append(f"{partition.id} ends at {partition.end_offset}")
        for offset in range(MESSAGES):
            for position in (FromOffset(offset), FromTimestamp((offset + 1) * 1_000_000)):
                with suppress(PollError):
                    page = await log.read(TOPIC, partition.id, position, count=1, deadline=soon())
                    found = [(each.offset, each.payload) for each in page.messages]
                    if found != [(offset, payload(partition.id, offset))]:
                        faults.append(f"{partition.id} gives {[each for each, _ in found]} for {position}")
    with suppress(LogError):
        receipt = await log.append(TOPIC, ToPartition(0), messages(b"next"), deadline=soon())
        faults += [f"{receipt.offset} is given again"] if receipt.offset != MESSAGES else []
    with suppress(PollError):
        await log.close()
    return faults


async def test_a_pointer_that_leads_to_another_page_hides_nothing_without_a_word(tmp_path: Path) -> None:
    content = await written(tmp_path)
    tree = tree_of(tmp_path / FILE)
    outcomes = []
    for place, page in tree.pointers.items():
        for other in (tree.root, *tree.pointers.values()):
            if other != page:
                (tmp_path / FILE).write_bytes(misled(content, (place, other)))
                outcomes.append(await told(tmp_path))
    assert [each for each in outcomes if each not in ([], [REFUSED])] == []
    assert [] in outcomes
    assert [REFUSED] in outcomes


async def test_a_page_of_messages_that_is_as_it_was_before_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    await written(tmp_path / "data")
    file = tmp_path / "data" / FILE
    page = max(tree_of(file).pointers.values())
    older = file.read_bytes()
    log = await open_log(tmp_path / "data")
    await log.append(TOPIC, ToPartition(1), messages(b"newest"), deadline=soon())
    await log.close()
    content = bytearray(file.read_bytes())
    place = slice((page - 1) * PAGE, page * PAGE)
    assert content[place] != older[place]
    content[place] = older[place]
    file.write_bytes(content)
    with capture_logs() as lines, pytest.raises(StartupError) as caught:
        await open_log(tmp_path / "data")
    assert caught.value.detail == DAMAGED
    assert lines == [
        {
            "event": "end_of_a_partition_is_damaged",
            "log_level": "error",
            "topic": TOPIC.topic,
            "partition_id": 1,
            "end_offset": MESSAGES + 1,
            "found_end_offset": MESSAGES,
        }
    ]
    with pytest.raises(StartupError) as caught:
        await backed_up(tmp_path / "data", tmp_path / "copy")
    assert caught.value.detail == DAMAGED


@pytest.mark.parametrize(
    "harm",
    [
        "delete from chunks where key = (select max(key) from chunks)",
        "delete from chunks",
        "update chunks set messages_count = 2 where key = (select max(key) from chunks)",
        "update chunks set bytes_end = bytes_end + 1 where key = (select max(key) from chunks)",
        "update chunks set timestamp_us = 1 where key = (select max(key) from chunks)",
        "delete from ends where partition_key = 0",
    ],
)
async def test_an_end_that_is_not_the_one_written_down_is_told(tmp_path: Path, harm: str) -> None:
    await written(tmp_path)
    changed(tmp_path / FILE, harm)
    assert await told(tmp_path) == [REFUSED]


async def test_ends_are_those_of_the_messages_whatever_was_removed(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    ends = []

    async def opened_again() -> None:
        nonlocal log
        await log.close()
        log = await open_log(tmp_path, clock=clock)
        partitions = (await log.topic(TOPIC, deadline=soon())).partitions
        ends.append([(partition.end_offset, partition.messages_count) for partition in partitions])

    await log.update_retention(TOPIC, Retention(age_s=10), deadline=soon())
    await log.append(TOPIC, ToPartition(0), messages(b"a", b"b"), deadline=soon())
    await opened_again()
    clock.advance(11)
    await log.append(TOPIC, ToPartition(1), messages(b"c"), deadline=soon())
    await log.retain()
    await opened_again()
    await log.purge_topic(TOPIC, deadline=soon())
    await opened_again()
    await log.append(TOPIC, ToPartition(1), messages(b"d"), deadline=soon())
    await log.add_partitions(TOPIC, 1, deadline=soon())
    await opened_again()
    await log.delete_topic(TOPIC, deadline=soon())
    # Under keys that were another's.
    await log.create_topic(TOPIC, partitions_count=2, deadline=soon())
    await opened_again()
    assert ends == [
        [(2, 2), (0, 0)],
        [(2, 0), (1, 1)],
        [(0, 0), (0, 0)],
        [(0, 0), (1, 1), (0, 0)],
        [(0, 0), (0, 0)],
    ]
    await log.close()


async def test_what_was_purged_leaves_no_end(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(1), messages(b"a"), deadline=soon())
    await log.delete_topic(TOPIC, deadline=soon())
    connection = apsw.Connection(str(tmp_path / FILE))
    # Each write lets the writer purge a slice.
    while connection.execute("select count(*) from purges").get:
        await log.probe(deadline=soon())
    assert connection.execute("select count(*) from ends").get == 0
    connection.close()
    await log.close()
