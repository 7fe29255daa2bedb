"""Metrics of one worker among several (shell): a scrape of any of them tells of all.

`prometheus-client` has a multiprocess mode, which writes every observation into mapped files; it took 4.1 us an
observation where a plain cell takes 0.3. Here the cells stay plain: each worker leaves a snapshot once a second, and
before it answers a scrape, in memory that all share. So what one scrape showed, the next one finds, whoever is asked; what
a killed worker counted since its last snapshot, a second at most, is lost.
"""

import resource
from collections.abc import Iterator
from typing import Final

from msgspec import DecodeError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.clock import Clock
from bridge.limits import WORKER_FIGURES_INTERVAL_S
from bridge.telemetry.figure_slots import FigureSlots
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.snapshot import Snapshot, decode, encode

__all__ = ("WorkerMetrics",)

# A worker that has left nothing for so long does not run, or hangs: what it counted stands, its state does not.
_SILENT_S: Final = 4 * WORKER_FIGURES_INTERVAL_S
_BYTES_OF_MAXRSS: Final = 1024


class _Processes(Collector):
    """What the workers tell of their processes."""

    def __init__(self, rows: dict[int, tuple[Snapshot, bool]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        labels = ("worker",)
        up = GaugeMetricFamily("bridge_worker_up", "Whether the worker tells its figures", labels=labels)
        cpu = CounterMetricFamily("bridge_worker_cpu_seconds", "Processor time", labels=labels)
        peak = GaugeMetricFamily("bridge_worker_peak_memory_bytes", "Most resident memory", labels=labels)
        starts = CounterMetricFamily("bridge_worker_starts", "How often it was started", labels=labels)
        for slot, (figures, alive) in self._rows.items():
            label = (str(slot + 1),)
            up.add_metric(label, float(alive))
            starts.add_metric(label, figures.starts)
            cpu.add_metric(label, figures.cpu_s)
            peak.add_metric(label, figures.peak_memory_bytes if alive else 0)
        yield from (up, cpu, peak, starts)


class WorkerMetrics(Metrics):
    """
    The figures of the worker in *slot*; it goes on counting where the one before it stopped.

    Args:
        slots: one for each worker.
    """

    def __init__(self, slots: FigureSlots, slot: int, clock: Clock) -> None:
        super().__init__(process=None)
        self._slots = slots
        self._slot = slot
        self._clock = clock
        self._known: dict[int, tuple[int, Snapshot]] = {}
        self._cpu_before_s, self._starts = 0.0, 1
        before = self._left(slot)
        if before is not None:
            self.absorb(before[0], alive=False)
            self._cpu_before_s, self._starts = before[0].cpu_s, before[0].starts + 1

    def snapshot(self) -> Snapshot:
        used = resource.getrusage(resource.RUSAGE_SELF)
        figures = super().snapshot()
        figures.cpu_s = self._cpu_before_s + used.ru_utime + used.ru_stime
        figures.peak_memory_bytes = used.ru_maxrss * _BYTES_OF_MAXRSS
        figures.starts = self._starts
        return figures

    def publish(self) -> Snapshot:
        """Leave the figures as they are now; returns them."""
        figures = self.snapshot()
        self._slots.write(self._slot, encode(figures), self._clock.monotonic_s())
        return figures

    def message_totals(self) -> tuple[int, int]:
        rows = self._rows().values()
        return sum(row[0].messages_sent for row in rows), sum(row[0].messages_received for row in rows)

    def render(self) -> tuple[bytes, str]:
        rows = self._rows()
        together = Metrics(process=_Processes(rows))
        for figures, alive in rows.values():
            together.absorb(figures, alive=alive)
        return together.render()

    def _rows(self) -> dict[int, tuple[Snapshot, bool]]:
        """By slot: figures, and whether their worker is alive. Ours are left before they are shown."""
        rows: dict[int, tuple[Snapshot, bool]] = {}
        for slot in range(self._slots.count):
            row = (self.publish(), True) if slot == self._slot else self._left(slot)
            if row is not None:
                rows[slot] = row
        return rows

    def _left(self, slot: int) -> tuple[Snapshot, bool] | None:
        left = self._slots.read(slot)
        if left is None:
            return None
        number, figures = self._known.get(slot, (0, None))
        if figures is None or number != left.number:
            try:
                figures = decode(left.payload)
            except DecodeError:
                return None
            self._known[slot] = (left.number, figures)
        return figures, self._clock.monotonic_s() - left.at_s < _SILENT_S
