"""A bridge on a real Iggy, watched from outside: its log as it comes, its figures in /proc, and what it must not tell."""

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.bridge_process import BridgeProcess

__all__ = ("PASSWORD", "USERNAME", "Census", "WatchedBridge", "eventually")

USERNAME = "the-bridges-own-user"
PASSWORD = "correct-horse-7f3a"
#: The longest that anything is waited for; an outage here takes about a second.
WAIT_S = 60.0
PAUSE_S = 0.01

#: `bridge serve` that tells on SIGUSR1 how many tasks its loop has.
COUNTED = """
import asyncio, gc, signal
import structlog
from bridge.process.shutdown import Stop
listen = Stop.listen
def census():
    gc.collect()
    structlog.get_logger("census").info("census", tasks=len(asyncio.all_tasks()))
def listen_and_count(self, **more):
    listen(self, **more)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, census)
Stop.listen = listen_and_count
from bridge.__main__ import main
main()
"""

#: Put before it: silence of the server is no sign that it is gone, only a broken connection is.
PATIENT = """
from bridge import limits
limits.IGGY_PROBE_S = 60.0
"""


class Census(NamedTuple):
    """What a process holds at one moment."""

    tasks: int
    threads: int
    descriptors: int
    memory_kib: int


#: Which of the ten clients have been made depends on who asked for what; and tokio keeps a thread that resolved a
#: name for 10 s. A kill drops five clients or more, so a leak in each of three cycles would not fit. The allocator
#: may keep some of what a load needed; measured: below 1 MiB.
SPARE = Census(tasks=0, threads=4, descriptors=4, memory_kib=8 * 1024)


def eventually(holds: Callable[[], bool], *, what: str, timeout_s: float = WAIT_S) -> None:
    """Look until *holds*; fails after *timeout_s*."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(PAUSE_S)


class WatchedBridge(BridgeProcess):
    """`bridge serve` with quick reconnection, which tells how many tasks it has."""

    def __init__(
        self,
        data_dir: Path,
        address: str,
        environ: Mapping[str, str] | None = None,
        *,
        password: str = PASSWORD,
        patient: bool = False,
    ) -> None:
        """
        Args:
            patient: for a test whose server is never silent but for want of a processor; else it counts as gone after
                a few seconds.
        """
        self.secrets = (address, password, f"{USERNAME}:", "iggy+tcp:", "iggy://")
        given = {
            "IGGY_CONNECTION_STRING": f"iggy+tcp://{USERNAME}:{password}@{address}",
            "RATE_LIMIT_RPS": "0",
            "LOG_LEVEL": "debug",
            "RECONNECT_BASE_DELAY_MS": "20",
            "RECONNECT_MAX_DELAY_MS": "50",
            "HEALTH_CHECK_INTERVAL_SECS": "300" if patient else "0.2",
            "STATS_CACHE_TTL_SECS": "0.5",
            "POLL_MAX_COUNT": "1000",
            **(environ or {}),
        }
        super().__init__(data_dir, given, code=PATIENT * patient + COUNTED)

    def listening(self) -> int:
        """The port, once it is taken."""
        return int(self.until("listening")["port"])

    def told(self, event: str) -> list[dict[str, Any]]:
        """Every line so far with this event."""
        return [line for line in self.lines if line["event"] == event]

    def census(self) -> Census:
        """What it holds now; ask only when it is ready and nobody else waits for lines."""
        self.process.send_signal(signal.SIGUSR1)
        tasks = int(self.until("census")["tasks"])
        proc = Path("/proc") / str(self.process.pid)
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        return Census(
            tasks=tasks,
            threads=int(status["Threads"]),
            descriptors=len(list((proc / "fd").iterdir())),
            memory_kib=int(status["VmRSS"].split()[0]),
        )

    def no_more_than(self, before: Census) -> Census:
        """Wait until it holds what it held *before*, within `SPARE`; what it holds then."""
        seen: list[Census] = []

        def settled() -> bool:
            seen.append(self.census())
            return all(now <= then + spare for now, then, spare in zip(seen[-1], before, SPARE, strict=True))

        try:
            eventually(settled, what=f"no more than {before}")
        except AssertionError as error:
            raise AssertionError(f"{before} before, {seen[-1]} after") from error
        return seen[-1]

    def leaks(self, answers: Iterable[str]) -> list[str]:
        """Every line of the log and every answer that holds a secret or the address of the server."""
        return [text for text in (*self.output, *answers) for secret in self.secrets if secret in text]
