"""
The report of a run (shell around pure tables).

    python -m tests.bench.report [--readme] [FILE]

Prints the tables of the last full run, or of FILE; with --readme they are written into the README as well.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from tests.bench import tables
from tests.bench.floors import aims, floors
from tests.bench.picture import svg
from tests.bench.results import Results

__all__ = ("LATEST", "machine_line", "read", "readme_part", "terminal", "write")

#: Of the last full run; committed, so that the README's figures can be told from it.
LATEST: Final = Path(__file__).with_name("results") / "latest.json"
#: Of the last run that sent the same bytes again and again.
OLD_LOAD: Final = LATEST.with_name("2026-11-21.json")


def read(path: Path) -> Results:
    """
    Raises:
        OSError, ValueError, KeyError, TypeError: if it is no result of a run.
    """
    return Results.from_json(json.loads(path.read_text()))


def write(results: Results, path: Path) -> None:
    """The JSON, and the picture beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    path.with_suffix(".svg").write_text(svg(results))


def machine_line(results: Results) -> str:
    about = results.about
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    return (
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, {about['system']}; "
        f"Python {about['python']}, {libraries}; {'Iggy ' + about['iggy'] if about['iggy'] else 'no Iggy'}; {about['load']}; "
        f"load average at start {about['load_average']}; commit {about['commit']}, {about['time']}; "
        f"{about['rounds']} interleaved rounds of {about['seconds']:g} s each."
    )


def terminal(results: Results) -> str:
    parts = [
        machine_line(results),
        tables.rates(results),
        tables.bulk(results),
        tables.fan_out(results),
        tables.costs(results),
        tables.changes(results),
        tables.held(floors(results)),
        tables.held(aims(results)),
        *(f"not measured: {one.reason}" for one in results.skipped),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme_part(path: Path | None = None) -> str:
    """What the README shows of the run in *path*, else of the last one."""
    path = path or (LATEST if LATEST.exists() else OLD_LOAD)
    results = read(path)
    parts = [
        f"![Messages a second through each way](tests/bench/results/{path.stem}.svg)",
        "Each figure is the median of the rounds, in brackets their range; a ratio is to the figure of the same round. "
        "Load, bridge and Iggy share the cores. " + machine_line(results),
        tables.rates(results, between="<br>"),
        tables.bulk(results),
        tables.fan_out(results),
        tables.costs(results),
        tables.changes(results),
    ]
    return "\n" + "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, default=LATEST)
    parser.add_argument("--readme", action="store_true", help="write the last full run into the README")
    arguments = parser.parse_args()
    sys.stdout.write(terminal(read(arguments.file)))
    if arguments.readme:
        from tests.readme.generated import README, with_parts  # noqa: PLC0415 - it reads this module for its text

        README.write_text(with_parts(README.read_text()))


if __name__ == "__main__":
    main()
