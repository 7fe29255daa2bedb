"""The figures of the whole log, renewed in the background (shell): a request never pays for counting."""

from typing import NamedTuple

from bridge.clock import Clock, Deadline
from bridge.errors import NotFound
from bridge.messagelog import LogTotals, MessageLog, StatsSource

#: Figures count as stale once this many renewals in a row are missing: one late answer is no news.
STALE_AFTER_TTLS = 2.0


class StatsSnapshot(NamedTuple):
    """What is known of the log's totals.

    Attributes:
        totals: the figures, None before the first answer.
        age_s: how long ago they were counted; since the cache was made, before the first answer.
        stale: whether renewals are missing, or there are no figures yet.
    """

    totals: LogTotals | None
    age_s: float
    stale: bool


class StatsCache:
    """The last answer of a `StatsSource`, with its age."""

    def __init__(self, clock: Clock, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self._clock = clock
        self._totals: LogTotals | None = None
        self._at_s = clock.monotonic_s()

    def update(self, totals: LogTotals) -> None:
        """Take these figures as counted right now."""
        self._totals = totals
        self._at_s = self._clock.monotonic_s()

    def snapshot(self) -> StatsSnapshot:
        """The figures as they are, without asking anybody."""
        age_s = max(0.0, self._clock.monotonic_s() - self._at_s)
        stale = self._totals is None or age_s > STALE_AFTER_TTLS * self.ttl_s
        return StatsSnapshot(self._totals, age_s, stale)


async def refresh_stats(
    source: StatsSource,
    log: MessageLog,
    cache: StatsCache,
    *,
    own_stream: str,
    clock: Clock,
    timeout_s: float,
) -> None:
    """Ask once and keep the answer; one step for `supervise`.

    Args:
        own_stream: of the bridge, which no user sent anything to: it is left out.

    Raises:
        LogError: if the log does not answer within *timeout_s*; the cache keeps what it has.
    """
    deadline = Deadline.after(timeout_s, clock)
    try:
        # Before the totals, which so are never less.
        own = await log.stream(own_stream, deadline=deadline)
    except NotFound:
        cache.update(await source.totals(deadline=deadline))
        return
    totals = await source.totals(deadline=deadline)
    cache.update(
        LogTotals(
            streams_count=totals.streams_count - 1,
            topics_count=totals.topics_count - own.topics_count,
            messages_count=totals.messages_count - own.messages_count,
            size_bytes=max(0, totals.size_bytes - own.size_bytes),
        )
    )
