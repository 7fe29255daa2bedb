"""Metrics of one worker among several (shell): a scrape of any of them tells of all.

`prometheus-client` has a multiprocess mode, which writes every observation into mapped files; it took 4.1 us an
observation where a plain cell takes 0.3. Here the cells stay plain: each worker leaves a snapshot once a second, and
before it answers a scrape, in memory that all share. So what one scrape showed, the next one finds, whoever is asked; what
a killed worker counted since its last snapshot, a second at most, is lost.
"""

import resource
from typing import Final

import msgspec

from bridge.clock import Clock
from bridge.limits import WORKER_FIGURES_INTERVAL_S
from bridge.telemetry.families import Labels, Plain
from bridge.telemetry.figure_slots import FigureSlots
from bridge.telemetry.metrics import Metrics, Snapshot

# A worker that has left nothing for so long does not run, or hangs: what it counted stands, its state does not.
_SILENT_S: Final = 4 * WORKER_FIGURES_INTERVAL_S
_BYTES_OF_MAXRSS: Final = 1024


class WorkerMetrics(Metrics):
    """The metrics of the worker in *slot*; it goes on counting where the one before it stopped.

    Args:
        slots: one for each worker.
    """

    def __init__(self, slots: FigureSlots, slot: int, clock: Clock) -> None:
        super().__init__(of_workers=True)
        self._slots = slots
        self._slot = slot
        self._clock = clock
        self._label = str(slot + 1)
        self._known: dict[int, tuple[int, Snapshot]] = {}
        before = self._left(slot)
        if before is not None:
            self.absorb(before[0], alive=False)
        self.workers.starts.add(self._label)
        self._cpu_before_s = self.workers.cpu_s.at(self._label).value

    def publish(self) -> Snapshot:
        """Leave everything as it is now; returns it."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.workers.up.set(1, self._label)
        self.workers.cpu_s.at(self._label).value = self._cpu_before_s + used.ru_utime + used.ru_stime
        self.workers.peak_memory_bytes.set(used.ru_maxrss * _BYTES_OF_MAXRSS, self._label)
        snapshot = self.plain()
        self._slots.write(self._slot, encode(snapshot), self._clock.monotonic_s())
        return snapshot

    def message_totals(self) -> tuple[int, int]:
        return self._together(self.log.sent.name, self.log.received.name).message_totals()

    def render(self, *, as_openmetrics: bool = False) -> tuple[bytes, str]:
        return self._together().render(as_openmetrics=as_openmetrics)

    def _together(self, *names: str) -> Metrics:
        """All workers' as one, or the families of these *names* alone; ours are left before they are shown."""
        together = Metrics(of_workers=True)
        for slot in range(self._slots.count):
            row = (self.publish(), True) if slot == self._slot else self._left(slot)
            if row is not None:
                snapshot, alive = row
                together.absorb({name: snapshot[name] for name in names} or snapshot, alive=alive)
        return together

    def _left(self, slot: int) -> tuple[Snapshot, bool] | None:
        """What the worker in *slot* left, and whether it is alive."""
        left = self._slots.read(slot)
        if left is None:
            return None
        number, snapshot = self._known.get(slot, (0, None))
        if snapshot is None or number != left.number:
            try:
                snapshot = decode(left.payload)
            except msgspec.DecodeError:
                return None
            self._known[slot] = (left.number, snapshot)
        return snapshot, self._clock.monotonic_s() - left.at_s < _SILENT_S


class _Encoded(msgspec.Struct, array_like=True):
    """Labels stand once: those of a topic are long, and four families have them."""

    labels: list[Labels]
    families: dict[str, list[tuple[int, Plain]]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Encoded)


def encode(snapshot: Snapshot) -> bytes:
    numbers: dict[Labels, int] = {}
    families = {
        name: [(numbers.setdefault(labels, len(numbers)), plain) for labels, plain in series]
        for name, series in snapshot.items()
    }
    return _encoder.encode(_Encoded(list(numbers), families))


def decode(data: bytes) -> Snapshot:
    """What `encode` was given.

    Raises:
        msgspec.DecodeError: if it is something else.
    """
    encoded = _decoder.decode(data)
    return {
        name: [(encoded.labels[number], plain) for number, plain in series]
        for name, series in encoded.families.items()
    }
