"""One measurement of a case on a target, each by a program of its own that makes the load (shell)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.cases import CASES, Case, Kind
from tests.bench.processes import cpu_s, forget_peak, peak_mib
from tests.bench.requests import FILLED, Request, connections_of, request_of
from tests.bench.results import FanOut, Latency, Run
from tests.bench.targets import Target

__all__ = (
    "LATENCY_CONNECTIONS",
    "ROOT",
    "LoadFailed",
    "command_of",
    "measured",
    "measured_fan_out",
    "measured_latency",
    "read_report",
    "requests_max",
    "tool",
)

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPT: Final = Path(__file__).with_name("load.lua")
EXTRA_S: Final = 30
SAID_CHARS_MAX: Final = 200
#: Bounds on what one measurement may do, whatever the machine: five times what two cores of 2026 do in a second.
MESSAGES_MAX: Final = 20_000_000
REQUESTS_MAX: Final = 500_000
#: Below the 32 writes in flight that Iggy's HTTP API takes.
LATENCY_CONNECTIONS: Final = 30


class LoadFailed(RuntimeError):
    """The target refused or broke off some of the work."""


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "tests.bench.client"


def requests_max(case: Case) -> int:
    return min(REQUESTS_MAX, max(1, MESSAGES_MAX // case.messages))


def command_of(case: Case, target: Target, request: Request, seconds: float) -> list[str]:
    headers = [f"{name}: {value}" for name, value in target.headers.items()]
    connections = str(connections_of(case, target.dialect))
    if case.kind is Kind.FAN_OUT:
        pids = ",".join(map(str, target.pids))
        made = [str(target.port), pids, connections, str(seconds), target.behind or "-", target.topic]
        return [sys.executable, "-m", "tests.bench.fanout", *made, *headers]
    if target.address:
        made = [target.address, target.topic, case.key, str(seconds), str(requests_max(case))]
        return [sys.executable, "-m", "tests.bench.straight", *made]
    if case.kind in {Kind.BULK_IN, Kind.BULK_OUT}:
        made = [str(target.port), case.key, str(seconds), str(requests_max(case)), *headers]
        return [sys.executable, "-m", "tests.bench.bulk", *made]
    if tool() == "wrk":
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        named = [part for header in headers for part in ("-H", header)]
        return ["wrk", *options, *named, "-s", str(SCRIPT), f"http://127.0.0.1:{target.port}{request.path}"]
    made = [
        str(target.port),
        request.method,
        request.path,
        connections,
        str(seconds),
        str(requests_max(case)),
    ]
    return [sys.executable, "-m", "tests.bench.client", *made, *headers]


def read_report(output: str) -> dict[str, float]:
    """The one line of figures that every load program prints; wrk prints more around it."""
    (line,) = [one for one in output.splitlines() if one.startswith("REPORT ")]
    report: dict[str, float] = json.loads(line.removeprefix("REPORT "))
    return report


def _loaded(
    name: str, command: list[str], request: Request, seconds: float, environ: dict[str, str]
) -> dict[str, float]:
    with tempfile.NamedTemporaryFile(prefix="bench-body-") as body:
        body.write(request.body)
        body.flush()
        body.seek(0)
        try:
            done = subprocess.run(
                command,
                check=True,
                capture_output=True,
                stdin=body,
                timeout=seconds + EXTRA_S,
                env={**os.environ, "BENCH_BODY": body.name, **environ},
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
    return report


def measured(case: Case, target: Target, seconds: float) -> Run:
    """
    Raises:
        LoadFailed: if an answer was none of 2xx, a connection broke, nothing was answered, or the bound ended it.
    """
    request = request_of(case, target.dialect, topic=target.topic)
    environ = {
        "BENCH_METHOD": request.method,
        "BENCH_REQUESTS_MAX": str(requests_max(case)),
        "BENCH_OFFSETS": str(FILLED - case.messages + 1),
    }
    before = {pid: cpu_s(pid) for pid in target.pids}
    if target.pids:
        forget_peak(target.pids[0])
    name = f"{case.key} on {target.name}"
    report = _loaded(name, command_of(case, target, request, seconds), request, seconds, environ)
    spent_s = [cpu_s(pid) - begun_s for pid, begun_s in before.items()]
    requests = report["requests"]
    if requests >= requests_max(case):
        raise LoadFailed(f"{name}: {requests_max(case)} requests are the most; take fewer seconds")
    own_s = report["cpu_s"] if "cpu_s" in report else spent_s.pop(0)
    return Run(
        requests_per_s=round(requests / report["seconds"], 2),
        p50_us=int(report["p50_us"]),
        p99_us=int(report["p99_us"]),
        cpu_ms_per_1000=round(own_s * 1e6 / requests, 1),
        iggy_cpu_ms_per_1000=round(sum(spent_s) * 1e6 / requests, 1),
        peak_mib=round(report["peak_mib"] if "peak_mib" in report else peak_mib(target.pids[0]), 1),
    )


def measured_fan_out(case: Case, target: Target, seconds: float) -> tuple[Run, FanOut]:
    """
    A thousand event streams: what they cost while they wait, how long messages take, and a flood of *seconds*.

    Raises:
        LoadFailed: as `measured`; also if a reader did not get every message once.
    """
    nothing = Request("GET", "", b"")
    forget_peak(target.pids[0])
    command = command_of(case, target, nothing, seconds)
    report = _loaded(f"{case.key} on {target.name}", command, nothing, seconds, {})
    deliveries = report["requests"]
    run = Run(
        requests_per_s=round(deliveries / report["seconds"], 2),
        p50_us=int(report["p50_us"]),
        p99_us=int(report["p99_us"]),
        cpu_ms_per_1000=round(report["cpu_s"] * 1e6 / deliveries, 3),
        iggy_cpu_ms_per_1000=round(report["iggy_cpu_s"] * 1e6 / deliveries, 3),
        peak_mib=round(peak_mib(target.pids[0]), 1),
    )
    around = (int(report["around_p50_us"]), int(report["around_p99_us"]))
    return run, FanOut(*around, round(report["reader_kib"], 1))


def measured_latency(target: Target, rate: float, seconds: float) -> Latency:
    """
    One event in each request, at *rate* a second whatever the answers do.

    Raises:
        LoadFailed: as `measured`; also if some answers had not come 5 s after the last request.
    """
    request = request_of(CASES[0], target.dialect, topic=target.topic)
    headers = [f"{name}: {value}" for name, value in target.headers.items()]
    made = [str(target.port), str(rate), str(seconds), str(LATENCY_CONNECTIONS), request.method, request.path]
    command = [sys.executable, "-m", "tests.bench.latency", *made, *headers]
    report = _loaded(f"latency of {target.name}", command, request, seconds, {})
    return Latency(*(int(report[name]) for name in Latency._fields))
