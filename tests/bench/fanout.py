"""
One topic, many readers by server-sent events (shell).

    python -m tests.bench.fanout PORT PIDS READERS SECONDS ADDRESS TOPIC [HEADER ...]

Readers come, and what they cost while nothing happens is the growth of the server's resident memory; then a flood of single
POSTs, counted until the last reader has the last event; then paced messages, each timed from its acknowledgement to
every reader, sent through the bridge and, where ADDRESS is one of Iggy and no `-`, straight to Iggy. PIDS are the bridge's and,
after a comma, Iggy's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.fanout_readers import Readers
from tests.bench.processes import cpu_s, rss_kib
from tests.bench.samples import percentile, report_line
from tests.bench.targets import ROOT

__all__ = ("waits_us",)

FLOOD_CONNECTIONS: Final = 16
PACED_RATE: Final = 20.0
PACED_COUNT: Final = 24
#: For the last of the events to reach the last of the readers.
SETTLE_S: Final = 20.0
#: So many readers come before the memory is looked at: what is made once is not theirs.
WARM_UP: Final = 20


def waits_us(acknowledged_s: Sequence[float], arrivals_s: Sequence[Sequence[float]]) -> list[int]:
    """In order of size, over all messages and readers; an event that came before its acknowledgement waited 0."""
    return sorted(
        max(0, round((arrived_s - sent_s) * 1e6))
        for sent_s, each in zip(acknowledged_s, arrivals_s, strict=True)
        for arrived_s in each
    )


def sender(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.fanout_sender", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ))


def told_by(sending: subprocess.Popen[bytes], readers: Readers) -> Any:
    """Read until the sender is done; what it says."""
    with sending:
        while sending.poll() is None:
            readers.read(0.05)
        if sending.returncode or sending.stdout is None:
            raise RuntimeError(f"the sender ended with {sending.returncode}")
        return json.loads(sending.stdout.read())


def flood(readers: Readers, port: str, pids: list[int], seconds: str, headers: list[str]) -> dict[str, float]:
    """The time runs from the first event that a reader has until the last reader has the last."""
    readers.start(timed=False)
    sending = sender(port, "flood", seconds, str(FLOOD_CONNECTIONS), *headers)
    readers.read(SETTLE_S)
    begun_s, begun_cpu_s = time.monotonic(), [cpu_s(pid) for pid in pids]
    sent = told_by(sending, readers)["sent"]
    readers.read_until(sent, timeout_s=SETTLE_S)
    took_s = time.monotonic() - begun_s
    own_s, *behind_s = (cpu_s(pid) - before_s for pid, before_s in zip(pids, begun_cpu_s, strict=True))
    return {
        "requests": readers.count * sent,
        "seconds": took_s,
        "cpu_s": own_s,
        "iggy_cpu_s": sum(behind_s),
    }


def paced(readers: Readers, *arguments: str) -> list[int]:
    readers.start(timed=True)
    acknowledged_s = told_by(sender(*arguments), readers)["acknowledged_s"]
    readers.read_until(len(acknowledged_s), timeout_s=SETTLE_S)
    return waits_us(acknowledged_s, readers.arrivals)


def main(port: str, pids: str, count: str, seconds: str, address: str, topic: str, *headers: str) -> None:
    lines = ["GET /messages/stream HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream", *headers]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    first = Readers(int(port), WARM_UP, head)
    numbers = [int(pid) for pid in pids.split(",")]
    before_kib = rss_kib(numbers[0])
    readers = Readers(int(port), int(count), head)
    reader_kib = (rss_kib(numbers[0]) - before_kib) / int(count)
    first.close()
    pace = (str(PACED_RATE), str(PACED_COUNT))
    around: list[int] = []
    through = paced(readers, port, "paced", *pace, *headers)
    if address != "-":
        around = paced(readers, address, "straight", *pace, topic)
    figures = flood(readers, port, numbers, seconds, list(headers))
    readers.close()
    sys.stdout.write(
        report_line(
            **figures,
            refused=0,
            broken=0,
            p50_us=percentile(through, 50),
            p99_us=percentile(through, 99),
            around_p50_us=percentile(around, 50),
            around_p99_us=percentile(around, 99),
            reader_kib=reader_kib,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
