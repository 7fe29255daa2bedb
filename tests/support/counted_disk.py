"""Disks that are full when told to: one that counts what SQLite writes, for machines where none may be mounted; a real one."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import apsw

from bridge.locallog.database import Tuning
from bridge.locallog.space import Room
from tests.support.small_disks import fill, small_disk

__all__ = ("CountedDisk", "MountedDisk", "SmallDisk", "counted", "mounted")

_NUMBERS = itertools.count()


class SmallDisk(Protocol):
    """
    Attributes:
        directory: for the log, and nothing else.
        tuning: with which the log meets this disk.
    """

    directory: Path
    tuning: Tuning

    def take_all(self) -> None:
        """Others take what is free."""

    def give_back(self) -> None:
        """They let go of it."""


class MountedDisk:
    """The kernel's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "data"
        self.tuning = Tuning(synchronous="off")
        self._root = directory

    def take_all(self) -> None:
        fill(self._root)

    def give_back(self) -> None:
        (self._root / "others").unlink()


@contextmanager
def mounted(directory: Path, size_bytes: int) -> Iterator[MountedDisk]:
    with small_disk(directory, size_bytes) as disk:
        yield MountedDisk(disk)


class CountedDisk:
    """
    A VFS of SQLite that refuses to make a file longer than there is space.

    Attributes:
        others_bytes: of somebody else.
    """

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self.directory = directory
        self.others_bytes = 0
        self._size_bytes = size_bytes
        self._name = f"counted-{next(_NUMBERS)}"
        self._vfs = _Vfs(self._name, self)
        self.tuning = Tuning(synchronous="off", connect=self._connect, statvfs=self._statvfs)

    @property
    def free_bytes(self) -> int:
        held = sum(path.stat().st_size for path in self.directory.iterdir())
        return max(0, self._size_bytes - self.others_bytes - held)

    def take_all(self) -> None:
        self.others_bytes += self.free_bytes

    def give_back(self) -> None:
        self.others_bytes = 0

    def close(self) -> None:
        self._vfs.unregister()

    def _connect(self, name: str, flags: int) -> apsw.Connection:
        return apsw.Connection(name, flags, vfs=self._name)

    def _statvfs(self, _directory: Path) -> Room:
        page = 4_096
        return SimpleNamespace(
            f_frsize=page, f_blocks=self._size_bytes // page, f_bavail=self.free_bytes // page
        )


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: CountedDisk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> "_File":  # noqa: N802 (SQLite's name)
        return _File(name, flags, self._disk)


class _File(apsw.VFSFile):
    def __init__(self, name: apsw.URIFilename | str | None, flags: list[int], disk: CountedDisk) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (SQLite's name)
        missing_bytes = offset + len(data) - self.xFileSize()
        if missing_bytes > 0 and missing_bytes > self._disk.free_bytes:
            raise apsw.FullError
        super().xWrite(data, offset)


@contextmanager
def counted(directory: Path, size_bytes: int) -> Iterator[CountedDisk]:
    directory.mkdir()
    disk = CountedDisk(directory, size_bytes)
    try:
        yield disk
    finally:
        disk.close()
