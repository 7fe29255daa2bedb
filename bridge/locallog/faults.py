"""What an error of SQLite means for the log (pure)."""

import errno
from enum import Enum, auto
from typing import Final

import apsw

from bridge import limits
from bridge.errors import Outcome, Overloaded

# A quota and a limit on the size of files are as full as a disk; SQLite has a code of its own for the disk alone.
_NO_SPACE: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# After a failed sync nobody knows what is on the disk, whatever the reason was.
_OF_A_SYNC: Final = frozenset((apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC))


class DiskFull(Overloaded):
    """There is no space for what was to be written; nothing of it was."""


class LocalLogFailed(Exception):
    """The disk or the database under the embedded log failed; the process must end (exit 70) and be started anew.

    Nothing is retried: after a failed sync the kernel may have dropped the pages, and a second one "succeeds". It is no
    `BridgeError`, so that nobody takes it for a condition to wait out.
    """


class DiskFault(Enum):
    """What the writer does next."""

    #: No space: nothing was written, later there may be room.
    FULL = auto()
    #: Somebody else holds the database: nothing was written, later it may be free.
    BUSY = auto()
    #: Anything else: stop.
    FATAL = auto()


def fault_of(error: Exception, system_errno: int) -> DiskFault:
    """*system_errno* is what the operating system told SQLite last, 0 if it told nothing."""
    match error:
        case apsw.FullError():
            return DiskFault.FULL
        case apsw.BusyError() | apsw.LockedError():
            return DiskFault.BUSY
        case apsw.IOError() | apsw.CantOpenError() if (
            system_errno in _NO_SPACE and getattr(error, "extendedresult", 0) not in _OF_A_SYNC
        ):
            return DiskFault.FULL
        case _:
            return DiskFault.FATAL


def disk_full() -> DiskFull:
    return DiskFull(
        "There is no space left for the log.",
        outcome=Outcome.NOT_WRITTEN,
        retry_after_ms=int(limits.LOCAL_FULL_RETRY_S * 1_000),
    )
