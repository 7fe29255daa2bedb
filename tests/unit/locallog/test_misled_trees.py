"""
Whatever page a pointer within the tree of messages leads to, the start and each read come to an end: no query follows the
tree for ever, since SQLite bounds its depth, and none of ours takes the same step twice.
"""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.errors import PollError, StartupError
from bridge.locallog.database import DAMAGED
from bridge.messagelog import First, FromTimestamp, Last, ToPartition
from tests.support.clock import FakeClock
from tests.support.copies import changed
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon
from tests.support.misled_trees import misled, tree_of

FILE = "messages.db"
PARTITIONS = (0, 1)
APPENDS = 24


async def written(directory: Path) -> bytes:
    """The file of a log whose partitions have some five leaves each."""
    log = await open_topic(directory)
    for number in range(APPENDS):
        await log.append(TOPIC, ToPartition(number % 2), messages(b"%03d" % number * 600), deadline=soon())
    await log.close()
    return (directory / FILE).read_bytes()


async def told(directory: Path) -> int | str:
    """How many reads were refused; what was said where it did not open."""
    try:
        log = await open_log(directory)
    except StartupError as error:
        return error.detail
    refused = 0
    for partition_id in PARTITIONS:
        for position in (First(), Last(), FromTimestamp(1), FromTimestamp(1 << 60)):
            try:
                await log.read(TOPIC, partition_id, position, count=100, deadline=soon())
            except PollError:
                refused += 1
    with suppress(PollError):
        await log.close()
    return refused


async def test_a_start_and_a_read_end_wherever_a_pointer_of_the_tree_leads(tmp_path: Path) -> None:
    content = await written(tmp_path)
    tree = tree_of(tmp_path / FILE)
    places = list(tree.pointers)
    refusals = []
    # Each alone, two neighbours, and all of them.
    together = [[place] for place in places] + [list(each) for each in pairwise(places)] + [places]
    for led in together:
        for page in (tree.root, *tree.pointers.values()):
            spoilt = misled(content, *((place, page) for place in led))
            (tmp_path / FILE).write_bytes(spoilt)
            if spoilt != content:
                refusals.append(await told(tmp_path))
    words = {each for each in refusals if isinstance(each, str)}
    assert words == {DAMAGED}
    assert any(isinstance(each, int) and each > 0 for each in refusals)


async def test_a_search_by_time_ends_where_a_chunk_tells_that_it_is_empty(tmp_path: Path) -> None:
    await written(tmp_path)
    changed(tmp_path / FILE, "update chunks set messages_count = 0 where key = 1")
    log = await open_log(tmp_path)
    page = await log.read(TOPIC, 0, FromTimestamp(1 << 60), count=1, deadline=soon())
    assert not page.messages
    await log.close()


async def of_a_message_a_second(directory: Path) -> bytes:
    """The file of a log with 24 messages in a partition, the first one taken at the first second."""
    clock = FakeClock(now_us=0)
    log = await open_topic(directory, clock=clock)
    for number in range(APPENDS):
        clock.advance(1)
        await log.append(TOPIC, ToPartition(0), messages(b"%03d" % number * 600), deadline=soon())
    await log.close()
    return (directory / FILE).read_bytes()


async def found_by_time(directory: Path) -> list[int | None]:
    """Where a read by the time of each message begins; None where it was refused."""
    log = await open_log(directory)
    found: list[int | None] = []
    for number in range(APPENDS):
        try:
            page = await log.read(TOPIC, 0, FromTimestamp((number + 1) * 1_000_000), count=1, deadline=soon())
            found.append(page.messages[0].offset)
        except PollError:
            found.append(None)
    await log.close()
    return found


async def test_a_read_by_time_begins_at_that_time_or_is_refused_where_a_leaf_is_hidden(
    tmp_path: Path,
) -> None:
    content = await of_a_message_a_second(tmp_path)
    pointers = tree_of(tmp_path / FILE).pointers
    first, *between, last = pointers
    for place in between:
        for page in (pointers[first], pointers[last]):
            (tmp_path / FILE).write_bytes(misled(content, (place, page)))
            found = await found_by_time(tmp_path)
            assert None in found
            assert [offset in (number, None) for number, offset in enumerate(found)] == [True] * APPENDS


@pytest.mark.parametrize(
    "harm",
    ["timestamp_us = 1", "timestamp_us = 1 << 40", "messages_count = 5", "messages_count = 99"],
)
async def test_a_read_by_time_is_not_led_past_messages_by_a_spoilt_row(tmp_path: Path, harm: str) -> None:
    await of_a_message_a_second(tmp_path)
    changed(tmp_path / FILE, f"update chunks set {harm} where key = 12")
    found = await found_by_time(tmp_path)
    assert None in found
    assert [offset in (number, None) for number, offset in enumerate(found)] == [True] * APPENDS
