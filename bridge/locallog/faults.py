"""What an error of SQLite means for the log (pure)."""

from enum import Enum, auto

import apsw

__all__ = ("Fault", "LocalLogFailed", "fault_of")


class LocalLogFailed(Exception):
    """
    The disk or the database under the embedded log failed; the process must end (exit 70) and be started anew.

    Nothing is retried: after a failed sync the kernel may have dropped the pages, and a second one "succeeds". It is no
    `BridgeError`, so that nobody takes it for a condition to wait out.
    """


class Fault(Enum):
    """What the writer does next."""

    #: No space: nothing was written, later there may be room.
    FULL = auto()
    #: Somebody else holds the database: nothing was written, later it may be free.
    BUSY = auto()
    #: Anything else: stop.
    FATAL = auto()


def fault_of(error: Exception) -> Fault:
    match error:
        case apsw.FullError():
            return Fault.FULL
        case apsw.BusyError() | apsw.LockedError():
            return Fault.BUSY
        case _:
            return Fault.FATAL
