"""The two logs, opened for tests through one face."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Protocol

from bridge.clock import Deadline, SystemClock
from bridge.config import IggyConfig, LocalLogConfig
from bridge.iggy.message_log import IggyMessageLog
from bridge.locallog import LocalMessageLog
from bridge.messagelog import Durability, HealthProbe, MessageLog, StatsSource
from bridge.telemetry.metrics import LogMetrics
from tests.support.iggy_server import IggyServer

__all__ = ("AnyLog", "Backend", "IggyBackend", "LocalBackend", "soon")

CLOCK = SystemClock()


class AnyLog(MessageLog, HealthProbe, StatsSource, Protocol):
    """All three faces of an adapter."""


def soon(seconds: float = 60.0) -> Deadline:
    """A deadline that a healthy log never misses."""
    return Deadline.after(seconds, CLOCK)


class Backend(Protocol):
    """Opens logs over one storage, one at a time; `close` ends the one that is open."""

    async def open(self) -> AnyLog: ...

    async def close(self) -> None: ...


class LocalBackend:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log: LocalMessageLog | None = None

    async def open(self) -> AnyLog:
        config = LocalLogConfig(data_dir=str(self._directory))
        self._log = await LocalMessageLog.open(config, clock=CLOCK, observer=LogMetrics())
        return self._log

    async def close(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            await log.close()


class IggyBackend:
    def __init__(self, server: IggyServer) -> None:
        self._server = server
        self._log: IggyMessageLog | None = None
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> AnyLog:
        log = self._log = IggyMessageLog(
            IggyConfig(connection_string=self._server.connection_string),
            durability=Durability.PERSISTED,
            clock=CLOCK,
            observer=LogMetrics(),
            rng=random.Random(1),
        )
        await log.start(soon())
        self._running = asyncio.create_task(log.run())
        return log

    async def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        log, self._log = self._log, None
        if log is not None:
            await log.close()
