"""A copy of the embedded log, taken while a bridge serves it or not (shell).

The copy is made by SQLite's online backup, from a process of its own that only reads. It takes no lock of the directory,
since SQLite's write-ahead log keeps readers and the writer apart. By itself that backup begins anew whenever another
process has written between two of its steps, so beside a steady writer it never ends (measured: 278 times in 300
steps). Hence all steps happen within one read transaction: they see the log of one moment, whatever is written
meanwhile, and nothing begins anew. `VACUUM INTO` sees one moment too, but tells nothing of how far it is and takes
longer. The price of both: while the copy is made, the write-ahead log cannot begin anew and grows by what is written.

What is made is a directory with the database and a manifest. It gets its name once all of it is checked and on the disk.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from glob import escape
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

import apsw

import bridge
from bridge import limits
from bridge.clock import Clock, rfc3339
from bridge.errors import ConfigError, StartupError
from bridge.locallog import chunks, manifest, schema, seals
from bridge.locallog.database import (
    DAMAGED,
    FILE_NAME,
    FOREIGN,
    NEWER,
    Tuning,
    load_catalog,
    stored_version,
)
from bridge.locallog.faults import DiskFault, fault_of
from bridge.locallog.space import disk_bytes
from bridge.whole_files import sync_directory

#: Called with what is done, and bytes of how many; both 0 where nobody knows.
Progress: TypeAlias = Callable[[str, int, int], None]

_MIB: Final = 1024 * 1024
_NO_LOG: Final = (
    "There is no embedded log in DATA_DIR; name its directory with --data-dir. A log on Apache Iggy is saved by Iggy's own"
    " means."
)
_EXISTS: Final = "The target exists already, and nothing is written over: name one that is not there yet."
_WITHIN: Final = "The target lies within DATA_DIR, which holds the log alone: name a place outside of it."
_NO_PARENT: Final = "The directory that the target is to lie in does not exist: make it, or mount it, first."
# A reader writes too: which moment it reads stands in a file beside the log.
_NOT_OPENED: Final = (
    "The embedded log cannot be opened: do this as the bridge's own user, and where DATA_DIR can be written."
)
_NO_SPACE: Final = "There is no space left for the copy."


class _Figures(NamedTuple):
    streams_count: int
    topics_count: int
    messages_count: int


def back_up(
    data_dir: Path, target: Path, *, clock: Clock, progress: Progress, tuning: Tuning | None = None
) -> manifest.Manifest:
    """Copy the log in *data_dir* into a new directory *target*, checked; its mode is 0700.

    Raises:
        ConfigError: if there is no log, or *target* cannot be made where it was named.
        StartupError: if there is no space, or the log is damaged, foreign, or of a newer bridge.
    """
    if os.path.lexists(target):
        raise ConfigError((_EXISTS,))
    if not target.parent.is_dir():
        raise ConfigError((_NO_PARENT,))
    if not (data_dir / FILE_NAME).is_file():
        raise ConfigError((_NO_LOG,))
    if target.parent.resolve().is_relative_to(data_dir.resolve()):
        raise ConfigError((_WITHIN,))
    tuning = tuning or Tuning()
    with told_in_words(), closing(_reader(data_dir, tuning)) as source:
        # Before the log is looked at: what is acknowledged until now is in the copy.
        made_at = rfc3339(clock.now_us())
        version = _begin(source)
        check_space(target.parent, _size_bytes(source), tuning)
        with _unfinished(target) as directory:
            path = directory / FILE_NAME
            _copy(source, path, progress, tuning)
            source.execute("rollback")
            progress("check", 0, 0)
            figures = _checked(path, tuning)
            made = manifest.Manifest(
                format=manifest.FORMAT,
                made_at=made_at,
                bridge_version=bridge.__version__,
                schema_version=version,
                size_bytes=path.stat().st_size,
                sha256=_synced_sha256(path, progress),
                **figures._asdict(),
            )
            _write(directory / manifest.MANIFEST_NAME, manifest.encode(made))
            sync_directory(directory)
            try:
                directory.rename(target)
            except OSError as error:
                raise ConfigError((_EXISTS,)) from error
        sync_directory(target.parent)
    return made


def left_behind(target: Path) -> list[Path]:
    """What earlier backups to *target* left when they were killed; one that runs right now has such a directory too."""
    return sorted(target.parent.glob(f".{escape(target.name)}.partial-*"))


def check_space(directory: Path, size_bytes: int, tuning: Tuning) -> None:
    """Raises:
    StartupError: if the disk under *directory* cannot take a file of *size_bytes*.
    """
    _, free_bytes = disk_bytes(directory, tuning.statvfs)
    needed_bytes = size_bytes + limits.BACKUP_SPARE_BYTES
    if free_bytes < needed_bytes:
        raise StartupError(
            f"There is no space for the copy: it takes {-(-needed_bytes // _MIB):,} MiB, {free_bytes // _MIB:,} MiB are free."
        )


@contextmanager
def told_in_words() -> Iterator[None]:
    """What the disk or SQLite says, as a sentence.

    Raises:
        StartupError: instead of any error of theirs.
    """
    try:
        yield
    except (apsw.CorruptError, apsw.FormatError, chunks.DamagedChunk) as error:
        raise StartupError(DAMAGED) from error
    except apsw.NotADBError as error:
        raise StartupError(FOREIGN) from error
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise StartupError(_NOT_OPENED) from error
    except apsw.Error as error:
        full = fault_of(error, 0) is DiskFault.FULL
        raise StartupError(
            _NO_SPACE if full else "The embedded log cannot be copied: a disk fails."
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = os.strerror(error.errno or 0)
        raise StartupError(_NO_SPACE if full else f"The copy cannot be read or written: {reason}.") from error


def open_copy(path: Path, tuning: Tuning) -> apsw.Connection:
    """A database that nobody writes, for reading: no locks, no files beside it, also where nothing may be written."""
    # As it is: SQLite takes no look at a write-ahead log, of which a copy has none.
    return tuning.connect(
        f"file:{quote(str(path.absolute()))}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )


def _reader(data_dir: Path, tuning: Tuning) -> apsw.Connection:
    source = tuning.connect(str(data_dir / FILE_NAME), apsw.SQLITE_OPEN_READONLY)
    source.set_busy_timeout(limits.LOCAL_BUSY_TIMEOUT_MS)
    return source


def _begin(source: apsw.Connection) -> int:
    """Begin the one read transaction; version of the log in it."""
    source.execute("begin")
    version = stored_version(source)
    if version is None:
        raise StartupError(FOREIGN)
    if version == 0:
        raise ConfigError((_NO_LOG,))
    if version > schema.SCHEMA_VERSION:
        raise StartupError(NEWER)
    return version


def _size_bytes(source: apsw.Connection) -> int:
    pages: int = source.pragma("page_count")
    return pages * limits.LOCAL_PAGE_BYTES


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A new directory beside *target*, mode 0700, that goes again if the work in it fails."""
    directory = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        yield directory
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _copy(source: apsw.Connection, path: Path, progress: Progress, tuning: Tuning) -> None:
    # SQLite would make it readable by all.
    _write(path, b"")
    # Nobody else knows the file, and a share may have no locks.
    name = f"file:{quote(str(path.absolute()))}?nolock=1"
    with closing(tuning.connect(name, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)) as copy:
        # Half a copy is thrown away, a whole one is synced before it gets its name.
        copy.pragma("journal_mode", "off")
        copy.pragma("synchronous", "off")
        with copy.backup("main", source, "main") as steps:
            while not steps.done:
                steps.step(limits.BACKUP_STEP_PAGES)
                done = steps.page_count - steps.remaining
                progress("copy", done * limits.LOCAL_PAGE_BYTES, steps.page_count * limits.LOCAL_PAGE_BYTES)


def _checked(path: Path, tuning: Tuning) -> _Figures:
    """Figures of a copy in which every page, every message and, unless an older bridge wrote it, all that a start looks at was
    looked at.

    Raises:
        DamagedChunk, apsw.CorruptError, StartupError: if one of them is not what was written.
    """
    with closing(open_copy(path, tuning)) as copy:
        # Python's own signal handlers run when Python does.
        copy.set_progress_handler(lambda: False, limits.BACKUP_CHECK_STEPS)
        if copy.pragma("integrity_check") != "ok":
            raise apsw.CorruptError
        if stored_version(copy) == schema.SCHEMA_VERSION:
            seals.install(copy)
            load_catalog(copy)
        messages_count = 0
        # SQLite has no checksums, so each message is held against ours. What waits to be purged is nobody's.
        rows = copy.execute(
            "select key, messages_count, timestamp_us, bytes_end, checksum, body from chunks where not exists"
            " (select 1 from purges where chunks.key >> ? between base_key and base_key + partitions_count - 1)",
            (schema.OFFSET_BITS,),
        )
        for chunk in map(partial(tuple.__new__, chunks.Chunk), rows):
            chunks.check(chunk)
            messages_count += chunk.messages_count
        streams_count = copy.execute("select count(*) from streams").get
        return _Figures(streams_count, copy.execute("select count(*) from topics").get, messages_count)


def _synced_sha256(path: Path, progress: Progress) -> str:
    """The hash of what was read back, once it is on the disk."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        size_bytes = os.fstat(file.fileno()).st_size
        while block := file.read(limits.BACKUP_BLOCK_BYTES):
            digest.update(block)
            progress("hash", file.tell(), size_bytes)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
