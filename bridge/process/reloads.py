"""Files that are read again while the bridge serves (shell): on SIGHUP, and when they have changed.

What is read again takes the place of the old as a whole, or not at all: where a new file is broken, the old content stays in
force, the log and the figures say so, and the next change is another attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias

import structlog

from bridge.config import Config
from bridge.errors import BridgeError
from bridge.flow.timers import is_set_within
from bridge.limits import RELOAD_LOOK_INTERVAL_S
from bridge.telemetry.process_metrics import ReloadMetrics

Reload: TypeAlias = Callable[[], Awaitable[None]]
_FilesOf: TypeAlias = Callable[[Config], Iterable[str | None]]

#: By what is reloaded, the files that it is made of; a new kind of file is one row here and one `Reloads.add`.
_RELOADABLE: Final[Mapping[str, _FilesOf]] = {
    "tls": lambda config: (
        config.tls.cert_file,
        config.tls.key_file,
        config.tls.client_ca_file,
        config.tls.client_crl_file,
    ),
    "keys": lambda config: (config.http.keys_file,),
    "pepper": lambda config: (config.http.keys_pepper_file if config.http.keys_file else None,),
    "encryption": lambda config: (config.encryption.keys_file,),
}

_log = structlog.get_logger("bridge.serve")


class _FileState(NamedTuple):
    """Differs where a file was written or replaced, also by a link that now leads elsewhere, as Kubernetes does it."""

    device: int
    inode: int
    modified_ns: int
    size_bytes: int


_States: TypeAlias = tuple[_FileState | None, ...]


def reloadable_files(config: Config) -> dict[str, tuple[str, ...]]:
    """By what is reloaded, the paths that *config* names for it; a SIGHUP ends the bridge where there are none."""
    found = {what: tuple(filter(None, files(config))) for what, files in _RELOADABLE.items()}
    return {what: paths for what, paths in found.items() if paths}


class Reloads:
    """What can be reloaded, by name: one at a time, in the order of the names.

    A file counts as changed once it looks the same at two looks in a row, so that one that is still being written is left
    alone. `begin` comes before any of the files is read for the first time: changes count from then on.

    Args:
        files: as of `reloadable_files`.
    """

    def __init__(self, files: Mapping[str, tuple[str, ...]], metrics: ReloadMetrics) -> None:
        self._files = dict(files)
        self._metrics = metrics
        self._work: dict[str, Reload] = {}
        self._asked = asyncio.Event()
        # What is in force, or was tried and found to be broken.
        self._tried: dict[str, _States] = {}
        self._last: dict[str, _States] = {}
        for what in self._files:
            metrics.known(what)

    async def begin(self) -> None:
        """Note how the files are."""
        for what in self._files:
            self._tried[what] = self._last[what] = await self._looked_at(what)

    def add(self, what: str, work: Reload) -> None:
        """Name the *work* that reads the files of *what*; it is called only where the configuration names any.

        It raises a `BridgeError`, whose detail an operator may read, or an `OSError` where it leaves the old in force.
        """
        if what in self._files:
            self._work[what] = work

    def ask(self) -> None:
        """Reload everything soon, changed or not: what a SIGHUP means."""
        self._asked.set()

    async def run(self, *, interval_s: float = RELOAD_LOOK_INTERVAL_S) -> NoReturn:
        """Reload what is asked for, and look for changes every *interval_s*; ends only by cancellation."""
        while True:
            if await is_set_within(self._asked, interval_s):
                self._asked.clear()
                await self.reload()
            else:
                await self.look()

    async def reload(self) -> None:
        for what in self._work:
            await self._reload(what, await self._looked_at(what), "asked")

    async def look(self) -> None:
        """Reload what has changed since it was read, and not since the last look."""
        for what in self._work:
            states, before = await self._looked_at(what), self._last[what]
            if states == before and states != self._tried[what]:
                await self._reload(what, states, "changed")
            self._last[what] = states

    async def _looked_at(self, what: str) -> _States:
        # A file may be on a disk of the network, which answers late or never.
        return await asyncio.to_thread(_states, self._files[what])

    async def _reload(self, what: str, states: _States, why: str) -> None:
        self._tried[what] = states
        try:
            await self._work[what]()
        except Exception as error:  # noqa: BLE001 (whatever a new file holds, the old one stays in force)
            self._metrics.done(what, ok=False)
            if isinstance(error, BridgeError):
                _log.error("reload_failed", what=what, why=why, code=error.code, detail=error.detail)
            elif isinstance(error, OSError):
                _log.error("reload_failed", what=what, why=why, detail=error.strerror or type(error).__name__)
            else:
                _log.error("reload_failed", what=what, why=why, exc_info=error)
        else:
            self._metrics.done(what, ok=True)
            _log.info("reloaded", what=what, why=why)


def _states(paths: Iterable[str]) -> _States:
    return tuple(map(_state, paths))


def _state(path: str) -> _FileState | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return _FileState(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
