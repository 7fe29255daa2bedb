"""A partition page by page: the next one is read while one is used, and no more."""

import asyncio
from typing import Any

import pytest

from bridge.clock import Clock, Deadline, SystemClock
from bridge.messagelog import First, FromOffset, Message, Page, Records, TopicRef
from bridge.web.bodies.bulk_reads import BulkRead
from bridge.web.wire.queries import BulkQuery
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


async def _begun(log: CountingLog, clock: Clock) -> BulkRead:
    read = BulkRead(
        log,  # type: ignore[arg-type]
        TopicRef("s", "t"),
        BulkQuery(0, First(), None, 0),
        clock=clock,
        page_timeout_s=10,
    )
    await read.begin()
    return read


async def test_however_long_the_stream_only_one_page_is_read_ahead() -> None:
    log = CountingLog(50)
    read = await _begun(log, SystemClock())
    assert log.reads == 1
    taken = 0
    pages = read.pages()
    async for records in pages:
        taken += 1
        assert [message.offset for message in records] == [taken - 1]
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.reads <= taken + 1
        if taken == 40:
            break
    await pages.aclose()
    assert log.reads <= 41


async def test_the_log_is_asked_for_the_next_page_before_one_is_used() -> None:
    log = CountingLog(5)
    read = await _begun(log, SystemClock())
    assert [log.reads async for _ in read.pages()] == [2, 3, 4, 5, 5]


async def test_each_page_has_the_time_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = CountingLog(20), FakeClock()
    monkeypatch.setattr("bridge.web.bodies.bulk_reads.BULK_PAGE_MESSAGES", 1)
    read = await _begun(log, clock)
    async for _ in read.pages():
        clock.advance(9)
    assert log.times_s == [10] * 20
