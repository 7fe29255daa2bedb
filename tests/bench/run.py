"""
How fast the bridge is, as ratios to a bare aiohttp handler in the same run on the same machine (shell).

    python -m tests.bench.run [--quick] [--seconds 1] [--rounds 5]
    python -m tests.bench.run --profile post-64 [--on "Iggy, replicated"]

Rounds are interleaved over all targets, so that whatever else the machine does falls on each of them alike. Every
answer must be 2xx. Loopback only; ends by itself: within six minutes, with --quick within ninety seconds.
"""

import argparse
import json
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Final

from tests.bench.cases import CASES, EMBEDDED, IGGY, Case, Dialect, Kind, case_named
from tests.bench.load import ROOT, LoadFailed, measured, measured_fan_out, measured_latency
from tests.bench.machine import about, too_busy
from tests.bench.report import LATEST, terminal, write
from tests.bench.results import Results, Skipped
from tests.bench.targets import Target, all_targets

__all__ = ("another_round",)

#: Where everything goes that is not the last full run; git ignores it.
ASIDE: Final = ROOT / "build" / "bench"
#: For rounds; the rest of a run takes half a minute.
ROUNDS_S_MAX: Final = 320.0
LATENCY: Final = "latency"
LATENCY_RATE: Final = 2000
MIDDLEWARE_S_MAX: Final = 60
PROFILE_LINES: Final = 40
#: Enough that the start of the process is not among the most costly.
PROFILE_S: Final = 8.0


def another_round(done: int, wanted: int, took_s: float) -> bool:
    """Whether there is time for one more, if it takes as long as those before."""
    return done < wanted and (done == 0 or took_s * (done + 1) / done <= ROUNDS_S_MAX)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure_round(results: Results, targets: tuple[Target, ...], cases: list[Case], seconds: float) -> None:
    skipped = {(one.case, one.target) for one in results.skipped}
    for case in cases:
        for target in targets:
            if target.name not in case.targets or (case.key, target.name) in skipped:
                continue
            try:
                if case.kind is Kind.FAN_OUT:
                    run, extra = measured_fan_out(case, target, seconds)
                    results.fan_outs.setdefault(target.name, []).append(extra)
                else:
                    run = measured(case, target, seconds)
            except LoadFailed as error:
                say(f"not measured: {error}")
                results.drop(case, target.name, str(error))
            else:
                results.runs.setdefault((case.key, target.name), []).append(run)


def measure_latencies(results: Results, targets: tuple[Target, ...], seconds: float) -> None:
    skipped = {one.target for one in results.skipped if one.case == LATENCY}
    for target in targets:
        if target.dialect is Dialect.SDK or target.name in skipped:
            continue
        try:
            latency = measured_latency(target, LATENCY_RATE, seconds)
        except LoadFailed as error:
            say(f"not measured: {error}")
            results.latencies.pop(target.name, None)
            results.skipped.append(Skipped(LATENCY, target.name, str(error)))
        else:
            results.latencies.setdefault(target.name, []).append(latency)


def middleware_us() -> dict[str, float]:
    """In a process of its own, since it sets up logging for all of one."""
    command = [sys.executable, "-m", "tests.bench.middleware_costs"]
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=MIDDLEWARE_S_MAX, cwd=ROOT
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        say(f"not measured: the cost of each middleware ({type(error).__name__})")
        return {}
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(cases: list[Case], seconds: float, rounds: int, *, middleware: bool) -> Results:
    results = Results(about={**about(), "seconds": seconds, "latency_rate": LATENCY_RATE})
    cores, load = results.about["cores"], results.about["load_average"]
    if too_busy(load, cores):
        say(
            f"WARNING: the load average is {load} on {cores} cores; these figures tell of the other work as well"
        )
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, all_targets(Path(directory)) as targets:
        begun_s = time.monotonic()
        done = 0
        while another_round(done, rounds, time.monotonic() - begun_s):
            measure_round(results, targets, cases, seconds)
            if CASES[0] in cases:
                measure_latencies(results, targets, seconds)
            done += 1
            say(f"round {done} of {rounds}: {time.monotonic() - begun_s:.0f} s")
    results.about["rounds"] = done
    if middleware:
        results.middleware_us.update(middleware_us())
    return results


def profile(case: Case, name: str, seconds: float) -> Path:
    """The server's most costly functions, by their own time, as text."""
    path = ASIDE / f"profile-{case.key}-{name.replace(' ', '-').replace(',', '')}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        raw = Path(directory) / "profile"
        filled = case.kind in {Kind.READ, Kind.BULK_OUT}
        with all_targets(Path(directory), {name: raw}, filled=filled) as (target,):
            run = (measured_fan_out if case.kind is Kind.FAN_OUT else measured)(case, target, seconds)
        text = StringIO()
        pstats.Stats(str(raw), stream=text).sort_stats("tottime").print_stats(PROFILE_LINES)
    told = text.getvalue().replace(f"{ROOT}/", "").replace(f"{sys.base_prefix}/", "")
    path.write_text(f"{case.title} on {name}, under cProfile: {run}\n{told}")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second, kept aside")
    parser.add_argument("--seconds", type=float, default=1, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case on each target")
    keys = [case.key for case in CASES]
    parser.add_argument(
        "--case", action="append", choices=keys, help="only this one (again for more), kept aside"
    )
    parser.add_argument("--profile", choices=keys, help="profile the server at this case instead")
    parser.add_argument(
        "--on", choices=(EMBEDDED, *IGGY.values()), default=IGGY["replicated"], help="the target to profile"
    )
    arguments = parser.parse_args()
    # Ended by a signal, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    if arguments.profile:
        say(str(profile(case_named(arguments.profile), arguments.on, PROFILE_S)))
        return
    cases = [case_named(key) for key in arguments.case] if arguments.case else list(CASES)
    seconds, rounds = (1.0, 1) if arguments.quick else (arguments.seconds, arguments.rounds)
    whole = not (arguments.quick or arguments.case)
    results = measure(cases, seconds, rounds, middleware=whole)
    path = LATEST if whole else ASIDE / "latest.json"
    write(results, path)
    say(f"\n{terminal(results)}\nwritten: {path.relative_to(ROOT)} and its picture")
    if results.skipped:
        sys.exit("some work was refused: see above")


if __name__ == "__main__":
    main()
