"""One measurement of a case on a target, each by a program of its own that makes the load (shell)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.cases import Case, Kind
from tests.bench.processes import cpu_s, forget_peak, peak_mib
from tests.bench.requests import OFFSETS, connections_of, templates
from tests.bench.results import Run
from tests.bench.targets import ROOT, Target

__all__ = ("LoadFailed", "command_of", "measured", "pool_file", "read_report", "requests_max")

SCRIPT: Final = Path(__file__).with_name("load.lua")
EXTRA_S: Final = 30
SAID_CHARS_MAX: Final = 200
#: Bounds on what a second of one measurement may do: five times what two cores of 2026 do.
MESSAGES_PER_S_MAX: Final = 5_000_000
REQUESTS_PER_S_MAX: Final = 250_000


class LoadFailed(RuntimeError):
    """The target refused or broke off some of the work."""


def requests_max(case: Case, seconds: float) -> int:
    return max(1, int(min(REQUESTS_PER_S_MAX, MESSAGES_PER_S_MAX / case.messages) * seconds))


def pool_file(case: Case, target: Target) -> Path:
    """The requests of *case* in a file, each behind its length."""
    path = target.directory / f"{case.key}-{target.port}.pool"
    if not path.exists():
        host = f"127.0.0.1:{target.port}"
        made = templates(case, target.dialect, host, target.headers, target.topic)
        path.write_bytes(b"".join(b"%d\n%b" % (len(one), one) for one in made))
    return path


def command_of(case: Case, target: Target, seconds: float) -> list[str]:
    headers = [f"{name}: {value}" for name, value in target.headers.items()]
    most = str(requests_max(case, seconds))
    if case.kind is Kind.FAN_OUT:
        pids = ",".join(map(str, target.pids))
        made = [
            str(target.port),
            pids,
            str(case.connections),
            str(seconds),
            target.behind or "-",
            target.topic,
        ]
        return [sys.executable, "-m", "tests.bench.fanout", *made, *headers]
    if target.address:
        made = [target.address, target.topic, case.key, str(seconds), most]
        return [sys.executable, "-m", "tests.bench.straight", *made]
    if case.kind in {Kind.BULK_IN, Kind.BULK_OUT}:
        made = [str(target.port), case.key, str(seconds), most, *headers]
        return [sys.executable, "-m", "tests.bench.bulk", *made]
    # wrk counts whole seconds.
    connections = connections_of(case, target.dialect)
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    return ["wrk", *options, "-s", str(SCRIPT), f"http://127.0.0.1:{target.port}"]


def read_report(output: str) -> dict[str, float]:
    """The one line of figures that every load program prints; wrk prints more around it."""
    (line,) = [one for one in output.splitlines() if one.startswith("REPORT ")]
    report: dict[str, float] = json.loads(line.removeprefix("REPORT "))
    return report


def _loaded(case: Case, target: Target, seconds: float, environ: dict[str, str]) -> dict[str, float]:
    name = f"{case.key} on {target.name}"
    try:
        done = subprocess.run(
            command_of(case, target, seconds),
            check=True,
            capture_output=True,
            timeout=seconds + EXTRA_S,
            env={**os.environ, **environ},
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{name}: not done {EXTRA_S} s after its time") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise LoadFailed(f"{name}: {said[-1][:SAID_CHARS_MAX] if said else error.returncode}") from None
    report = read_report(done.stdout.decode())
    if report["refused"] or report["broken"] or not report["requests"]:
        raise LoadFailed(f"{name}: {report}")
    if case.kind is not Kind.FAN_OUT and report["requests"] >= requests_max(case, seconds):
        raise LoadFailed(f"{name}: {requests_max(case, seconds)} requests are the most")
    return report


def measured(case: Case, target: Target, seconds: float, number: int) -> Run:
    """
    Args:
        number: of the round, so that what one sends differs from what the one before did.

    Raises:
        LoadFailed: if an answer was none of 2xx, a connection broke, a reader did not get every message once, nothing was
            answered, or the bound ended it.
    """
    environ = {
        "BENCH_REQUESTS_MAX": str(requests_max(case, seconds)),
        "BENCH_OFFSETS": str(OFFSETS),
        "BENCH_SEED": str(number * 1000),
    }
    if target.pids and case.kind in {Kind.SEND, Kind.READ}:
        environ["BENCH_POOL"] = str(pool_file(case, target))
    before = {pid: cpu_s(pid) for pid in target.pids}
    if target.pids:
        forget_peak(target.pids[0])
    report = _loaded(case, target, seconds, environ)
    spent_s = [cpu_s(pid) - begun_s for pid, begun_s in before.items()]
    requests = report["requests"]
    own_s = report["cpu_s"] if "cpu_s" in report else spent_s.pop(0)
    iggy_s = report["iggy_cpu_s"] if "iggy_cpu_s" in report else sum(spent_s)
    fan_out = ("around_p50_us", "around_p99_us", "reader_kib")
    return Run(
        requests_per_s=round(requests / report["seconds"], 2),
        p50_us=round(report["p50_us"]),
        p99_us=round(report["p99_us"]),
        cpu_ms_per_1000=round(own_s * 1e6 / requests, 3),
        iggy_cpu_ms_per_1000=round(iggy_s * 1e6 / requests, 3),
        peak_mib=round(report["peak_mib"] if "peak_mib" in report else peak_mib(target.pids[0]), 1),
        **{name: round(report[name]) for name in fan_out if name in report},
    )
