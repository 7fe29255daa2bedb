"""A copy of the embedded log, put back into an empty directory (shell).

The directory may be there already, as a volume is, so its name cannot be what appears at once. The database's name is:
it is written under another one, and a bridge that finds that one refuses to start.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import apsw

from bridge import limits
from bridge.errors import ConfigError, StartupError
from bridge.locallog import manifest, schema
from bridge.locallog.backup import Progress, check_space, open_copy, told_in_words
from bridge.locallog.database import FILE_NAME, Tuning, stored_version
from bridge.locallog.files import LOCK_NAME, PARTIAL_NAME, DirectoryLock
from bridge.whole_files import sync_directory

_NO_COPY: Final = f"There is no backup: a directory with {FILE_NAME} and {manifest.MANIFEST_NAME} is needed."
_DAMAGED: Final = "The backup is damaged: it is not what its manifest says. Use another backup."
_FOREIGN: Final = f"The {FILE_NAME} of the backup is no log of a bridge."
_NEWER: Final = "The log in the backup was written by a newer bridge; restore it with that version."
_NOT_EMPTY: Final = "DATA_DIR is not empty, and nothing is written over: name an empty directory, or one that is not there yet."
# What an earlier restore left, and what an empty disk has.
_NOBODYS: Final = frozenset((LOCK_NAME, PARTIAL_NAME, "lost+found"))


def restore(
    copy: Path, data_dir: Path, *, progress: Progress, tuning: Tuning | None = None
) -> manifest.Manifest:
    """Put the backup in *copy* into *data_dir*, which is made if it is not there; what is served then is that log.

    Raises:
        ConfigError: if *copy* is no backup, damaged or of a newer bridge, or *data_dir* is not empty.
        StartupError: if *data_dir* is in use or cannot be written, or there is no space.
    """
    tuning = tuning or Tuning()
    told = _told(copy)
    _check_database(copy / FILE_NAME, told, tuning)
    with _taken(data_dir), told_in_words():
        check_space(data_dir, told.size_bytes, tuning)
        partial = data_dir / PARTIAL_NAME
        try:
            _copy(copy / FILE_NAME, partial, told, progress)
            partial.rename(data_dir / FILE_NAME)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_directory(data_dir)
        sync_directory(data_dir.parent)
    return told


def _told(copy: Path) -> manifest.Manifest:
    try:
        # To open anything else, a pipe for one, might wait for ever.
        if not all((copy / name).is_file() for name in (manifest.MANIFEST_NAME, FILE_NAME)):
            raise ConfigError((_NO_COPY,))
        with (copy / manifest.MANIFEST_NAME).open("rb") as file:
            return manifest.decode(file.read(limits.BACKUP_MANIFEST_BYTES_MAX))
    except OSError as error:
        raise ConfigError((_NO_COPY,)) from error


def _check_database(path: Path, told: manifest.Manifest, tuning: Tuning) -> None:
    """What is quickly seen, before anything is made: size, kind and version."""
    try:
        size_bytes = path.stat().st_size
        with closing(open_copy(path, tuning)) as database:
            version = stored_version(database)
    except (OSError, apsw.CantOpenError) as error:
        raise ConfigError((_NO_COPY,)) from error
    except apsw.NotADBError as error:
        raise ConfigError((_FOREIGN,)) from error
    except apsw.Error as error:
        raise ConfigError((_DAMAGED,)) from error
    if not version:
        raise ConfigError((_FOREIGN,))
    if version > schema.SCHEMA_VERSION:
        raise ConfigError((_NEWER,))
    if (size_bytes, version) != (told.size_bytes, told.schema_version):
        raise ConfigError((_DAMAGED,))


@contextmanager
def _taken(data_dir: Path) -> Iterator[None]:
    """Hold the directory, which has nothing in it."""
    names = _names(data_dir)
    if LOCK_NAME not in names and names - _NOBODYS:
        raise ConfigError((_NOT_EMPTY,))
    lock = DirectoryLock(data_dir)
    try:
        if _names(data_dir) - _NOBODYS:
            raise ConfigError((_NOT_EMPTY,))
        yield
    finally:
        lock.release()


def _names(directory: Path) -> set[str]:
    try:
        return {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StartupError(f"DATA_DIR cannot be used: {os.strerror(error.errno or 0)}.") from error


def _copy(source: Path, target: Path, told: manifest.Manifest, progress: Progress) -> None:
    """Copy a file, whose mode becomes 0600, and hold what was written against its manifest."""
    digest = hashlib.sha256()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    # Buffered: an unbuffered write may take a part of a block, where a disk fills up, and call that done.
    with source.open("rb", buffering=0) as reading, os.fdopen(fd, "wb") as writing:
        while block := reading.read(limits.BACKUP_BLOCK_BYTES):
            digest.update(block)
            writing.write(block)
            progress("copy", reading.tell(), told.size_bytes)
        writing.flush()
        os.fsync(fd)
    if digest.hexdigest() != told.sha256:
        raise ConfigError((_DAMAGED,))
