"""The report as Markdown tables, for the terminal and for the README (pure)."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
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
    "cell",
    "changes",
    "costs",
    "fan_out",
    "held",
    "instructions",
    "rates",
    "table",
    "told",
    "verdict",
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


def _rate(figure: float) -> str:
    return f"{figure:,.1f}" if figure < _RATE_DIGITS_BELOW else f"{figure:,.0f}"


def cell(results: Results, case: Case, target: str, between: str) -> str:
    """Requests a second, and the ratio to the base below it."""
    if not results.has(case, target):
        return _NONE
    rate = _rate(statistics.median(results.rates(case, target)))
    ratio = results.ratio(case, target)
    return rate if ratio is None or target == base_of(case, target) else f"{rate}{between}{told(ratio)}"


def _measured(results: Results, kinds: set[Kind]) -> list[Case]:
    return [
        case
        for case in CASES
        if case.kind in kinds and any(results.has(case, target) for target in case.targets)
    ]


def rates(results: Results, *, between: str = ", ") -> str:
    """
    Requests a second.

    Args:
        between: stands between a rate and its ratio; `<br>` puts them on two lines.
    """
    cases = _measured(results, {Kind.SEND, Kind.READ})
    rows = [[case.title, *(cell(results, case, target, between) for target in _COLUMNS)] for case in cases]
    return table(["requests/s (ratio to the bare handler)", *_COLUMNS], rows)


def bulk(results: Results) -> str:
    """Messages a second of one stream, and what a million of them cost."""
    rows = []
    for case in _measured(results, {Kind.BULK_IN, Kind.BULK_OUT}):
        for target in case.targets:
            if results.has(case, target):
                rate = spread(results.rates(case, target)).median * case.messages
                ratio = results.ratio(case, target)
                # Milliseconds for a thousand requests are seconds for a million, of which each moved many messages.
                cost = _cost(results.runs[case.key, target], case.messages, "s")
                rows.append([case.title, target, f"{rate:,.0f}", told(ratio) if ratio else _NONE, cost])
    head = [
        "bulk",
        "through",
        "messages/s",
        "ratio to the SDK straight",
        "CPU for a million (+ Iggy's), largest RSS",
    ]
    return table(head, rows)


def _cost(runs: list[Run], messages: int, unit: str) -> str:
    own = statistics.median(run.cpu_ms_per_1000 for run in runs) / messages
    iggy = statistics.median(run.iggy_cpu_ms_per_1000 for run in runs) / messages
    peak = statistics.median(run.peak_mib for run in runs)
    return f"{_rate(own)}{f' + {_rate(iggy)}' if iggy else ''} {unit}, {peak:,.0f} MiB"


def costs(results: Results) -> str:
    """CPU time and memory."""
    rows = [
        [
            case.title,
            *(
                _cost(results.runs[case.key, target], 1, "ms") if results.has(case, target) else _NONE
                for target in _COLUMNS
            ),
        ]
        for case in _measured(results, {Kind.SEND, Kind.READ})
    ]
    return table(["CPU for 1000 requests (+ Iggy's), largest RSS", *_COLUMNS], rows)


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


def fan_out(results: Results) -> str:
    """
    Deliveries a second, what a million of them cost, how long they took, and what a reader costs.

    Of that the most of all rounds: readers of a later one live in memory that those of the first have left.
    """
    rows = []
    for case in _measured(results, {Kind.FAN_OUT}):
        for target, extras in results.fan_outs.items():
            runs = results.runs[case.key, target]
            rate, ratio = spread(results.rates(case, target)), results.ratio(case, target)
            around = any(one.around_p50_us for one in extras)
            rows.append(
                [
                    case.title,
                    target,
                    f"{rate.median:,.0f} ({rate.least:,.0f}-{rate.most:,.0f})",
                    told(ratio) if ratio and target != BARE else _NONE,
                    _cost(runs, 1, "s"),
                    _waits([(run.p50_us, run.p99_us) for run in runs]),
                    _waits([(one.around_p50_us, one.around_p99_us) for one in extras]) if around else _NONE,
                    f"{max(one.reader_kib for one in extras):,.1f} KiB",
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


def _waits(rounds: list[tuple[int, int]]) -> str:
    p50, p99 = (statistics.median(figures) / 1000 for figures in zip(*rounds, strict=True))
    return f"{p50:,.2f} / {p99:,.2f}"


def changes(results: Results) -> str:
    """Of each bridge that was measured in two trees: requests/s before and after, and their ratio within each round."""
    rows = []
    for case in CASES:
        for target in case.targets:
            before = target + BEFORE
            if results.has(case, target) and results.has(case, before):
                rates = results.rates(case, before), results.rates(case, target)
                found = ratios(rates[1], rates[0])
                medians = (_rate(statistics.median(each)) for each in rates)
                rows.append([case.title, target, *medians, told(spread(found)), verdict(found)])
    return table(["requests/s", "target", "before", "after", "after to before", "verdict"], rows)


def verdict(rounds: Sequence[float]) -> str:
    """What ratios say: nothing, where they are as far from each other as their median is from 1, or there is but one."""
    measured = spread(rounds)
    if len(rounds) == 1 or measured.most - measured.least >= abs(measured.median - 1):
        return "no difference"
    return "faster" if measured.median > 1 else "slower"


def held(found: Iterator[Floor]) -> str:
    rows = [
        [
            floor.what,
            floor.target,
            f"{'<=' if floor.most else '>='} {floor.bound:.2f}",
            told(floor.measured),
            "held" if floor.held else "MISSED",
        ]
        for floor in found
    ]
    return table(["claim", "target", "bound", "measured", "verdict"], rows)
