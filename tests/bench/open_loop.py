"""An open-loop client: requests leave at a fixed rate whatever becomes of those before them.

A closed loop (wrk) slows down with the server and so hides how long callers would have waited. Here each request has the
moment at which it should leave, and its latency counts from there. Where every connection is taken a request waits for one, at most
`WAITING_MAX` do; more are counted as `unsent`. Probes are asked by a process of their own, which nothing here delays.

    python -m tests.bench.open_loop --port 8000 --rate 20000 --connections 640 --seconds 5
"""

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from tests.bench.requests import event_json

WAITING_MAX = 20_000
CONNECT_AT_ONCE = 64
TICK_S = 0.002
PROBE_INTERVAL_S = 0.01
SETTLE_S = 2.0


def request_bytes(*, batch: int) -> bytes:
    """One POST of a message, or of a batch of so many."""
    path, body = "/messages", b'{"event":%s}' % event_json(0)
    if batch > 1:
        path, body = "/messages/batch", b'{"events":[%s]}' % b",".join(map(event_json, range(batch)))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Figures:
    """What came back: latencies in seconds by status."""

    latency_s: dict[int, list[float]] = field(default_factory=dict)
    unsent: int = 0
    broken: int = 0

    def table(self, seconds: float) -> dict[str, Any]:
        answers = {str(status): len(each) for status, each in sorted(self.latency_s.items())}
        good = [each for status, some in self.latency_s.items() if status < 300 for each in some]
        refused = [each for status, some in self.latency_s.items() if status in (429, 503) for each in some]
        return {
            "answers": answers,
            "goodput_per_s": round(len(good) / seconds),
            "refused_per_s": round(len(refused) / seconds),
            "good_ms": percentiles_ms(good),
            "refused_ms": percentiles_ms(refused),
            "unsent": self.unsent,
            "broken": self.broken,
        }


def percentiles_ms(values_s: list[float]) -> dict[str, float] | None:
    if not values_s:
        return None
    ordered = sorted(values_s)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


class Caller(asyncio.Protocol):
    """One connection with one request in flight at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due_s: float) -> None:
        self._due_s = due_s
        if self._transport is not None:
            self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = buffer
            return
        length_at = buffer.lower().find(b"content-length: ", 0, head_end)
        length = int(buffer[length_at + 16 : buffer.index(b"\r", length_at)])
        if len(buffer) < head_end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self._load.answered(self, int(buffer[9:12]), self._due_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio calls it)
        self._load.lost(self)


class Load:
    """Requests at *rate* a second over *connections* for *seconds*."""

    def __init__(self, *, port: int, rate: float, connections: int, seconds: float, batch: int) -> None:
        self.request = request_bytes(batch=batch)
        self.figures = Figures()
        self._port = port
        self._rate = rate
        self._connections = connections
        self._seconds = seconds
        self._free: deque[Caller] = deque()
        self._due: deque[float] = deque()

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for start in range(0, self._connections, CONNECT_AT_ONCE):
            made = await asyncio.gather(
                *(
                    loop.create_connection(lambda: Caller(self), "127.0.0.1", self._port)
                    for _ in range(min(CONNECT_AT_ONCE, self._connections - start))
                )
            )
            self._free.extend(protocol for _, protocol in made)
        begun_s = time.perf_counter()
        sent = 0
        while (elapsed_s := time.perf_counter() - begun_s) < self._seconds:
            for number in range(sent, int(elapsed_s * self._rate)):
                self._take(begun_s + number / self._rate)
            sent = max(sent, int(elapsed_s * self._rate))
            await asyncio.sleep(TICK_S)
        self.figures.unsent += len(self._due)
        self._due.clear()
        done = self.figures.table(self._seconds)
        await asyncio.sleep(SETTLE_S)
        return {"offered_per_s": round(sent / self._seconds), **done}

    def _take(self, due_s: float) -> None:
        if self._free:
            self._free.popleft().send(due_s)
        elif len(self._due) < WAITING_MAX:
            self._due.append(due_s)
        else:
            self.figures.unsent += 1

    def answered(self, caller: Caller, status: int, due_s: float) -> None:
        self.figures.latency_s.setdefault(status, []).append(time.perf_counter() - due_s)
        if self._due:
            caller.send(self._due.popleft())
        else:
            self._free.append(caller)

    def lost(self, caller: Caller) -> None:
        self.figures.broken += 1
        if caller in self._free:
            self._free.remove(caller)


def probe(port: int, seconds: float) -> dict[str, Any]:
    """How long `/health` and `/ready` take, asked in turn on one connection."""
    latencies_s: list[float] = []
    wrong = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ends_s = time.perf_counter() + seconds
    while (begun_s := time.perf_counter()) < ends_s:
        connection.request("GET", "/ready" if len(latencies_s) % 2 else "/health")
        answer = connection.getresponse()
        answer.read()
        wrong += answer.status != 200
        latencies_s.append(time.perf_counter() - begun_s)
        time.sleep(PROBE_INTERVAL_S)
    connection.close()
    return {"probes": len(latencies_s), "probe_wrong": wrong, "probe_ms": percentiles_ms(latencies_s)}


def measure(*, port: int, rate: float, connections: int, seconds: float, batch: int = 1) -> dict[str, Any]:
    """One run, with probes beside it."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.open_loop",
        "--port",
        str(port),
        "--seconds",
        str(seconds),
        "--probe",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as probes:
        load = Load(port=port, rate=rate, connections=connections, seconds=seconds, batch=batch)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(load.run())
        told, _ = probes.communicate(timeout=60)
    return {**figures, **json.loads(told)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--probe", action="store_true", help="only ask the probes")
    given = parser.parse_args()
    if given.probe:
        told = probe(given.port, given.seconds)
    else:
        told = measure(
            port=given.port,
            rate=given.rate,
            connections=given.connections,
            seconds=given.seconds,
            batch=given.batch,
        )
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
