"""Claims of `background.stats_refresh`."""

import pytest

from bridge.background.stats_refresh import StatsCache, StatsSnapshot, refresh_stats
from bridge.clock import Deadline
from bridge.errors import ConnectionFailed
from bridge.messagelog import LogTotals
from tests.support.clock import FakeClock

TOTALS = LogTotals(streams_count=1, topics_count=2, messages_count=3, size_bytes=4)


class Source:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.asked_with_s: list[float] = []

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


async def test_a_refresh_asks_with_its_timeout_and_renews_the_age() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    clock.advance(60.0)
    source = Source()
    await refresh_stats(source, cache, clock=clock, timeout_s=7.0)
    assert source.asked_with_s == [7.0]
    assert cache.snapshot() == (TOTALS, 0.0, False)


async def test_a_failed_refresh_keeps_the_old_figures_and_their_age() -> None:
    clock = FakeClock()
    cache = StatsCache(clock, 5.0)
    cache.update(TOTALS)
    clock.advance(20.0)
    with pytest.raises(ConnectionFailed):
        await refresh_stats(Source(fails=True), cache, clock=clock, timeout_s=7.0)
    assert cache.snapshot() == StatsSnapshot(TOTALS, 20.0, stale=True)
