"""The two logs, opened for tests through one face."""

from pathlib import Path
from typing import Protocol

from bridge.locallog import LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.process.adapters import BareLog as AnyLog
from tests.support.iggy_log import IggyLogs
from tests.support.iggy_server import IggyServer
from tests.support.local_logs import open_log, soon

__all__ = ("AnyLog", "Backend", "IggyBackend", "LocalBackend", "soon")


class Backend(Protocol):
    """Opens logs over one storage, one at a time; `close` ends the one that is open."""

    async def open(self) -> AnyLog: ...

    async def close(self) -> None: ...


class LocalBackend:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log: LocalMessageLog | None = None

    async def open(self) -> AnyLog:
        self._log = await open_log(self._directory, tuning=Tuning())
        return self._log

    async def close(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            await log.close()


class IggyBackend:
    def __init__(self, server: IggyServer) -> None:
        self._server = server
        self._logs = IggyLogs()
        self.close = self._logs.close

    async def open(self) -> AnyLog:
        return await self._logs.open(self._server.connection_string)
