"""
How fast the bridge is, as a ratio to a bare aiohttp handler in the same run on the same machine (shell).

    python -m tests.bench.run [--seconds 2] [--repeats 3] [--json bench.json]

Repeats are interleaved over all targets, so that whatever else the machine does falls on each of them alike; a figure
is the median of its repeats, the spread is their range. Every answer must be 2xx. Loopback only; ends by itself.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.bench.cases import CASES
from tests.bench.load import Figure, run_load, tool
from tests.bench.targets import BARE, all_targets

Figures = dict[tuple[str, str], list[Figure]]


def measure(directory: Path, seconds: float, repeats: int) -> Figures:
    """All figures by (case, target)."""
    figures: Figures = defaultdict(list)
    with all_targets(directory) as targets:
        for _ in range(repeats):
            for case in CASES:
                for target in targets:
                    figure = run_load(case, target.port, seconds)
                    if figure.refused or figure.broken or not figure.requests_per_s:
                        raise RuntimeError(f"{case.name} on {target.name}: {figure}")
                    figures[case.name, target.name].append(figure)
    return figures


def rows(figures: Figures) -> list[dict[str, object]]:
    """One row for each case and target, with its ratio to the bare handler."""
    messages = {case.name: case.messages for case in CASES}
    result: list[dict[str, object]] = []
    for (case, target), runs in figures.items():
        rates = [run.requests_per_s for run in runs]
        rate = statistics.median(rates)
        bare = statistics.median(run.requests_per_s for run in figures[case, BARE])
        result.append(
            {
                "case": case,
                "target": target,
                "requests_per_s": round(rate, 1),
                "messages_per_s": round(rate * messages[case], 1),
                "ratio_to_bare": round(rate / bare, 4),
                "spread_percent": round(100 * (max(rates) - min(rates)) / rate, 1),
                "p50_ms": round(statistics.median(run.p50_us for run in runs) / 1000, 2),
                "p99_ms": round(statistics.median(run.p99_us for run in runs) / 1000, 2),
            }
        )
    return result


def table(measured: list[dict[str, object]]) -> str:
    lines = [
        "| case | target | requests/s | messages/s | ratio to bare | spread | p50 ms | p99 ms |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        "| {case} | {target} | {requests_per_s:,.0f} | {messages_per_s:,.0f} | {ratio_to_bare:.3f} "
        "| {spread_percent} % | {p50_ms} | {p99_ms} |".format_map(row)
        for row in measured
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each case on each target")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        measured = rows(measure(Path(directory), arguments.seconds, arguments.repeats))
    about = {"python": platform.python_version(), "machine": platform.machine(), "load": tool()}
    if arguments.json:
        arguments.json.write_text(json.dumps({**about, "rows": measured}, indent=2) + "\n")
    sys.stdout.write(f"{about}\n{table(measured)}\n")


if __name__ == "__main__":
    main()
