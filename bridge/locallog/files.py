"""What lies in the directory of the embedded log, opened in order (shell)."""

from pathlib import Path
from typing import NamedTuple

import apsw

from bridge import limits
from bridge.errors import StartupError
from bridge.locallog.catalog import Catalog
from bridge.locallog.database import (
    FILE_NAME,
    NoSpaceLeft,
    Tuning,
    load_catalog,
    open_reader,
    open_writer,
)
from bridge.locallog.lock import DirectoryLock
from bridge.locallog.space import Space

__all__ = ("Files", "open_files")


class Files(NamedTuple):
    """
    An open log.

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
    """
    Take the directory and open what is in it.

    Raises:
        StartupError: if it is in use, or cannot be used.
    """
    lock = DirectoryLock(directory)
    try:
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


def _open_writer(directory: Path, tuning: Tuning, space: Space) -> tuple[apsw.Connection, bool]:
    """The connection that writes, and whether the reserve had to be given for it."""
    try:
        return open_writer(directory, tuning, space), False
    except NoSpaceLeft:
        if not space.release():
            raise
    return open_writer(directory, tuning, space), True
