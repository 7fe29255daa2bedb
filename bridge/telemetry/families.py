"""Families of metrics (pure): declared once, counted in plain cells, added up over workers, shown on a scrape.

A scrape comes every few seconds, requests by the thousand: so observing is an addition to a cell, and
`prometheus-client` is met in `shown` only.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from bridge.telemetry.exemplars import Traced

Labels: TypeAlias = tuple[str, ...]
#: The newest traced observation of each bucket that has one, by its place: when and of what trace, and its value.
Exemplars: TypeAlias = dict[int, tuple[Traced, float]]
#: A number; of a histogram, its observations by bucket, their sum, and those that stand for them.
Plain: TypeAlias = int | float | tuple[list[int], float, Exemplars]

#: The value of every label of whatever is beyond the bound on labels.
OTHER: Final = "other"


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def plain(self) -> Plain:
        return self.value

    def add(self, plain: Any) -> None:
        """Add another one's `plain`."""
        self.value += plain

    def shown(self) -> tuple[float]:
        return (self.value,)


class Buckets:
    """One series of a histogram; *bounds* are inclusive upper bounds in ascending order, +Inf is added.

    Of observations that belong to a trace the newest in each bucket is kept, as its exemplar.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._exemplars: Exemplars = {}

    def observe(self, value: float, traced: Traced | None = None) -> None:
        place = bisect_left(self._bounds, value)
        self._counts[place] += 1
        self._total += value
        if traced is not None:
            self._exemplars[place] = traced, value

    def plain(self) -> Plain:
        return list(self._counts), self._total, dict(self._exemplars)

    def add(self, plain: Any) -> None:
        """Add what another one of the same bounds has observed: its `plain`."""
        counts, total, exemplars = plain
        self._counts = [own + other for own, other in zip(self._counts, counts, strict=True)]
        self._total += total
        for place, exemplar in exemplars.items():
            self._exemplars[place] = max(exemplar, self._exemplars.get(place, exemplar))

    def shown(self) -> tuple[list[tuple[str, float, Exemplar | None]], float]:
        """Observations up to each bound, each with the exemplar of its bucket, and their sum."""
        seen, result = 0, []
        bounds = (*map(str, self._bounds), "+Inf")
        for place, (bound, count) in enumerate(zip(bounds, self._counts, strict=True)):
            seen += count
            result.append((bound, float(seen), self._exemplar(place)))
        return result, self._total

    def _exemplar(self, place: int) -> Exemplar | None:
        found = self._exemplars.get(place)
        if found is None:
            return None
        traced, value = found
        return Exemplar({"trace_id": traced.trace_id}, value, traced.at_s)


Series = TypeVar("Series", Number, Buckets)


class Family(Generic[Series]):
    """All series of one name.

    Args:
        labels: names of its labels; without any there is one series from the start.
        make: a new series.
        kind: Prometheus' own of it.

    Attributes:
        is_shown: whether a scrape shows it.
        rows: bounds the labels; None where they come from a fixed table.
    """

    def __init__(
        self, name: str, text: str, labels: Labels, make: Callable[[], Series], kind: Callable[..., Any]
    ) -> None:
        self.name = name
        self.labels = labels
        self.is_shown = True
        self.rows: Rows | None = None
        self.series: dict[Labels, Series] = {}
        self._text = text
        self._make: Callable[[], Series] = make
        self._kind = kind
        if not labels:
            self.at()

    def at(self, *labels: str) -> Series:
        """The series of these labels, made if there is none."""
        found = self.series.get(labels)
        if found is None:
            if self.rows is not None:
                labels = self.rows.admit(labels)
            found = self.series.setdefault(labels, self._make())
        return found

    def plain(self) -> list[tuple[Labels, Plain]]:
        """Every series as a plain value, as of now."""
        return [(labels, series.plain()) for labels, series in self.series.items()]

    def absorb(self, labels: Labels, plain: Plain, *, alive: bool) -> None:  # noqa: ARG002 (what is counted stands)
        """Add another worker's series; of one that is no longer *alive*, what it counted but not the state it was in."""
        self.at(*labels).add(plain)

    def shown(self) -> Metric:
        """As Prometheus wants it."""
        family: Any = self._kind(self.name, self._text, labels=self.labels)
        for labels, series in self.series.items():
            family.add_metric(labels, *series.shown())
        shown: Metric = family
        return shown


class Counter(Family[Number]):
    def __init__(self, name: str, text: str, *labels: str, is_shown: bool = True) -> None:
        super().__init__(name, text, labels, Number, CounterMetricFamily)
        self.is_shown = is_shown

    def add(self, *labels: str, by: float = 1) -> None:
        self.at(*labels).value += by


class Gauge(Family[Number]):
    """How much there is now; over several workers the sum.

    Args:
        is_of_all: each worker that knows it tells the whole: then the most holds, and there is no series where none knows it,
            nor before it was told.
    """

    def __init__(self, name: str, text: str, *labels: str, is_of_all: bool = False) -> None:
        super().__init__(name, text, labels, Number, GaugeMetricFamily)
        self._is_of_all = is_of_all
        if is_of_all:
            self.series.clear()

    def set(self, value: float | None, *labels: str) -> None:
        """How much there is; None where that is not known, of which there is no figure."""
        if value is None:
            self.series.pop(labels, None)
        else:
            self.at(*labels).value = value

    def set_state(self, state: str) -> None:
        """Of a gauge by "state": 1 for the present one, 0 for those seen before."""
        for series in self.series.values():
            series.value = 0
        self.set(1, state)

    def absorb(self, labels: Labels, plain: Any, *, alive: bool) -> None:
        if not self._is_of_all:
            self.at(*labels).value += plain if alive else 0
        elif alive:
            own = self.at(*labels)
            own.value = max(own.value, plain)


class Histogram(Family[Buckets]):
    """Observations in buckets of these *bounds*."""

    def __init__(self, name: str, text: str, *labels: str, bounds: Sequence[float]) -> None:
        super().__init__(name, text, labels, lambda: Buckets(bounds), HistogramMetricFamily)


class Rows:
    """Label sets that several *counters* have in common: a series in each for *rows_max* of them, and one for all others.

    Args:
        gauges: have series of no other label sets, and of these not always.
    """

    def __init__(self, rows_max: int, counters: Sequence[Counter], gauges: Sequence[Gauge] = ()) -> None:
        self.others: Labels = (OTHER,) * len(counters[0].labels)
        self._rows_max = rows_max
        self._counters = counters
        self._families: tuple[Family[Number], ...] = (*counters, *gauges)
        self._rows: dict[Labels, tuple[Number, ...]] = {}
        for family in self._families:
            family.rows = self

    @property
    def is_full(self) -> bool:
        return len(self._rows) - (self.others in self._rows) >= self._rows_max

    def row(self, labels: Labels) -> tuple[Number, ...]:
        """The series of these labels, in the order of the counters."""
        return self._rows.get(labels) or self._rows[self.admit(labels)]

    def admit(self, labels: Labels) -> Labels:
        """These labels, or those of all others where there is no room; there is a row of them now."""
        if labels not in self._rows:
            if self.is_full:
                labels = self.others
            if labels not in self._rows:
                row = tuple(counter.series.setdefault(labels, Number()) for counter in self._counters)
                self._rows[labels] = row
        return labels

    def known(self) -> list[tuple[Labels, float]]:
        """The labels that have a row of their own, each with the sum of its counters."""
        return [
            (labels, sum(number.value for number in row))
            for labels, row in self._rows.items()
            if labels != self.others
        ]

    def end(self, gone: Iterable[Labels]) -> None:
        """There are no series of these any more; what is counted under them later begins at 0, as after a restart."""
        for labels in gone:
            del self._rows[labels]
            for family in self._families:
                family.series.pop(labels, None)
