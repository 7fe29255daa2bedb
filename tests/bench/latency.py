"""
Latency at a fixed rate (shell): requests leave at times set beforehand, and each answer's time counts from then.

    python -m tests.bench.latency PORT RATE SECONDS CONNECTIONS METHOD PATH [HEADER ...] < body

A closed loop waits for a slow server before it asks again and so never sees the wait of those who would have asked
meanwhile (coordinated omission); wrk is one. Here a request that is due while all connections are busy waits, and its
wait counts. `select` and not asyncio, whose timers are whole milliseconds: longer than the answer takes.
"""

import select
import socket
import sys
import time
from collections import deque
from typing import Final

from tests.bench.client import request_bytes
from tests.bench.samples import percentile, report_line

__all__ = ("Schedule", "complete")

#: For answers that are still out when the last request has left.
DRAIN_S: Final = 5.0
READ_BYTES: Final = 65536
_HEAD_END: Final = b"\r\n\r\n"


class Schedule:
    """
    When requests are due: evenly, the first at once. Times in seconds of one clock.

    Attributes:
        count: requests in all.
    """

    def __init__(self, begun_s: float, rate: float, count: int) -> None:
        self._begun_s, self._rate, self.count = begun_s, rate, count
        self._taken = 0

    @property
    def next_s(self) -> float | None:
        """When the next one is due; None after the last."""
        return self._begun_s + self._taken / self._rate if self._taken < self.count else None

    def take(self, now_s: float) -> list[float]:
        """The times of all that are due by *now_s* and were not taken before."""
        due = []
        while (next_s := self.next_s) is not None and next_s <= now_s:
            due.append(next_s)
            self._taken += 1
        return due


def complete(answer: bytes) -> bool:
    """Whether *answer* holds a whole response that says its length."""
    head, end, body = answer.partition(_HEAD_END)
    return bool(end) and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])


class Load:
    """Connections with one request each at most; *waiting* holds the due times of those that have none."""

    def __init__(self, port: int, connections: int, request: bytes) -> None:
        self._request = request
        self._idle = deque(self._connected(port) for _ in range(connections))
        self._due_s: dict[socket.socket, float] = {}
        self._got: dict[socket.socket, bytes] = {}
        self.waiting: deque[float] = deque()
        self.times_us: list[int] = []
        self.refused = 0

    @staticmethod
    def _connected(port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=DRAIN_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    @property
    def outstanding(self) -> int:
        return len(self._due_s) + len(self.waiting)

    def close(self) -> None:
        for connection in (*self._idle, *self._due_s):
            connection.close()

    def send(self) -> None:
        """What waits, as long as there are connections for it."""
        while self.waiting and self._idle:
            connection = self._idle.popleft()
            self._due_s[connection] = self.waiting.popleft()
            self._got[connection] = b""
            connection.sendall(self._request)

    def receive(self, until_s: float) -> None:
        """Take in the answers that come by then; return at the first of them."""
        wait_s = min(DRAIN_S, max(0.0, until_s - time.perf_counter()))
        readable, _, _ = select.select(list(self._due_s), [], [], wait_s)
        for connection in readable:
            part = connection.recv(READ_BYTES)
            if not part:
                raise ConnectionResetError("the server closed a connection")
            self._got[connection] += part
            if complete(self._got[connection]):
                self.times_us.append(round((time.perf_counter() - self._due_s.pop(connection)) * 1e6))
                self.refused += not self._got.pop(connection).startswith(b"HTTP/1.1 2")
                self._idle.append(connection)


def main(port: str, rate: str, seconds: str, connections: str, method: str, path: str, *headers: str) -> None:
    request = request_bytes(method, path, int(port), sys.stdin.buffer.read(), list(headers))
    load = Load(int(port), int(connections), request)
    begun_s = time.perf_counter()
    schedule = Schedule(begun_s, float(rate), int(float(rate) * float(seconds)))
    last_s = begun_s + float(seconds) + DRAIN_S
    while (now_s := time.perf_counter()) < last_s:
        load.waiting.extend(schedule.take(now_s))
        load.send()
        next_s = schedule.next_s
        if next_s is None and not load.outstanding:
            break
        load.receive(last_s if next_s is None else next_s)
    took_s = time.perf_counter() - begun_s
    load.close()
    times = sorted(load.times_us)
    sys.stdout.write(
        report_line(
            requests=len(times),
            seconds=took_s,
            refused=load.refused,
            broken=schedule.count - len(times),
            p50_us=percentile(times, 50),
            p99_us=percentile(times, 99),
            p999_us=percentile(times, 99.9),
            most_us=times[-1] if times else 0,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
