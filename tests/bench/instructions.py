"""
Instructions that a server runs for one request, which do not drift with the machine's other work (shell).

    python -m tests.bench.instructions [--case post-64 ...] [--on "embedded log" ...] [--against CHECKOUT]

Under valgrind's callgrind each server gets N requests and then 2N, one on each connection and then all answers; what the
second part took more, through N, is what one request takes. Of the process that answers: an Iggy server's are not in it.
A server is some fifty times slower there, so what it does by the clock weighs more: compare figures of one case only.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from tests.bench import tables
from tests.bench.caller import Caller
from tests.bench.cases import BARE, BEFORE, CASES, EMBEDDED, IGGY, PROTECTIONS, Case, Kind, case_named
from tests.bench.machine import changes
from tests.bench.report import INSTRUCTIONS
from tests.bench.requests import FILLED, OFFSETS
from tests.bench.targets import PYTHON, ROOT, Target, all_targets

__all__ = ("instructions_of", "total_of")

DEFAULT_CASES: Final = ("post-1", "post-64", "batch-100", "get-any")
#: Of one part; a batch of a hundred counts as ten. Pages differ by where they come from, so they are as many as single events.
REQUESTS: Final = 512
WARM_UP: Final = 256
#: About what the bench asks for in its first second: each message has then been in two of the pages.
READS_WARM_UP: Final = 3000
TIMEOUT_S: Final = 120.0


class _Callgrind:
    """Callgrind of one process, which runs without counting until it is told to."""

    def __init__(self, directory: Path) -> None:
        self._out, self._prefix = directory / "callgrind", f"--vgdb-prefix={directory / 'vgdb'}"
        self._dumps = count(1)

    @property
    def command(self) -> Sequence[str]:
        options = ("--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._out}")
        return ("valgrind", *options, "--vgdb=yes", self._prefix, PYTHON)

    def tell(self, pid: int, *words: str) -> None:
        command = ["vgdb", self._prefix, f"--pid={pid}", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)

    def taken(self, pid: int) -> int:
        """Instructions since it was asked before."""
        self.tell(pid, "dump")
        return total_of(self._out.with_name(f"callgrind.{next(self._dumps)}").read_text())


def total_of(dump: str) -> int:
    """
    Raises:
        ValueError: if it is no dump of callgrind.
    """
    (line,) = [line for line in dump.splitlines() if line.startswith("totals:")]
    return int(line.split()[1])


def instructions_of(once: int, twice: int, requests: int) -> float:
    """Of one request, out of what *requests* and twice as many took."""
    return (twice - once) / requests


def measured(case: Case, target: Target, callgrind: _Callgrind) -> float:
    pid = target.pids[0]
    messages = case.messages if case.kind is Kind.SEND else 1
    requests = max(case.connections, REQUESTS * 10 // (9 + messages) // case.connections * case.connections)
    caller = Caller(
        case,
        target.dialect,
        target.port,
        target.headers,
        connections=case.connections,
        topic=target.topic,
        offsets=OFFSETS,
    )

    def ask(requests: int) -> None:
        for _ in range(requests // case.connections):
            caller.ask()

    ask(READS_WARM_UP if case.kind is Kind.READ else WARM_UP)
    callgrind.tell(pid, "instrumentation", "on")
    callgrind.taken(pid)
    ask(requests)
    once = callgrind.taken(pid)
    ask(2 * requests)
    twice = callgrind.taken(pid)
    callgrind.tell(pid, "instrumentation", "off")
    caller.close()
    return instructions_of(once, twice, requests)


def measure(cases: Sequence[Case], names: Sequence[str], against: Path | None) -> dict[str, dict[str, float]]:
    """By the case's key and the target's name; each server has its turn alone."""
    figures: dict[str, dict[str, float]] = {case.key: {} for case in cases}
    filled = FILLED if any(case.kind is Kind.READ for case in cases) else 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            callgrind = _Callgrind(Path(directory))
            wanted = {"wanted": name.__eq__, "around": callgrind.command, "filled": filled}
            with all_targets(Path(directory), against=against, **wanted) as found:  # type: ignore[arg-type]
                for target in found:
                    for case in cases:
                        if case.has(name):
                            figures[case.key][name] = round(measured(case, target, callgrind))
                            sys.stdout.write(f"{case.key} on {name}: {figures[case.key][name]:,}\n")
                            sys.stdout.flush()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    keys = [case.key for case in CASES if case.kind in {Kind.SEND, Kind.READ}]
    parser.add_argument("--case", action="append", choices=keys, help="again for more")
    bridges = (EMBEDDED, *PROTECTIONS, *IGGY.values())
    parser.add_argument("--on", action="append", choices=bridges, help="again for more")
    parser.add_argument("--against", type=Path, help="another checkout with its own .venv")
    parser.add_argument("--write", action="store_true", help="keep the figures for docs/performance.md")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("there is no valgrind here, so no instructions are counted")
    against = arguments.against.resolve() if arguments.against else None
    if arguments.write and (changed := changes(ROOT, against)):
        sys.exit(f"commit first, or leave out --write; changed are {', '.join(changed)}")
    names = arguments.on or [EMBEDDED]
    before = [name + BEFORE for name in names] if against else []
    cases = [case_named(key) for key in arguments.case or DEFAULT_CASES]
    figures = measure(cases, [BARE, *names, *before], against)
    sys.stdout.write(f"\n{tables.instructions(figures)}\n")
    if arguments.write:
        INSTRUCTIONS.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
