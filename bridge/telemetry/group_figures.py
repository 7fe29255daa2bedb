"""What groups did, as plain numbers (pure); `metrics.py` shows them on a scrape."""

from collections.abc import Iterator, Mapping
from operator import add
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from bridge.limits import METRICS_GROUPS_MAX
from bridge.telemetry.figures import OTHER
from bridge.telemetry.port import GroupObserver, GroupStats
from bridge.telemetry.snapshot import GroupSnapshot

__all__ = ("GroupFigures",)

_LABELS = ("stream", "topic", "group")
_OTHERS = (OTHER, OTHER, OTHER)
_NONE = GroupStats(0, 0, 0, 0, 0)
# In the order of `GroupStats`.
_GAUGES = (
    (
        "bridge_group_lag",
        "Messages after the committed offsets of the whole group, the same from every process",
    ),
    ("bridge_group_in_flight", "Messages out under a lease, likewise"),
    ("bridge_group_waiting", "Messages that came back and are to be given out again, likewise"),
    ("bridge_group_delayed", "Of them, those that are not to be given out yet"),
    ("bridge_group_dead_letters", "Messages in the dead-letter topic, likewise"),
)


class _Cell:
    __slots__ = ("dead_lettered", "delivered", "redelivered", "standing")

    def __init__(self) -> None:
        self.delivered = 0
        self.redelivered = 0
        self.dead_lettered = 0
        self.standing: GroupStats | None = None


class GroupFigures:
    """
    A cell for each of the first *groups_max* groups, and one for all others together.

    How a group stands is told of the whole group, and each process that knows it tells the same: of several, the most is
    what holds, never the sum. Where nothing is known there is no series.
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

    def groups_measured(self, standing: Mapping[tuple[str, str, str], GroupStats | None] | None) -> None:
        if standing is not None:
            # Series end with their group, so that new ones get their own.
            self._cells = {
                key: cell for key, cell in self._cells.items() if key in standing or key == _OTHERS
            }
        for cell in self._cells.values():
            cell.standing = None
        unknown = False
        for key, stands in (standing or {}).items():
            cell = self._cell(key)
            if cell is not self._cells.get(_OTHERS):
                cell.standing = stands
            elif stands is None:
                unknown = True
            else:
                cell.standing = GroupStats(*map(add, cell.standing or _NONE, stands))
        if unknown:
            self._cells[_OTHERS].standing = None

    def snapshot(self) -> list[GroupSnapshot]:
        """All of them as plain values."""
        return [
            GroupSnapshot(*key, cell.delivered, cell.redelivered, cell.dead_lettered, cell.standing)
            for key, cell in self._cells.items()
        ]

    def absorb(self, others: list[GroupSnapshot], *, alive: bool) -> None:
        """Add what another counted; of one that is alive, take how groups stand."""
        for other in others:
            cell = self._cell((other.stream, other.topic, other.group))
            cell.delivered += other.delivered
            cell.redelivered += other.redelivered
            cell.dead_lettered += other.dead_lettered
            if alive and other.standing is not None:
                cell.standing = GroupStats(*map(max, cell.standing or _NONE, other.standing))

    def families(self) -> Iterator[Metric]:
        """As Prometheus wants them."""
        delivered = CounterMetricFamily("bridge_group_delivered", "Messages handed to groups", labels=_LABELS)
        redelivered = CounterMetricFamily(
            "bridge_group_redelivered", "Of them, those handed out before", labels=_LABELS
        )
        dead_lettered = CounterMetricFamily(
            "bridge_group_dead_lettered", "Messages moved to dead-letter topics", labels=_LABELS
        )
        gauges = [GaugeMetricFamily(name, text, labels=_LABELS) for name, text in _GAUGES]
        for key, cell in tuple(self._cells.items()):
            delivered.add_metric(key, cell.delivered)
            redelivered.add_metric(key, cell.redelivered)
            dead_lettered.add_metric(key, cell.dead_lettered)
            for gauge, value in zip(gauges, cell.standing or (), strict=False):
                gauge.add_metric(key, value)
        yield from (delivered, redelivered, dead_lettered, *gauges)

    def _cell(self, key: tuple[str, str, str]) -> _Cell:
        found = self._cells.get(key)
        if found is None:
            if len(self._cells) - (_OTHERS in self._cells) >= self._groups_max:
                key = _OTHERS
            found = self._cells.setdefault(key, _Cell())
        return found


if TYPE_CHECKING:
    _observer: type[GroupObserver] = GroupFigures
