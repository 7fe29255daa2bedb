"""
How fast the bridge is, as ratios to a bare aiohttp handler in the same run on the same machine (shell).

    python -m tests.bench.run [--load clients] [--rounds 10] [--seconds 5 | --budget_s 1200] [--against CHECKOUT]
    python -m tests.bench.run --case post-64 [--case ...] [--on "embedded log" ...]
    python -m tests.bench.run --profile post-64 [--on "Iggy, replicated"]

Each round starts every target anew, with fresh data, and measures each case on each of them; the order of the targets is
another one in each round, so that whatever else the machine does falls on each of them alike. Every answer must be 2xx.
Figures of a whole run are kept for docs/performance.md, but of a tree that is its commit and nothing else. Loopback only.
"""

import argparse
import pstats
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

from tests.bench.cases import BARE, BEFORE, CASES, EMBEDDED, IGGY, IGGY_HTTP, SDK, Case, Kind, case_named
from tests.bench.load import LoadFailed, measured
from tests.bench.machine import about, changes, commit, too_busy
from tests.bench.report import LATEST, terminal, write
from tests.bench.requests import FILLED
from tests.bench.results import Results
from tests.bench.targets import PYTHON, ROOT, Target, all_targets

__all__ = ("another_round", "place_of", "rotated", "seconds_within")

#: Where everything goes that is not kept for docs/performance.md; git ignores it.
ASIDE: Final = ROOT / "build" / "bench"
#: What a measurement takes besides its seconds, and a round besides its measurements.
MEASUREMENT_S: Final = 0.7
FAN_OUT_S: Final = 9.0
ROUND_S: Final = 15.0
PROFILE_LINES: Final = 40
#: Enough that the start of the process is not among the most costly.
PROFILE_S: Final = 8.0
LOADS: Final = {"clients": (False,), "same": (True,), "both": (False, True)}


def another_round(done: int, wanted: int, took_s: float, budget_s: float) -> bool:
    """Whether there is time for one more, if it takes as long as those before."""
    return done < wanted and (done == 0 or took_s * (done + 1) / done <= budget_s)


def rotated(targets: Sequence[Target], number: int) -> list[Target]:
    """Each begins once, and follows each other one as often as it can."""
    begin = number % max(1, len(targets))
    return [*targets[begin:], *targets[:begin]]


def seconds_within(budget_s: float, rounds: int, cases: Iterable[Case], names: Sequence[str]) -> int:
    """The longest whole seconds, which wrk counts, of a measurement so that *rounds* fit; at least 1."""
    measurements = [case for case in cases for name in names if case.has(name)]
    besides_s = ROUND_S + sum(
        FAN_OUT_S if case.kind is Kind.FAN_OUT else MEASUREMENT_S for case in measurements
    )
    return max(1, int((budget_s / rounds - besides_s) / len(measurements)))


def place_of(*, whole: bool, changed: Sequence[str]) -> Path:
    """
    Where the figures go.

    Raises:
        SystemExit: if a whole run is asked of a tree that is none that can be had again.
    """
    if whole and changed:
        sys.exit(
            f"commit first, or measure with --aside; not in the commit: {', '.join(one.strip() for one in changed)}"
        )
    return LATEST if whole else ASIDE / "latest.json"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure_round(
    results: Results, targets: Sequence[Target], cases: list[Case], seconds: float, number: int
) -> None:
    for case in cases:
        for target in targets:
            if not case.has(target.name) or results.was_skipped(case, target.name):
                continue
            try:
                results.add(case, target.name, measured(case, target, seconds, number))
            except LoadFailed as error:
                say(f"not measured: {error}")
                results.drop(case, target.name, str(error))


def measure(
    cases: list[Case],
    names: Sequence[str],
    *,
    seconds: float,
    rounds: int,
    budget_s: float,
    against: Path | None,
) -> Results:
    results = Results(about={**about(), "seconds": seconds, "before": commit(against) if against else ""})
    cores, load = results.about["cores"], results.about["load_average"]
    if too_busy(load, cores):
        say(
            f"WARNING: the load average is {load} on {cores} cores; these figures tell of the other work as well"
        )
    # The SDK and Iggy's HTTP API use the topics that bridges make, those that are not measured as well.
    started = {name for name in (*names, *IGGY.values()) if any(case.has(name) for case in cases)}
    begun_s = time.monotonic()
    done = 0
    while another_round(done, rounds, time.monotonic() - begun_s, budget_s):
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as directory,
            all_targets(Path(directory), wanted=started.__contains__, against=against) as targets,
        ):
            measured_here = [target for target in targets if target.name in names]
            measure_round(results, rotated(measured_here, done), cases, seconds, done)
        done += 1
        say(f"round {done} of {rounds}: {time.monotonic() - begun_s:.0f} s")
    results.about["rounds"] = done
    return results


def profile(case: Case, name: str, seconds: float) -> Path:
    """The server's most costly functions, by their own time, as text."""
    path = ASIDE / f"profile-{case.key}-{name.replace(' ', '-').replace(',', '')}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        raw = Path(directory) / "profile"
        around = (PYTHON, "-m", "cProfile", "-o", str(raw))
        filled = FILLED if case.kind in {Kind.READ, Kind.BULK_OUT} else 0
        with all_targets(Path(directory), wanted=name.__eq__, around=around, filled=filled) as (target,):
            run = measured(case, target, seconds, 0)
        text = StringIO()
        pstats.Stats(str(raw), stream=text).sort_stats("tottime").print_stats(PROFILE_LINES)
    told = text.getvalue().replace(f"{ROOT}/", "").replace(f"{sys.base_prefix}/", "")
    path.write_text(f"{case.title} on {name}, under cProfile: {run}\n{told}")
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--load", choices=LOADS, default="clients", help="what clients send, the same bytes always, or both")
    add("--rounds", type=int, default=10, help="measurements of each case on each target")
    add("--seconds", type=float, default=5, help="length of one measurement")
    add("--budget_s", type=float, help="shorter measurements and, if they are too long yet, fewer rounds")
    add("--against", type=Path, help="another checkout with its own .venv, whose bridges are measured too")
    keys = [case.key for case in CASES]
    add("--case", action="append", choices=keys, help="only this one (again for more), kept aside")
    names = [EMBEDDED, *IGGY.values()]
    add("--on", action="append", choices=names, help="of the bridges only this one, kept aside")
    add("--aside", action="store_true", help="keep the figures aside, in build/bench")
    add("--profile", choices=keys, help="profile the server at this case instead")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    # Ended by a signal, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    if shutil.which("wrk") is None:
        sys.exit("the load is made by wrk, which is not there: install it (apt-get install wrk)")
    if arguments.profile:
        (name,) = arguments.on or [EMBEDDED]
        say(str(profile(case_named(arguments.profile), name, PROFILE_S)))
        return
    whole = not (arguments.case or arguments.on or arguments.aside)
    against = arguments.against.resolve() if arguments.against else None
    path = place_of(whole=whole, changed=changes(ROOT, against))
    cases = [case for case in CASES if case.same in LOADS[arguments.load]]
    if arguments.case:
        cases = [case_named(key) for key in arguments.case]
    bridges = [EMBEDDED, *IGGY.values()]
    names = [*(arguments.on or bridges), BARE, *SDK.values(), IGGY_HTTP]
    names += [name + BEFORE for name in names if name in bridges and against]
    seconds = arguments.seconds
    if arguments.budget_s:
        seconds = seconds_within(arguments.budget_s, arguments.rounds, cases, names)
    results = measure(
        cases,
        names,
        seconds=seconds,
        rounds=arguments.rounds,
        budget_s=arguments.budget_s or float("inf"),
        against=against,
    )
    if whole and changes(ROOT, against):
        say("the tree has changed meanwhile: the figures are kept aside")
        path = ASIDE / "latest.json"
    write(results, path)
    say(f"\n{terminal(results)}\nwritten: {path.relative_to(ROOT)}")
    if results.skipped:
        sys.exit("some work was refused: see above")


if __name__ == "__main__":
    main()
