"""What groups did, as plain numbers (pure); `metrics.py` shows them on a scrape."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from bridge.limits import METRICS_GROUPS_MAX
from bridge.telemetry.figures import OTHER
from bridge.telemetry.port import GroupObserver
from bridge.telemetry.snapshot import GroupSnapshot

__all__ = ("GroupFigures",)

_LABELS = ("stream", "topic", "group")


class _Cell:
    __slots__ = ("dead_lettered", "delivered", "in_flight", "lag", "redelivered")

    def __init__(self) -> None:
        self.delivered = 0
        self.redelivered = 0
        self.dead_lettered = 0
        self.in_flight = 0
        self.lag = 0


class GroupFigures:
    """
    A cell for each of the first *groups_max* groups, and one for all others together.

    In flight and lag are told of the partitions that this process looks after: the sum over all processes is the group's.
    """

    def __init__(self, groups_max: int = METRICS_GROUPS_MAX) -> None:
        self._groups_max = groups_max
        self._cells: dict[tuple[str, str, str], _Cell] = {}

    def group_delivered(
        self, stream: str, topic: str, group: str, *, messages: int, redelivered: int
    ) -> None:
        cell = self._cell((stream, topic, group))
        cell.delivered += messages
        cell.redelivered += redelivered

    def group_dead_lettered(self, stream: str, topic: str, group: str, *, messages: int) -> None:
        self._cell((stream, topic, group)).dead_lettered += messages

    def groups_stand(self, standing: dict[tuple[str, str, str], tuple[int, int]]) -> None:
        for cell in self._cells.values():
            cell.in_flight = cell.lag = 0
        for key, (in_flight, lag) in standing.items():
            cell = self._cell(key)
            cell.in_flight += in_flight
            cell.lag += lag

    def snapshot(self) -> list[GroupSnapshot]:
        """All of them as plain values."""
        return [
            GroupSnapshot(
                *key, cell.delivered, cell.redelivered, cell.dead_lettered, cell.in_flight, cell.lag
            )
            for key, cell in self._cells.items()
        ]

    def absorb(self, others: list[GroupSnapshot], *, alive: bool) -> None:
        """Add another's; of one that is no longer alive only what it counted."""
        for other in others:
            cell = self._cell((other.stream, other.topic, other.group))
            cell.delivered += other.delivered
            cell.redelivered += other.redelivered
            cell.dead_lettered += other.dead_lettered
            cell.in_flight += other.in_flight if alive else 0
            cell.lag += other.lag if alive else 0

    def families(self) -> Iterator[Metric]:
        """As Prometheus wants them."""
        delivered = CounterMetricFamily("bridge_group_delivered", "Messages handed to groups", labels=_LABELS)
        redelivered = CounterMetricFamily(
            "bridge_group_redelivered", "Of them, those handed out before", labels=_LABELS
        )
        dead_lettered = CounterMetricFamily(
            "bridge_group_dead_lettered", "Messages moved to dead-letter topics", labels=_LABELS
        )
        in_flight = GaugeMetricFamily(
            "bridge_group_in_flight", "Messages out under a lease, of the partitions owned", labels=_LABELS
        )
        lag = GaugeMetricFamily(
            "bridge_group_lag", "Messages after the committed offsets of the partitions owned", labels=_LABELS
        )
        for key, cell in tuple(self._cells.items()):
            delivered.add_metric(key, cell.delivered)
            redelivered.add_metric(key, cell.redelivered)
            dead_lettered.add_metric(key, cell.dead_lettered)
            in_flight.add_metric(key, cell.in_flight)
            lag.add_metric(key, cell.lag)
        yield from (delivered, redelivered, dead_lettered, in_flight, lag)

    def _cell(self, key: tuple[str, str, str]) -> _Cell:
        found = self._cells.get(key)
        if found is None:
            if len(self._cells) >= self._groups_max:
                key = (OTHER, OTHER, OTHER)
            found = self._cells.setdefault(key, _Cell())
        return found


if TYPE_CHECKING:
    _observer: type[GroupObserver] = GroupFigures
