"""A partition page by page: the next one is read while one is used, and no more."""

import asyncio
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import Clock, Deadline, SystemClock
from bridge.flow.following.topic_reader import TopicReader, shares
from bridge.messagelog import FromOffset, Message, MessageLog, Page, Records, TopicRef
from tests.support.clock import FakeClock


class CountingLog:
    """Enough of a log for a stream of one message a page."""

    def __init__(self, end: int) -> None:
        self.reads = 0
        self.times_s: list[float] = []
        self._end = end

    async def read(
        self, _topic: TopicRef, partition_id: int, position: Any, *, count: int, deadline: Deadline
    ) -> Page:
        del count
        self.reads += 1
        self.times_s.append(deadline.remaining_s())
        offset = position.offset if isinstance(position, FromOffset) else 0
        return Page(partition_id, self._end, Records.of((Message(offset, 0, 1, b"x", {}),)))


def _reader(log: CountingLog, clock: Clock) -> TopicReader:
    return TopicReader(
        cast("MessageLog", log), TopicRef("s", "t"), deadline=lambda: Deadline.after(10, clock)
    )


async def test_however_long_the_stream_only_one_page_is_read_ahead() -> None:
    log = CountingLog(50)
    taken = 0
    pages = _reader(log, SystemClock()).pages_ahead(((0, 0),), {0: 50})
    async for page in pages:
        taken += 1
        assert page.records.offsets == [taken - 1]
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.reads <= taken + 1
        if taken == 40:
            break
    await pages.aclose()
    assert log.reads <= 41


async def test_the_log_is_asked_for_the_next_page_before_one_is_used() -> None:
    log = CountingLog(5)
    pages = _reader(log, SystemClock()).pages_ahead(((0, 0),), {0: 5})
    assert [log.reads async for _ in pages] == [2, 3, 4, 5, 5]


async def test_each_page_has_the_time_of_a_request() -> None:
    log, clock = CountingLog(20), FakeClock()
    async for _ in _reader(log, clock).pages_ahead(((0, 0),), {0: 20}):
        clock.advance(9)
    assert log.times_s == [10] * 20


@given(
    available=st.dictionaries(st.integers(0, 50), st.integers(-3, 40), max_size=10),
    count=st.integers(1, 60),
    first=st.integers(0, 1000),
)
def test_each_partition_has_its_share(available: dict[int, int], count: int, first: int) -> None:
    taken = shares(available, count, first=first)
    have = {each: found for each, found in available.items() if found > 0}
    assert sum(taken.values()) == min(count, sum(have.values()))
    assert all(0 < found <= have[each] for each, found in taken.items())
    # Nobody has two less than another, unless there are no more of his.
    for each, found in have.items():
        mine = taken.get(each, 0)
        assert mine == found or all(other - mine <= 1 for other in taken.values())


def test_what_cannot_be_divided_goes_round() -> None:
    assert [shares({0: 9, 1: 9, 2: 9}, 4, first=first) for first in range(3)] == [
        {0: 2, 1: 1, 2: 1},
        {1: 2, 2: 1, 0: 1},
        {2: 2, 0: 1, 1: 1},
    ]
