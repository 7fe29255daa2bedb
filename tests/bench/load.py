"""One measurement: a case against a port, by wrk where it is installed, else by a client of our own (shell)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.cases import Case

__all__ = ("Figure", "percentile_us", "run_load", "tool")

SCRIPT: Final = Path(__file__).with_name("load.lua")
EXTRA_S: Final = 30


class Figure(NamedTuple):
    """What one run gave; *refused* counts answers other than 2xx and 3xx, *broken* connections that failed."""

    requests_per_s: float
    p50_us: int
    p99_us: int
    refused: int
    broken: int


def percentile_us(ordered: Sequence[int], percent: int) -> int:
    """Nearest rank; 0 of nothing."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "tests.bench.client"


def run_load(case: Case, port: int, seconds: float) -> Figure:
    with tempfile.NamedTemporaryFile(prefix="bench-body-") as body:
        body.write(case.body)
        body.flush()
        body.seek(0)
        if tool() == "wrk":
            url = f"http://127.0.0.1:{port}{case.path}"
            options = ["-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
            command = ["wrk", *options, "-s", str(SCRIPT), url]
        else:
            numbers = [str(case.connections), str(seconds)]
            command = [
                sys.executable,
                "-m",
                "tests.bench.client",
                str(port),
                case.method,
                case.path,
                *numbers,
            ]
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            stdin=body,
            timeout=seconds + EXTRA_S,
            env={
                **os.environ,
                "BENCH_METHOD": case.method,
                "BENCH_BODY": body.name if case.body else "",
            },
            cwd=Path(__file__).parents[2],
        )
    (line,) = [one for one in done.stdout.decode().splitlines() if one.startswith("REPORT ")]
    report = json.loads(line.removeprefix("REPORT "))
    return Figure(
        report["requests"] / report["seconds"],
        report["p50_us"],
        report["p99_us"],
        report["refused"],
        report["broken"],
    )
