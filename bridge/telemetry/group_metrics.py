"""The metrics of consumer groups, declared once (shell)."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from bridge.limits import METRICS_GROUPS_MAX
from bridge.telemetry.families import Counter, Gauge, Labels, Rows


class GroupStats(NamedTuple):
    """A whole group, in all partitions.

    Attributes:
        lag: messages after the committed offsets.
        in_flight: messages out under a lease.
        waiting: messages that came back, or were passed over, and are to be given out again.
        delayed: of them, those that are not to be given out yet.
        dead_letters: messages in its dead-letter topic.
        oldest_age_s: since the oldest message that is not settled was stored, 0 where all are; None where not known.
    """

    lag: int
    in_flight: int
    waiting: int
    delayed: int
    dead_letters: int
    oldest_age_s: float | None = None


#: Those that are counts, in the order of `GroupStats`.
_COUNTS: Final = {
    "lag": "Messages after the committed offsets of the whole group, the same from every process",
    "in_flight": "Messages out under a lease, likewise",
    "waiting": "Messages that came back and are to be given out again, likewise",
    "delayed": "Of them, those that are not to be given out yet",
    "dead_letters": "Messages in the dead-letter topic, likewise",
}


class GroupMetrics:
    """What groups do, and how each stands; where that is not known there is no series."""

    def __init__(self, groups_max: int = METRICS_GROUPS_MAX) -> None:
        by_group = ("stream", "topic", "group")
        self.delivered = Counter("bridge_group_delivered", "Messages handed to groups", *by_group)
        self.redelivered = Counter("bridge_group_redelivered", "Of them, those handed out before", *by_group)
        self.dead_lettered = Counter(
            "bridge_group_dead_lettered", "Messages moved to dead-letter topics", *by_group
        )
        self.stats = tuple(
            Gauge(f"bridge_group_{name}", text, *by_group, is_of_all=True) for name, text in _COUNTS.items()
        )
        self.oldest_age_s = Gauge(
            "bridge_group_oldest_unsettled_age_seconds",
            "Time since the oldest message that the group has not settled was stored, likewise",
            *by_group,
            is_of_all=True,
        )
        counters = (self.delivered, self.redelivered, self.dead_lettered)
        self._groups = Rows(groups_max, counters, (*self.stats, self.oldest_age_s))

    def group_delivered(
        self, stream: str, topic: str, group: str, *, messages: int, redelivered: int
    ) -> None:
        """So many messages were handed out, so many of them not for the first time."""
        row = self._groups.row((stream, topic, group))
        row[0].value += messages
        row[1].value += redelivered

    def group_dead_lettered(self, stream: str, topic: str, group: str, *, messages: int) -> None:
        """So many messages went to the dead-letter topic."""
        self.dead_lettered.add(stream, topic, group, by=messages)

    def groups_measured(self, stats: Mapping[tuple[str, str, str], GroupStats | None] | None) -> None:
        """Every group there is and how it stands, None where that is not known; None where not even that is known."""
        if stats is not None:
            self._groups.end([labels for labels, _ in self._groups.known() if labels not in stats])
        gauges = (*self.stats, self.oldest_age_s)
        for gauge in gauges:
            gauge.series.clear()
        unknown: set[Labels] = set()
        ages_unknown: set[Labels] = set()
        for group, measured in (stats or {}).items():
            labels = self._groups.admit(group)
            if measured is None:
                unknown.add(labels)
                continue
            for gauge, value in zip(self.stats, measured[: len(self.stats)], strict=True):
                gauge.at(*labels).value += value or 0
            if measured.oldest_age_s is None:
                ages_unknown.add(labels)
            else:
                age = self.oldest_age_s.at(*labels)
                age.value = max(age.value, measured.oldest_age_s)
        # Of all others together nothing is told where one of them is not known.
        for labels in unknown:
            for gauge in gauges:
                gauge.series.pop(labels, None)
        for labels in ages_unknown:
            self.oldest_age_s.series.pop(labels, None)
