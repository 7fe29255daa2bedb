"""What lies in the directory of the embedded log, opened in order by one process at a time (shell)."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from bridge import limits
from bridge.errors import StartupError
from bridge.locallog.catalog import Catalog
from bridge.locallog.database import FILE_NAME, NoSpaceLeft, Tuning, load_catalog, open_reader, open_writer
from bridge.locallog.manifest import MANIFEST_NAME
from bridge.locallog.space import Space

LOCK_NAME: Final = "bridge.lock"
#: What a restore writes, until it is whole.
PARTIAL_NAME: Final = f"{FILE_NAME}.partial"

_HALF_RESTORED: Final = (
    f"A restore into DATA_DIR did not finish: do it again, or remove {PARTIAL_NAME} to begin an empty log."
)
_BACKUP: Final = (
    f"DATA_DIR is a backup: restore it into another directory, or remove {MANIFEST_NAME} to serve it itself."
)
_LEADS_NOWHERE: Final = (
    "DATA_DIR is a symbolic link to a directory that does not exist: make that one, or mount it, first."
)


class DirectoryLock:
    """Holds the directory until `release`; the kernel lets go of it when the process dies, however it dies.

    Raises:
        StartupError: if another process holds it, or the directory cannot be written.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_NAME
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if directory.is_symlink() and not directory.exists():
                raise StartupError(_LEADS_NOWHERE) from error
            raise StartupError(f"DATA_DIR cannot be used: {os.strerror(error.errno or 0)}.") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StartupError(
                "DATA_DIR is in use by another bridge. Stop that one, or set DATA_DIR to another directory."
            ) from error

    def is_in_place(self) -> bool:
        """Whether the directory still has the file that is locked; else it was moved or emptied, or a second bridge may take it."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except OSError as error:
            # A disk that does not answer now may still have it.
            return error.errno != errno.ENOENT

    def release(self) -> None:
        os.close(self._fd)


class Files(NamedTuple):
    """An open log.

    Attributes:
        full: it took the reserve to open it.
    """

    lock: DirectoryLock
    writer: apsw.Connection
    readers: list[apsw.Connection]
    catalog: Catalog
    space: Space
    full: bool


def open_files(directory: Path, tuning: Tuning) -> Files:
    """Take the directory and open what is in it.

    Raises:
        StartupError: if it is in use, or cannot be used.
    """
    lock = DirectoryLock(directory)
    try:
        _check_restored(directory)
        space = Space(directory, FILE_NAME, pages_max=tuning.pages_max, statvfs=tuning.statvfs)
        writer, full = _open_writer(directory, tuning, space)
    except StartupError:
        lock.release()
        raise
    try:
        catalog = load_catalog(writer)
        readers = [open_reader(directory, tuning) for _ in range(limits.LOCAL_READERS)]
    except StartupError:
        writer.close(True)
        lock.release()
        raise
    return Files(lock, writer, readers, catalog, space, full)


def _check_restored(directory: Path) -> None:
    # Else a bridge that starts after a restore was killed would serve an empty log, as if all were well.
    if (directory / PARTIAL_NAME).exists():
        raise StartupError(_HALF_RESTORED)
    # What is served changes, and is no backup any more.
    if (directory / MANIFEST_NAME).exists():
        raise StartupError(_BACKUP)


def _open_writer(directory: Path, tuning: Tuning, space: Space) -> tuple[apsw.Connection, bool]:
    """The connection that writes, and whether the reserve had to be given for it."""
    try:
        return open_writer(directory, tuning, space), False
    except NoSpaceLeft:
        if not space.release():
            raise
    return open_writer(directory, tuning, space), True
