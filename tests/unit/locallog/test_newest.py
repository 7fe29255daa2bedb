"""Whoever has everything is given what is stored next from memory, and it is what the database would give."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import KEPT_RECORDS_BYTES, LOCAL_HOT_RUNS_MAX, LOCAL_NEWEST_BYTES_MAX, PAGE_LIGHT_BYTES
from bridge.locallog.catalog import EMPTY, PartitionState, TopicState, Watermarks
from bridge.locallog.newest import Newest
from bridge.messagelog import FromOffset, Last, Message, Position, Records, Retention, ToPartition
from tests.support.local_logs import TOPIC, Disk, messages, open_topic, soon


def partition() -> PartitionState:
    topic = TopicState(topic_id=1, stream_id=1, name="t", created_at_us=0, ranges=(), retention=Retention())
    return PartitionState(topic, 0, 0)


def append(start: int, count: int, *, size: int = 1) -> Callable[[], Records]:
    return lambda: Records.of([Message(start + n, 7, n + 1, b"x" * size, {}) for n in range(count)])


def never() -> Records:
    raise AssertionError("made though nobody waits for it")


def up_to(next_offset: int) -> Watermarks:
    return EMPTY._replace(next_offset=next_offset)


def offsets(found: Records | None) -> list[int] | None:
    return None if found is None else list(found.offsets)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("stored"), st.integers(1, 5)),
            st.tuples(st.just("reached"), st.integers(0, 3)),
            st.tuples(st.just("missed"), st.integers(1, 2)),
            st.tuples(st.just("found"), st.integers(1, 12)),
        ),
        max_size=30,
    ),
    st.integers(0, 9),
)
def test_what_is_found_is_the_whole_page_and_nothing_else(steps: list[tuple[str, int]], back: int) -> None:
    newest, place, end = Newest(), partition(), 0
    newest.reached(place, 0)
    for step, number in steps:
        if step == "stored":
            newest.stored(place, append(end, number))
            end += number
        elif step == "reached":
            # By a read that began a while ago, too.
            newest.reached(place, max(0, end - number))
        elif step == "missed":
            # Its caller was cancelled.
            end += number
        else:
            start = max(0, end - back)
            found = newest.find(place, up_to(end), start, number)
            assert offsets(found) in (None, [*range(start, min(start + number, end))])
            assert offsets(found) != []
    assert newest.size_bytes >= 0


def test_who_has_everything_finds_what_is_stored_next() -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 5)
    newest.stored(place, append(5, 2))
    newest.stored(place, append(7, 3))
    assert offsets(newest.find(place, up_to(10), 5, 100)) == [5, 6, 7, 8, 9]
    assert offsets(newest.find(place, up_to(10), 6, 2)) == [6, 7]
    assert newest.find(place, up_to(10), 4, 3) is None
    assert newest.find(place, up_to(11), 5, 100) is None
    assert newest.find(place, up_to(10), 10, 1) is None


def test_what_is_not_committed_for_the_reader_is_not_shown() -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 0)
    newest.stored(place, append(0, 4))
    assert offsets(newest.find(place, up_to(2), 0, 100)) == [0, 1]


def test_nothing_is_made_of_a_partition_whose_end_nobody_has_reached() -> None:
    newest, place = Newest(), partition()
    newest.stored(place, never)
    newest.reached(partition(), 0)
    newest.stored(place, never)
    assert newest.find(place, up_to(1), 0, 1) is None


def test_what_was_read_goes_when_there_is_more() -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 0)
    newest.stored(place, append(0, 2))
    newest.reached(place, 2)
    assert offsets(newest.find(place, up_to(2), 0, 9)) == [0, 1]
    newest.stored(place, append(2, 1))
    assert newest.find(place, up_to(3), 0, 9) is None
    assert offsets(newest.find(place, up_to(3), 2, 9)) == [2]


def test_what_the_database_gave_before_it_was_told_is_not_kept() -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 0)
    newest.reached(place, 2)
    newest.stored(place, append(0, 2))
    assert newest.find(place, up_to(2), 0, 9) is None
    newest.stored(place, append(2, 1))
    assert offsets(newest.find(place, up_to(3), 2, 9)) == [2]


def test_behind_a_hole_nothing_is_kept_until_a_read_has_come_to_the_end_again() -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 0)
    newest.stored(place, append(0, 1))
    newest.stored(place, append(2, 1))
    newest.stored(place, never)
    assert newest.find(place, up_to(3), 2, 1) is None
    assert newest.size_bytes == 0
    newest.reached(place, 3)
    newest.stored(place, append(3, 1))
    assert offsets(newest.find(place, up_to(4), 3, 1)) == [3]


@pytest.mark.parametrize(
    "appends",
    [
        [append(number, 1) for number in range(LOCAL_HOT_RUNS_MAX + 1)],
        [append(number, 1, size=400_000) for number in range(11)],
        [append(0, 1, size=PAGE_LIGHT_BYTES + 1)],
    ],
    ids=["many", "large", "heavy"],
)
def test_a_partition_whose_readers_have_left_is_forgotten(appends: list[Callable[[], Records]]) -> None:
    newest, place = Newest(), partition()
    newest.reached(place, 0)
    for each in appends:
        newest.stored(place, each)
    newest.stored(place, never)
    assert newest.size_bytes == 0


def test_what_is_kept_stays_within_its_bytes_and_who_read_longest_ago_goes_first() -> None:
    newest = Newest()
    places = [partition() for _ in range(6)]
    for place in places:
        newest.reached(place, 0)
    newest.reached(places[0], 0)
    for number in range(4):
        for place in places:
            newest.stored(place, append(number, 1, size=450_000))
            assert newest.size_bytes <= LOCAL_NEWEST_BYTES_MAX
    assert [newest.find(place, up_to(4), 0, 4) is not None for place in places] == [
        True,
        *[False] * 2,
        *[True] * 3,
    ]


def test_places_without_messages_count_too() -> None:
    newest, places = Newest(), [partition() for _ in range(LOCAL_NEWEST_BYTES_MAX // KEPT_RECORDS_BYTES + 1)]
    for place in places:
        newest.reached(place, 0)
    newest.stored(places[0], never)
    assert newest.size_bytes <= LOCAL_NEWEST_BYTES_MAX
    newest.stored(places[-1], append(0, 1))
    assert newest.find(places[-1], up_to(1), 0, 1) is not None


@pytest.mark.parametrize("first", [FromOffset(1), Last(), FromOffset(0)])
async def test_a_follower_is_given_what_was_stored_without_the_database(
    tmp_path: Path, first: Position
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"a"), deadline=soon())
    await log.read(TOPIC, 0, first, count=9, deadline=soon())
    disk.failing["select key"] = AssertionError
    read = []
    for number in range(1, 4):
        new = [b"%d" % number, b"%d again" % number]
        await log.append(TOPIC, ToPartition(0), messages(*new), deadline=soon())
        page = await log.read(TOPIC, 0, FromOffset(2 * number - 1), count=9, deadline=soon())
        assert [message.payload for message in page.messages] == new
        read += [*page.messages]
    disk.failing.clear()
    stored = await log.read(TOPIC, 0, FromOffset(1), count=99, deadline=soon())
    assert read == [*stored.messages]
    await log.close()


async def test_of_a_partition_that_was_purged_nothing_is_given(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    await log.read(TOPIC, 0, FromOffset(0), count=9, deadline=soon())
    await log.append(TOPIC, ToPartition(0), messages(b"old", b"older"), deadline=soon())
    await log.purge_topic(TOPIC, deadline=soon())
    await log.append(TOPIC, ToPartition(0), messages(b"new"), deadline=soon())
    page = await log.read(TOPIC, 0, FromOffset(0), count=9, deadline=soon())
    assert [message.payload for message in page.messages] == [b"new"]
    await log.close()
