"""
Whatever page a pointer within the tree of messages leads to, the start and each read come to an end: no query follows the
tree for ever, since SQLite bounds its depth, and none of ours takes the same step twice.
"""

import struct
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import apsw

from bridge.errors import PollError, StartupError
from bridge.locallog.database import DAMAGED
from bridge.messagelog import First, FromTimestamp, Last, ToPartition
from tests.support.copies import changed
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon

FILE = "messages.db"
PAGE = 4_096
PARTITIONS = (0, 1)
APPENDS = 24


async def written(directory: Path) -> bytes:
    """The file of a log whose partitions have some five leaves each."""
    log = await open_topic(directory)
    for number in range(APPENDS):
        await log.append(TOPIC, ToPartition(number % 2), messages(b"%03d" % number * 600), deadline=soon())
    await log.close()
    return (directory / FILE).read_bytes()


def pointers(content: bytes, path: Path) -> tuple[int, list[int]]:
    """
    The root page of the tree of messages, and where in the file its pointers to other pages stand
    (https://www.sqlite.org/fileformat2.html#b_tree_pages).
    """
    connection = apsw.Connection(str(path))
    root: int = connection.execute("select rootpage from sqlite_schema where name = 'chunks'").get
    connection.close()
    start = (root - 1) * PAGE
    kind, _, cells_count = struct.unpack_from(">BHH", content, start)
    assert kind == 5, "the root has pages below it"
    cells = struct.unpack_from(f">{cells_count}H", content, start + 12)
    return root, [start + 8, *(start + cell for cell in cells)]


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
    root, places = pointers(content, tmp_path / FILE)
    pages = [int.from_bytes(content[place : place + 4]) for place in places]
    refusals = []
    # Each alone, two neighbours, and all of them.
    together = [[place] for place in places] + [list(each) for each in pairwise(places[1:])] + [places]
    for led in together:
        for page in (root, *pages):
            misled = bytearray(content)
            for place in led:
                misled[place : place + 4] = page.to_bytes(4)
            (tmp_path / FILE).write_bytes(misled)
            if misled != content:
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
