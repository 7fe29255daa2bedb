"""The embedded log for tests: opened fast, with faults put into its connections."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from bridge.clock import Clock, Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.locallog import LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.messagelog import NewMessage, TopicRef
from bridge.telemetry.metrics import LogMetrics

__all__ = ("FAST", "TOPIC", "Disk", "messages", "open_log", "open_topic", "soon")

TOPIC = TopicRef("stream", "topic")
CLOCK = SystemClock()


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, CLOCK)


def messages(*payloads: bytes) -> list[NewMessage]:
    return [NewMessage(payload=payload) for payload in payloads]


class Disk:
    """Makes connections whose statements fail when told to: *failing* maps a statement's beginning to its error."""

    def __init__(self) -> None:
        self.failing: dict[str, Callable[[], Exception]] = {}
        self.before: Callable[[str], None] = lambda _statement: None
        self.statements: list[str] = []

    def reach(self, statement: str) -> None:
        self.statements.append(statement)
        self.before(statement)
        for beginning, make_error in self.failing.items():
            if statement.startswith(beginning):
                raise make_error()

    def connect(self, name: str, flags: int) -> apsw.Connection:
        disk = self

        class Connection(apsw.Connection):
            def execute(self, statements: str, *args: Any, **kwargs: Any) -> apsw.Cursor:
                disk.reach(statements)
                return super().execute(statements, *args, **kwargs)

            def wal_checkpoint(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
                disk.reach(f"checkpoint {kwargs['mode']}")
                return super().wal_checkpoint(*args, **kwargs)

            def pragma(self, name: str, *args: Any, **kwargs: Any) -> Any:
                disk.reach(f"pragma {name}")
                return super().pragma(name, *args, **kwargs)

        disk.reach("connect")
        return Connection(name, flags)

    def tuning(self) -> Tuning:
        return Tuning(synchronous="off", connect=self.connect)


FAST = Tuning(synchronous="off")


async def open_log(
    directory: Path, *, tuning: Tuning = FAST, clock: Clock = CLOCK, observer: LogMetrics | None = None
) -> LocalMessageLog:
    config = LocalLogConfig(data_dir=str(directory))
    return await LocalMessageLog.open(config, clock=clock, observer=observer or LogMetrics(), tuning=tuning)


async def open_topic(
    directory: Path, *, tuning: Tuning = FAST, clock: Clock = CLOCK, observer: LogMetrics | None = None
) -> LocalMessageLog:
    """A fresh log with a topic of two partitions."""
    log = await open_log(directory, tuning=tuning, clock=clock, observer=observer)
    await log.create_stream(TOPIC.stream, deadline=soon())
    await log.create_topic(TOPIC, partitions_count=2, deadline=soon())
    return log
