"""Backups of embedded logs for tests: made in this process, without a word."""

import asyncio
from pathlib import Path

import apsw

from bridge.locallog import seals
from bridge.locallog.backup import Progress, back_up
from bridge.locallog.database import Tuning
from bridge.locallog.manifest import Manifest
from bridge.locallog.restore import restore
from tests.support.clock import FakeClock

__all__ = ("NOON_US", "Ended", "backed_up", "changed", "restored", "spoil")

#: 2026-11-29T12:00:00Z
NOON_US = 1_795_953_600_000_000


class Ended(BaseException):
    """What a signal brings in the middle of the work."""


def silent(_phase: str, _done: int, _total: int) -> None:
    """Nobody looks how far it is."""


async def backed_up(
    data_dir: Path, target: Path, *, progress: Progress = silent, tuning: Tuning | None = None
) -> Manifest:
    """A backup as of noon."""
    clock = FakeClock(now_us=NOON_US)
    return await asyncio.to_thread(back_up, data_dir, target, clock=clock, progress=progress, tuning=tuning)


async def restored(
    copy: Path, data_dir: Path, *, progress: Progress = silent, tuning: Tuning | None = None
) -> Manifest:
    return await asyncio.to_thread(restore, copy, data_dir, progress=progress, tuning=tuning)


def spoil(path: Path, place: bytes) -> None:
    """Flip a bit of the one place in a file that holds *place*."""
    content = bytearray(path.read_bytes())
    assert content.count(place) == 1
    content[content.index(place)] ^= 1
    path.write_bytes(content)


def changed(path: Path, statement: str) -> None:
    """Run a statement on a database; it may call `row_checksum`."""
    connection = apsw.Connection(str(path))
    seals.install(connection)
    connection.execute(statement)
    connection.close()
