"""Metrics as a scrape shows them."""

import asyncio

from bridge.telemetry.families import Counter, Gauge
from bridge.telemetry.metrics import LogMetrics, Metrics, families_of

__all__ = ("StatesTold", "WatchedLog", "by_label", "figure", "figures", "total")

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(of: object) -> Figures:
    """By name and labels, everything that is shown of *of*: `Metrics`, or a part of it."""
    found: Figures = {}
    for family in of.families if isinstance(of, Metrics) else families_of(of):
        for sample in family.shown().samples if family.is_shown else ():
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


def figure(of: object, name: str, **labels: str) -> float | None:
    """One of them; None where there is no such series."""
    return figures(of).get((name, frozenset(labels.items())))


def total(counter: Counter) -> float:
    """What a counter shows, all its series together."""
    return sum(sample.value for sample in counter.shown().samples)


def by_label(counter: Counter) -> dict[str, float]:
    """What a counter shows, by the value of its one label."""
    return {"".join(sample.labels.values()): sample.value for sample in counter.shown().samples}


class StatesTold(Gauge):
    """Remembers the states it was told, and can be waited for."""

    def __init__(self) -> None:
        super().__init__("state", "", "state")
        self.told: list[str] = []
        self._changed = asyncio.Event()

    def set_state(self, state: str) -> None:
        super().set_state(state)
        self.told.append(state)
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, state: str) -> None:
        """Return when the newest state told is *state*."""
        while self.told[-1:] != [state]:
            await self._changed.wait()


class WatchedLog(LogMetrics):
    """Remembers which states the log went through."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.states = StatesTold()
        self.breaker = self.breaker_states = StatesTold()
