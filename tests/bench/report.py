"""
The report of a run (shell around pure tables).

    python -m tests.bench.report [--write] [FILE]

Prints the tables of the last full run, or of FILE; with --write they go into docs/performance.md as well.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import tables
from tests.bench.floors import floors
from tests.bench.machine import changes
from tests.bench.results import Results
from tests.bench.targets import ROOT

__all__ = ("INSTRUCTIONS", "LATEST", "machine_line", "performance_part", "read", "terminal", "write")

#: Of the last full run; committed, so that the figures of docs/performance.md can be told from it.
LATEST: Final = Path(__file__).with_name("results") / "latest.json"
#: Instructions for one request, by case and target.
INSTRUCTIONS: Final = LATEST.with_name("instructions.json")


def read(path: Path) -> Results:
    """
    Raises:
        OSError, msgspec.DecodeError: if it is no result of a run.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def machine_line(results: Results) -> str:
    about = results.about
    before = f" against {about['before']}" if about.get("before") else ""
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    return (
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, {about['system']}; "
        f"Python {about['python']}, {libraries}; {'Iggy ' + about['iggy'] if about['iggy'] else 'no Iggy'}; {about['load']}; "
        f"load average at start {about['load_average']}; commit {about['commit']}{before}, {about['time']}; "
        f"{about['rounds']} interleaved rounds of {about['seconds']:g} s each."
    )


def _figures(results: Results, between: str) -> list[str]:
    return [
        tables.rates(results, between=between),
        tables.changes(results),
        tables.waits(results),
        tables.bulk(results),
        tables.fan_out(results),
        tables.costs(results),
    ]


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def terminal(results: Results) -> str:
    skipped = (f"not measured: {one.reason}" for one in results.skipped)
    return _joined(machine_line(results), *_figures(results, ", "), tables.held(floors(results)), *skipped)


def performance_part(path: Path = LATEST, instructions: Path = INSTRUCTIONS) -> str:
    """What docs/performance.md shows of the run in *path*, and of the instructions that were counted."""
    results = read(path)
    counted = json.loads(instructions.read_text()) if instructions.exists() else {}
    head = (
        "Each figure is the median of the rounds, in brackets their range; a ratio is to the figure of the same round. "
        "Load, bridge and Iggy share the cores. " + machine_line(results)
    )
    return "\n" + _joined(head, *_figures(results, "<br>"), tables.instructions(counted))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, default=LATEST)
    parser.add_argument(
        "--write", action="store_true", help="write the last full run into docs/performance.md"
    )
    arguments = parser.parse_args()
    sys.stdout.write(terminal(read(arguments.file)))
    if arguments.write:
        from tests.readme.generated import write_parts  # noqa: PLC0415 - it reads this module for its text

        if changed := changes(ROOT):
            sys.exit(f"commit first; not in the commit: {', '.join(one.strip() for one in changed)}")
        write_parts()


if __name__ == "__main__":
    main()
