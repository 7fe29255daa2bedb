"""
What attackers cost those who mean well: the same normal traffic without and with them, in one run (shell).

    python -m tests.bench.attacks [--seconds 20] [--clients 1000] [--kind "slow heads" ...]

Normal traffic is events sent at a steady pace, and probes; each is timed from outside, by a process of its own. Of the bridge:
its resident memory, and the delay of its event loop by its own metric (`docs/metrics.md`), as the upper bound of the bucket
in which the 99th percentile lies. The last part is ten times as many callers as what the rate no longer grows with.
Loopback only; each part is as long as it is told and ends by itself.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.attackers import KINDS, PARTS
from tests.bench.cases import EMBEDDED, case_named
from tests.bench.load import command_of, pool_file, read_report, requests_max
from tests.bench.processes import forget_peak, peak_mib
from tests.bench.requests import OFFSETS
from tests.bench.samples import percentile
from tests.bench.targets import ROOT, Target, all_targets
from tests.support.events import generic_event
from tests.support.raw_http import RawConnection, request_bytes

__all__ = ("Figures", "lag_ms", "table")

CALLERS: Final = 10
PACE_S: Final = 0.1
PROBE_PACE_S: Final = 0.05
PROBES: Final = ("/health", "/ready")
EVENT: Final = json.dumps({"event": generic_event({"n": 1})})
PEAK_CONNECTIONS: Final = 64
OVERLOAD_TIMES: Final = 10
SETTLE_S: Final = 2.0
LAG: Final = "bridge_event_loop_lag_seconds_bucket{le="
NOBODY: Final = "nobody else"


class Figures(NamedTuple):
    """
    Of one part.

    Attributes:
        event_ms, health_ms, ready_ms: 99th percentiles; of events only those that were taken.
        late_ms: by which this program itself came late, likewise: so much of them is the machine's.
        lag_ms: of the bridge's event loop, likewise.
        mib: the most resident memory.
        answers: to events, by status.
        unadvised: refusals without `Retry-After`.
        goodput: of the load beside it, requests taken in a second; 0 where there was none.
    """

    event_ms: float
    health_ms: float
    ready_ms: float
    late_ms: float
    lag_ms: float
    mib: float
    answers: dict[int, int]
    unadvised: int
    goodput: float = 0


def lag_ms(before: str, after: str, quantile: float = 0.99) -> float:
    """The upper bound, in ms, of the bucket in which *quantile* of what came between two scrapes lies."""
    counts = [
        {
            line[len(LAG) + 1 :].partition('"')[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith(LAG)
        }
        for text in (before, after)
    ]
    grown = {bound: count - counts[0].get(bound, 0) for bound, count in counts[1].items()}
    total = grown["+Inf"]
    return next(float(bound) * 1000 for bound, count in grown.items() if count >= quantile * total)


class Traffic:
    """Normal traffic, for so many seconds."""

    def __init__(self, target: Target, seconds: float) -> None:
        self._port = target.port
        lines = [f"{name}: {value}" for name, value in target.headers.items()]
        self._event = request_bytes(
            "POST", "/messages", "Content-Type: application/json", *lines, body=EVENT.encode()
        )
        self._until_s = time.monotonic() + seconds
        self.answers: Counter[int] = Counter()
        self.unadvised = 0
        self.late_us: list[int] = []
        self.waits_us: dict[str, list[int]] = {"event": [], **{path: [] for path in PROBES}}

    async def _repeated(self, name: str, data: bytes, pace_s: float) -> None:
        connection = await RawConnection.open(self._port)
        while time.monotonic() < self._until_s:
            begun_s = time.monotonic()
            await connection.send(data)
            answer = await connection.answer()
            took_s = time.monotonic() - begun_s
            if name == "event":
                self.answers[answer.status] += 1
                self.unadvised += answer.status in {429, 503} and not answer.header("Retry-After")
            if name != "event" or answer.status == http.client.CREATED:
                self.waits_us[name].append(round(took_s * 1e6))
            rest_s = max(0, pace_s - took_s)
            due_s = time.monotonic() + rest_s
            await asyncio.sleep(rest_s)
            self.late_us.append(round((time.monotonic() - due_s) * 1e6))
        connection.close()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                await asyncio.sleep(PACE_S / CALLERS * (number > 0))
                group.create_task(self._repeated("event", self._event, PACE_S))
            for path in PROBES:
                group.create_task(self._repeated(path, request_bytes("GET", path), PROBE_PACE_S))


def _scraped(target: Target) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers=dict(target.headers))
        return connection.getresponse().read().decode()


def measured(target: Target, seconds: float) -> Figures:
    """Of normal traffic, beside whatever else goes on."""
    forget_peak(target.pids[0])
    before = _scraped(target)
    traffic = Traffic(target, seconds)
    asyncio.run(traffic.run())
    p99_ms = {name: percentile(sorted(waits), 99) / 1000 for name, waits in traffic.waits_us.items()}
    return Figures(
        event_ms=p99_ms["event"],
        health_ms=p99_ms["/health"],
        ready_ms=p99_ms["/ready"],
        late_ms=percentile(sorted(traffic.late_us), 99) / 1000,
        lag_ms=lag_ms(before, _scraped(target)),
        mib=peak_mib(target.pids[0]),
        answers=dict(traffic.answers),
        unadvised=traffic.unadvised,
    )


@contextlib.contextmanager
def attacked(target: Target, kind: str, count: int) -> Iterator[None]:
    """From when all attackers are there until they are gone."""
    lines = [f"{name}: {value}" for name, value in target.headers.items()]
    command = [sys.executable, "-m", "tests.bench.attackers", str(target.port), kind, str(count), *lines]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as attackers:
        if attackers.stdin is None or attackers.stdout is None or attackers.stdout.readline() != b"ready\n":
            raise RuntimeError(f"no attackers: {kind}")
        yield
        attackers.stdin.close()
        attackers.wait(30)


def beside_load(target: Target, connections: int, seconds: float) -> Figures:
    """Of normal traffic beside *connections* that send as fast as they are answered."""
    case = case_named("post-64")._replace(connections=connections)
    environ = {
        "BENCH_REQUESTS_MAX": str(requests_max(case, seconds)),
        "BENCH_OFFSETS": str(OFFSETS),
        "BENCH_SEED": str(connections),
        "BENCH_POOL": str(pool_file(case, target)),
    }
    command = command_of(case, target, seconds + 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environ}, cwd=ROOT) as load:
        figures = measured(target, seconds)
        output, _ = load.communicate(timeout=seconds + 60)
    report = read_report(output.decode())
    return figures._replace(goodput=(report["requests"] - report["refused"]) / report["seconds"])


def parts(
    target: Target, kinds: Sequence[str], clients: int, seconds: float
) -> Iterator[tuple[str, Figures]]:
    """Each attack has its quiet part just before it: whatever else the machine does falls on both alike."""
    for kind in kinds:
        yield NOBODY, measured(target, seconds)
        with attacked(target, kind, PARTS if kind == "bad inputs" else clients):
            yield kind, measured(target, seconds)
        time.sleep(SETTLE_S)
    for connections in (PEAK_CONNECTIONS, OVERLOAD_TIMES * PEAK_CONNECTIONS):
        yield f"{connections} callers", beside_load(target, connections, seconds)
        time.sleep(SETTLE_S)


def table(rows: Sequence[tuple[str, Figures]]) -> str:
    """Markdown."""
    head = "| beside | event p99 ms (ratio) | /health, /ready p99 ms | own delay p99 ms | loop lag p99 ms | RSS MiB | taken/s | answers |"
    lines = [head, "| --- " * 8 + "|"]
    alone_ms = 0.0
    for name, each in rows:
        alone_ms = each.event_ms if name == NOBODY else alone_ms
        ratio = each.event_ms / alone_ms
        lines.append(
            f"| {name} | {each.event_ms:.1f} ({ratio:.2f}) | {each.health_ms:.1f}, {each.ready_ms:.1f} | {each.late_ms:.1f} | {each.lag_ms:.0f} | "
            f"{each.mib:.0f} | {each.goodput:.0f} | {each.answers}, without Retry-After {each.unadvised} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this one (again for more)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        all_targets(Path(directory), wanted=EMBEDDED.__eq__) as (target,),
    ):
        rows = []
        for row in parts(target, arguments.kind or list(KINDS), arguments.clients, arguments.seconds):
            rows.append(row)
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
    sys.stdout.write(f"\n{table(rows)}\n")


if __name__ == "__main__":
    main()
