"""Pages cut from chunks that are kept are those that the database would give."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import LOCAL_HOT_RUNS_MAX
from bridge.locallog.catalog import EMPTY, PartitionState, TopicState, Watermarks
from bridge.locallog.chunks import Chunk, encode
from bridge.locallog.hot_chunks import HotChunks
from bridge.locallog.schema import chunk_key
from bridge.messagelog import FromOffset, NewMessage, NewRecords, Retention, ToPartition
from tests.support.local_logs import TOPIC, Disk, messages, open_topic, soon


def partition() -> PartitionState:
    topic = TopicState(topic_id=1, stream_id=1, name="t", created_at_us=0, ranges=(), retention=Retention())
    return PartitionState(topic, 0, 0)


def chunk(start: int, count: int, *, size: int = 1) -> Chunk:
    records = NewRecords.of([NewMessage(b"x" * size, start + n + 1, {}) for n in range(count)])
    return encode(chunk_key(1, start), records, timestamp_us=7, bytes_start=0, into=bytearray())


def kept(*chunks: Chunk, at: PartitionState) -> HotChunks:
    hot = HotChunks()
    for each in chunks:
        hot.offer(at, each)
    return hot


def there(hot: HotChunks, place: PartitionState, starts: range) -> list[int]:
    """Those of the chunks of one message that are kept, by a look that counts as a question."""
    return [start for start in starts if hot.find(place, up_to(starts.stop), start, 1) is not None]


@pytest.fixture
def ten_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many chunks of one message, and five among those that were asked for again."""
    each = len(chunk(0, 1).body)
    monkeypatch.setattr("bridge.locallog.hot_chunks.LOCAL_HOT_CHUNKS_BYTES_MAX", 10 * each)
    monkeypatch.setattr("bridge.locallog.hot_chunks.LOCAL_HOT_CHUNKS_ASKED_BYTES_MAX", 5 * each)
    monkeypatch.setattr("bridge.locallog.hot_chunks.LOCAL_HOT_CHUNK_BYTES", 0)


def up_to(next_offset: int) -> Watermarks:
    return EMPTY._replace(next_offset=next_offset)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.integers(0, 40),
    st.integers(1, 50),
)
def test_a_page_is_cut_where_all_of_it_is_kept_and_nowhere_else(
    sizes: list[int], missing: set[int], start: int, count: int
) -> None:
    place = partition()
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    chunks = [chunk(at, size) for at, size in zip(starts, sizes, strict=True)]
    hot = kept(*[each for index, each in enumerate(chunks) if index not in missing], at=place)
    total = sum(sizes)
    wanted = range(start, min(start + count, total))
    ranges = [range(at, at + size) for at, size in zip(starts, sizes, strict=True)]
    offsets = {offset for index, each in enumerate(ranges) if index not in missing for offset in each}
    found = hot.find(place, up_to(total), start, count)
    if wanted and offsets.issuperset(wanted):
        assert found is not None
        assert [(message.offset, message.id) for message in found] == [(each, each + 1) for each in wanted]
    else:
        assert found is None


def test_what_is_not_committed_for_the_reader_is_not_shown() -> None:
    place = partition()
    found = kept(chunk(0, 10), at=place).find(place, up_to(4), 0, 100)
    assert found is not None
    assert list(found.offsets) == [0, 1, 2, 3]


def test_partitions_do_not_see_each_others_chunks() -> None:
    first, second = partition(), partition()
    hot = kept(chunk(0, 3), at=first)
    assert hot.find(second, up_to(3), 0, 3) is None


@pytest.mark.usefixtures("ten_fit")
def test_of_what_came_the_longest_there_goes_first() -> None:
    place = partition()
    hot = kept(*[chunk(start, 1) for start in range(12)], at=place)
    # Offered again it is not another.
    hot.offer(place, chunk(11, 1))
    assert there(hot, place, range(12)) == list(range(2, 12))


@pytest.mark.usefixtures("ten_fit")
def test_whoever_reads_everything_once_leaves_what_was_asked_for_again() -> None:
    place = partition()
    hot = kept(*[chunk(start, 1) for start in range(10)], at=place)
    assert there(hot, place, range(3)) == [0, 1, 2]
    for start in range(10, 30):
        hot.offer(place, chunk(start, 1))
    assert there(hot, place, range(30)) == [0, 1, 2, *range(23, 30)]


@pytest.mark.usefixtures("ten_fit")
def test_what_was_not_asked_for_in_a_while_is_as_what_came_last() -> None:
    place = partition()
    hot = kept(*[chunk(start, 1) for start in range(10)], at=place)
    # Five have room there; 0 is asked for once more than 1, so 1 and 2 leave it.
    for start in (0, 1, 2, 3, 4, 0, 5, 6):
        assert hot.find(place, up_to(10), start, 1) is not None
    for start in range(10, 15):
        hot.offer(place, chunk(start, 1))
    assert there(hot, place, range(15)) == [0, 3, 4, 5, 6, *range(10, 15)]


@pytest.mark.usefixtures("ten_fit")
def test_a_chunk_of_more_than_an_eighth_of_the_bound_is_not_kept() -> None:
    place = partition()
    hot = kept(chunk(0, 1), chunk(1, 1, size=100), at=place)
    assert there(hot, place, range(2)) == [0]


@pytest.mark.usefixtures("ten_fit")
def test_all_of_a_partition_may_be_driven_out() -> None:
    first, second = partition(), partition()
    hot = kept(chunk(0, 1), at=first)
    for start in range(10):
        hot.offer(second, chunk(start, 1))
    assert there(hot, first, range(1)) == []
    assert hot.find(second, up_to(10), 0, 10) is not None
    assert list(hot._starts) == [second]


def test_a_page_too_large_is_left_to_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    place = partition()
    hot = kept(chunk(0, 4, size=1000), chunk(4, 4, size=1000), at=place)
    monkeypatch.setattr("bridge.locallog.hot_chunks.PAGE_BYTES_MAX", 6_000)
    assert hot.find(place, up_to(8), 0, 4) is not None
    assert hot.find(place, up_to(8), 0, 8) is None


def test_a_page_of_very_many_chunks_is_left_to_the_database() -> None:
    place = partition()
    hot = kept(*[chunk(start, 1) for start in range(LOCAL_HOT_RUNS_MAX + 1)], at=place)
    marks = up_to(LOCAL_HOT_RUNS_MAX + 1)
    assert hot.find(place, marks, 0, LOCAL_HOT_RUNS_MAX) is not None
    assert hot.find(place, marks, 0, LOCAL_HOT_RUNS_MAX + 1) is None


async def test_other_pages_of_chunks_read_often_are_answered_without_the_database(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    expected = [b"%d" % number for number in range(300)]
    await log.append(TOPIC, ToPartition(0), messages(*expected), deadline=soon())
    await log.read(TOPIC, 0, FromOffset(1), count=290, deadline=soon())
    disk.failing["select key"] = AssertionError
    for offset, count in ((0, 300), (100, 60), (299, 5), (126, 3)):
        page = await log.read(TOPIC, 0, FromOffset(offset), count=count, deadline=soon())
        assert [message.payload for message in page.messages] == expected[offset:][:count]
        assert [message.offset for message in page.messages] == list(range(300))[offset:][:count]
    await log.close()
