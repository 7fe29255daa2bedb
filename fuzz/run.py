"""
Runs every fuzz target for a bounded time, each in a process of its own (shell).

    python fuzz/run.py --seconds 5                 every target, and the canary, which must fail
    python fuzz/run.py --seconds 600 --target names

A target is a file beside this one with `check(data: bytes) -> None`; anything it raises is a finding. New inputs go to a
fresh directory that is kept only when there is a finding, never to `corpus/`. Exit code 1 on a finding, on a canary that
stays silent, and where atheris is missing (`FUZZ_OPTIONAL=1` makes that last one a loud pass).
"""

import argparse
import concurrent.futures
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
TARGETS: Final = (
    "bulk_in",
    "configuration",
    "events",
    "found_on_disk",
    "handed_back",
    "names",
    "stored_records",
    "websocket",
)
CANARY: Final = "canary"
#: What start-up, the seeds and a last slow input may take beyond the time asked for.
CHILD_EXTRA_S: Final = 60
INPUT_TIMEOUT_S: Final = 10
INPUT_BYTES_MAX: Final = 4096
MEMORY_MB_MAX: Final = 2048


class Outcome(NamedTuple):
    """How one target's run ended; *report* is the end of what it printed."""

    target: str
    failed: bool
    report: str


def fuzz(target: str, seconds: int, found: Path) -> None:
    """The child: never returns, libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 - the parent must run where it is missing

    sys.path.insert(0, str(HERE.parent))
    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["bridge", target]):
        check = importlib.import_module(target).check
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-rss_limit_mb={MEMORY_MB_MAX}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-artifact_prefix={found}/finding-",
        "-print_final_stats=1",
    ]
    atheris.Setup([target, *options, str(found), str(HERE / "corpus" / target)], check)
    atheris.Fuzz()


def run(target: str, seconds: int) -> Outcome:
    found = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    command = [sys.executable, __file__, "--child", target, "--seconds", str(seconds), "--found", str(found)]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + CHILD_EXTRA_S,
            check=False,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as hung:
        code, output = -1, (hung.stdout or b"") + b"\nthe child did not end in time\n"
    text = output.decode(errors="replace")
    if code == 0 or target == CANARY:
        shutil.rmtree(found)
    else:
        text += f"\ninputs are kept in {found}\n"
    return Outcome(target, code != 0, text)


def executions(report: str) -> str:
    counts = [line.split()[-1] for line in report.splitlines() if "stat::number_of_executed_units" in line]
    return counts[0] if counts else "?"


def verdict(outcome: Outcome, seconds: int) -> bool:
    """Prints one line for a target that did what it should, and the end of its report where not."""
    if outcome.target == CANARY:
        noticed = outcome.failed and "the canary sings" in outcome.report
        print(
            "canary: its planted fault was found" if noticed else f"canary: SILENT\n{outcome.report[-2000:]}"
        )
        return noticed
    if outcome.failed:
        print(f"{outcome.target}: FINDING\n{outcome.report[-6000:]}")
        return False
    print(f"{outcome.target}: {executions(outcome.report)} inputs in {seconds} s, no finding")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="time for each target")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--child", choices=(*TARGETS, CANARY), help=argparse.SUPPRESS)
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        fuzz(arguments.child, arguments.seconds, arguments.found)
    if importlib.util.find_spec("atheris") is None:
        optional = os.environ.get("FUZZ_OPTIONAL") == "1"
        print(
            "FUZZING DID NOT RUN: atheris has no wheel for this platform; FUZZ_OPTIONAL=1 accepts that",
            file=sys.stderr,
        )
        return 0 if optional else 1
    targets = (arguments.target,) if arguments.target else TARGETS
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = list(pool.map(lambda target: run(target, arguments.seconds), (CANARY, *targets)))
    verdicts = [verdict(outcome, arguments.seconds) for outcome in outcomes]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
