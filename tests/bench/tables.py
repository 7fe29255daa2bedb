"""The report as Markdown tables, for the terminal and for docs/performance.md (pure)."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from tests.bench.cases import (
    BARE,
    BEFORE,
    CASES,
    EMBEDDED,
    IGGY,
    IGGY_HTTP,
    SDK,
    Case,
    Kind,
    base_of,
    case_named,
)
from tests.bench.floors import Floor
from tests.bench.results import Results, Run
from tests.bench.samples import Spread, ratios, spread

__all__ = (
    "bulk",
    "changes",
    "costs",
    "fan_out",
    "held",
    "instructions",
    "rates",
    "table",
    "told",
    "verdict",
    "waits",
)

_COLUMNS: Final = (BARE, EMBEDDED, IGGY["replicated"], IGGY["persisted"], SDK["replicated"], IGGY_HTTP)
_NONE: Final = ""
_RATE_DIGITS_BELOW: Final = 100


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column is text, the others are figures; nothing where there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("|" + "".join(f" {each} |" if each else " |" for each in line) for line in lines)


def told(measured: Spread) -> str:
    """A ratio: its median and range."""
    return f"{measured.median:.2f} ({measured.least:.2f}-{measured.most:.2f})"


def _figure(figure: float) -> str:
    return f"{figure:,.1f}" if figure < _RATE_DIGITS_BELOW else f"{figure:,.0f}"


def _median(figures: Iterable[float]) -> float:
    return statistics.median(figures)


def _by_target(results: Results, title: str, cell: Callable[[Case, str], str]) -> str:
    """Of small requests, a row for each case and a column for each target."""
    rows = [
        [case.title, *(cell(case, target) if results.of(case, target) else _NONE for target in _COLUMNS)]
        for case in CASES
        if case.kind in {Kind.SEND, Kind.READ} and results.targets_of(case)
    ]
    return table([title, *_COLUMNS], rows)


def rates(results: Results, *, between: str = ", ") -> str:
    """
    Requests a second.

    Args:
        between: stands between a rate and its ratio; `<br>` puts them on two lines.
    """

    def cell(case: Case, target: str) -> str:
        rate, ratio = _figure(_median(results.rates(case, target))), results.ratio(case, target)
        return rate if ratio is None or target == base_of(case, target) else f"{rate}{between}{told(ratio)}"

    return _by_target(results, "requests/s (ratio to the bare handler)", cell)


def waits(results: Results) -> str:
    """In closed loops: with many connections a request waits for those before it."""
    return _by_target(
        results, "p50 / p99 ms", lambda case, target: _waits(results.of(case, target), "p50_us", "p99_us")
    )


def costs(results: Results) -> str:
    title = "CPU for 1000 requests (+ Iggy's), largest RSS"
    return _by_target(results, title, lambda case, target: _cost(results.of(case, target), 1, "ms"))


def _waits(runs: Sequence[Run], *names: str) -> str:
    return " / ".join(f"{_median(getattr(run, name) for run in runs) / 1000:,.2f}" for name in names)


def _cost(runs: Sequence[Run], messages: int, unit: str) -> str:
    own = _median(run.cpu_ms_per_1000 for run in runs) / messages
    iggy = _median(run.iggy_cpu_ms_per_1000 for run in runs) / messages
    peak = _median(run.peak_mib for run in runs)
    return f"{_figure(own)}{f' + {_figure(iggy)}' if iggy else ''} {unit}, {peak:,.0f} MiB"


def bulk(results: Results) -> str:
    """Messages a second of one stream, and what a million of them cost."""
    rows = []
    for case in (case for case in CASES if case.kind in {Kind.BULK_IN, Kind.BULK_OUT}):
        for target in results.targets_of(case):
            rate, ratio = _median(results.rates(case, target)) * case.messages, results.ratio(case, target)
            # Milliseconds for a thousand requests are seconds for a million, of which each moved many messages.
            cost = _cost(results.of(case, target), case.messages, "s")
            rows.append([case.title, target, f"{rate:,.0f}", told(ratio) if ratio else _NONE, cost])
    costs_head = "CPU for a million (+ Iggy's), largest RSS"
    return table(["bulk", "through", "messages/s", "ratio to the SDK straight", costs_head], rows)


def fan_out(results: Results) -> str:
    """
    Deliveries a second, what a million of them cost, how long they took, and what a reader costs.

    Of that the most of all rounds: readers of a later one live in memory that those of the first have left.
    """
    rows = []
    for case in (case for case in CASES if case.kind is Kind.FAN_OUT):
        for target in results.targets_of(case):
            runs = results.of(case, target)
            rate, ratio = spread(results.rates(case, target)), results.ratio(case, target)
            around = any(run.around_p50_us for run in runs)
            rows.append(
                [
                    case.title,
                    target,
                    f"{rate.median:,.0f} ({rate.least:,.0f}-{rate.most:,.0f})",
                    told(ratio) if ratio and target != BARE else _NONE,
                    _cost(runs, 1, "s"),
                    _waits(runs, "p50_us", "p99_us"),
                    _waits(runs, "around_p50_us", "around_p99_us") if around else _NONE,
                    f"{max(run.reader_kib for run in runs):,.1f} KiB",
                ]
            )
    head = [
        "fan-out",
        "from",
        "deliveries/s",
        "ratio to one write after the other",
        "CPU for a million (+ Iggy's), largest RSS",
        "201 to event, p50 / p99 ms",
        "sent straight to Iggy, p50 / p99 ms",
        "an idle reader",
    ]
    return table(head, rows)


def instructions(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Of one request, by case and target; a ratio is the bare handler's to the target's, so that more is better."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    rows = []
    for key, row in figures.items():
        bare = row.get(BARE)
        shares = {
            name: f" ({bare / each:.2f})" if bare and name != BARE else _NONE for name, each in row.items()
        }
        cells = (f"{row[name]:,.0f}{shares[name]}" if name in row else _NONE for name in names)
        rows.append([case_named(key).title, *cells])
    return table(["instructions for one request (the bare handler's to them)", *names], rows)


def changes(results: Results) -> str:
    """Of each bridge that was measured in two trees: requests/s before and after, and their ratio within each round."""
    rows = []
    for case in CASES:
        for target in case.targets:
            before, after = results.rates(case, target + BEFORE), results.rates(case, target)
            if before and after:
                found = ratios(after, before)
                medians = (_figure(_median(each)) for each in (before, after))
                rows.append([case.title, target, *medians, told(spread(found)), verdict(found)])
    return table(["requests/s", "target", "before", "after", "after to before", "verdict"], rows)


def verdict(rounds: Sequence[float]) -> str:
    """What ratios say: nothing, where they are as far from each other as their median is from 1, or there is but one."""
    measured = spread(rounds)
    if len(rounds) == 1 or measured.most - measured.least >= abs(measured.median - 1):
        return "no difference"
    return "faster" if measured.median > 1 else "slower"


def held(found: Iterable[Floor]) -> str:
    rows = [
        [
            floor.what,
            floor.target,
            f"{'<=' if floor.most else '>='} {floor.bound:,.2f}",
            told(floor.measured),
            "held" if floor.held else "MISSED",
        ]
        for floor in found
    ]
    return table(["claim", "target", "bound", "measured", "verdict"], rows)
