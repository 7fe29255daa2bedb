"""A gauge of which of its states something is in (pure)."""

from prometheus_client.core import GaugeMetricFamily

from bridge.telemetry.snapshot import StateSnapshot

__all__ = ("StateGauge",)


class StateGauge:
    """One gauge per state seen, 1 for the present one; states come from a fixed table, so their number is bounded.

    Of several workers each adds its own 1.
    """

    __slots__ = ("elsewhere", "now", "seen")

    def __init__(self) -> None:
        self.now: str | None = None
        self.seen: dict[str, None] = {}
        self.elsewhere: list[str] = []

    def set(self, state: str) -> None:
        self.now = state
        self.seen[state] = None

    def family(self, name: str, text: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=("state",))
        for state in tuple(self.seen):
            family.add_metric((state,), self.elsewhere.count(state) + (state == self.now))
        return family

    def snapshot(self) -> StateSnapshot:
        return StateSnapshot(self.now, list(self.seen))

    def absorb(self, other: StateSnapshot, *, alive: bool) -> None:
        self.seen.update(dict.fromkeys(other.seen))
        if alive and other.now is not None:
            self.elsewhere.append(other.now)
