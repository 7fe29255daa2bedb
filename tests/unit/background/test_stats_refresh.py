"""Claims of `background.stats_refresh`."""

from typing import cast

import pytest

from bridge.background.stats_refresh import StatsCache, StatsSnapshot, refresh_stats
from bridge.clock import Deadline
from bridge.errors import ConnectionFailed, StreamNotFound
from bridge.messagelog import LogTotals, MessageLog, StreamInfo
from tests.support.clock import FakeClock

TOTALS = LogTotals(streams_count=1, topics_count=2, messages_count=3, size_bytes=4)


OWN = StreamInfo(id=7, name="own", created_at_us=1, topics_count=1, size_bytes=3, messages_count=2)


class Source:
    """A log of which only totals and one stream are asked."""

    def __init__(self, *, own: StreamInfo | None = None, fails: bool = False) -> None:
        self.own = own
        self.fails = fails
        self.asked_with_s: list[float] = []

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        assert name == "own"
        deadline.remaining_s()
        if self.own is None:
            raise StreamNotFound
        return self.own

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        self.asked_with_s.append(deadline.remaining_s())
        if self.fails:
            raise ConnectionFailed
        return TOTALS


def test_a_cache_without_figures_is_stale_and_ages() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    clock.advance(3.0)
    assert cache.snapshot() == StatsSnapshot(None, 3.0, stale=True)


def test_figures_are_fresh_for_two_ttls_and_then_stale() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    cache.update(TOTALS)
    assert cache.snapshot() == (TOTALS, 0.0, False)
    clock.advance(10.0)
    assert not cache.snapshot().stale
    clock.advance(0.001)
    assert cache.snapshot().stale


async def refresh(source: Source, cache: StatsCache, clock: FakeClock) -> None:
    log = cast("MessageLog", source)
    await refresh_stats(source, log, cache, own_stream="own", clock=clock, timeout_s=7.0)


async def test_a_refresh_asks_with_its_timeout_and_renews_the_age() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    clock.advance(60.0)
    source = Source()
    await refresh(source, cache, clock)
    assert source.asked_with_s == [7.0]
    assert cache.snapshot() == (TOTALS, 0.0, False)


async def test_what_is_in_the_bridges_own_stream_is_left_out() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    await refresh(Source(own=OWN), cache, clock)
    assert cache.snapshot().totals == LogTotals(
        streams_count=0, topics_count=1, messages_count=1, size_bytes=1
    )


async def test_a_failed_refresh_keeps_the_old_figures_and_their_age() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    cache.update(TOTALS)
    clock.advance(20.0)
    with pytest.raises(ConnectionFailed):
        await refresh(Source(fails=True), cache, clock)
    assert cache.snapshot() == StatsSnapshot(TOTALS, 20.0, stale=True)
