"""Pages cut from chunks that are kept are those that the database would give."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import LOCAL_HOT_RUNS_MAX
from bridge.locallog.catalog import EMPTY, PartitionState, TopicState, Watermarks
from bridge.locallog.hot_reads import HotChunks
from bridge.messagelog import FromOffset, Message, Records, Retention, ToPartition
from tests.support.local_logs import TOPIC, Disk, messages, open_topic, soon


def partition() -> PartitionState:
    topic = TopicState(topic_id=1, stream_id=1, name="t", created_at_us=0, ranges=(), retention=Retention())
    return PartitionState(topic, 0, 0)


def chunk(start: int, count: int, *, size: int = 1) -> Records:
    return Records.of([Message(start + n, 7, n + 1, b"x" * size, {}) for n in range(count)])


def kept(*chunks: Records, at: PartitionState) -> HotChunks:
    hot = HotChunks()
    for _ in range(2):
        for each in chunks:
            hot.offer(at, each)
    return hot


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
    there = {offset for index, each in enumerate(chunks) if index not in missing for offset in each.offsets}
    found = hot.find(place, up_to(total), start, count)
    if wanted and there.issuperset(wanted):
        assert found is not None
        assert [message.offset for message in found] == list(wanted)
    else:
        assert found is None


def test_what_is_not_committed_for_the_reader_is_not_shown() -> None:
    place = partition()
    found = kept(chunk(0, 10), at=place).find(place, up_to(4), 0, 100)
    assert found is not None
    assert list(found.offsets) == [0, 1, 2, 3]


def test_a_chunk_read_once_drives_nothing_out_and_is_not_kept() -> None:
    hot, place = HotChunks(), partition()
    hot.offer(place, chunk(0, 3))
    assert hot.find(place, up_to(3), 0, 3) is None
    hot.offer(place, chunk(0, 3))
    assert hot.find(place, up_to(3), 0, 3) is not None


def test_partitions_do_not_see_each_others_chunks() -> None:
    first, second = partition(), partition()
    hot = kept(chunk(0, 3), at=first)
    assert hot.find(second, up_to(3), 0, 3) is None


def test_what_is_kept_stays_within_its_bytes_and_the_longest_unread_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_CHUNKS_BYTES_MAX", 10_000)
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_MESSAGE_BYTES", 0)
    monkeypatch.setattr("bridge.locallog.hot_reads.KEPT_RECORDS_BYTES", 0)
    place = partition()
    hot = kept(*[chunk(start, 1, size=1000) for start in range(10)], at=place)
    assert hot.find(place, up_to(20), 0, 1) is not None
    for start in (10, 11):
        for _ in range(2):
            hot.offer(place, chunk(start, 1, size=1000))
    there = [hot.find(place, up_to(20), start, 1) is not None for start in range(12)]
    assert there == [True, False, False, *[True] * 9]
    too_large = chunk(12, 1, size=2000)
    for _ in range(2):
        hot.offer(place, too_large)
    assert hot.find(place, up_to(20), 12, 1) is None


def test_all_of_a_partition_may_be_driven_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_CHUNKS_BYTES_MAX", 8_000)
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_MESSAGE_BYTES", 0)
    monkeypatch.setattr("bridge.locallog.hot_reads.KEPT_RECORDS_BYTES", 0)
    first, second = partition(), partition()
    hot = kept(chunk(0, 1, size=1000), at=first)
    for start in range(8):
        for _ in range(2):
            hot.offer(second, chunk(start, 1, size=1000))
    assert hot.find(first, up_to(1), 0, 1) is None
    assert hot.find(second, up_to(8), 0, 8) is not None
    assert list(hot._starts) == [second]


def test_a_page_too_large_is_left_to_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    place = partition()
    hot = kept(chunk(0, 4, size=1000), chunk(4, 4, size=1000), at=place)
    monkeypatch.setattr("bridge.locallog.hot_reads.PAGE_BYTES_MAX", 6_000)
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
    for offset in (1, 2):
        await log.read(TOPIC, 0, FromOffset(offset), count=290, deadline=soon())
    disk.failing["select key"] = AssertionError
    for offset, count in ((0, 300), (100, 60), (299, 5), (126, 3)):
        page = await log.read(TOPIC, 0, FromOffset(offset), count=count, deadline=soon())
        assert [message.payload for message in page.messages] == expected[offset:][:count]
        assert [message.offset for message in page.messages] == list(range(300))[offset:][:count]
    await log.close()
