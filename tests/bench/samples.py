"""Arithmetic on what was measured (pure)."""

import json
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ("Spread", "percentile", "ratios", "report_line", "spread")


class Spread(NamedTuple):
    """The median of some repeats and their range."""

    median: float
    least: float
    most: float


def percentile(ordered: Sequence[int], percent: float) -> int:
    """Nearest rank; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0


def spread(figures: Sequence[float]) -> Spread:
    """
    Raises:
        ValueError: of nothing.
    """
    return Spread(statistics.median(figures), min(figures), max(figures))


def ratios(figures: Sequence[float], base: Sequence[float]) -> list[float]:
    """
    Each repeat to the base's of the same round: what the machine did besides fell on both.

    Raises:
        ValueError: if there are not as many of each.
    """
    return [figure / one for figure, one in zip(figures, base, strict=True)]


def report_line(**figures: float) -> str:
    """What a load program prints for `load.read_report`."""
    return "\nREPORT " + json.dumps(figures) + "\n"
