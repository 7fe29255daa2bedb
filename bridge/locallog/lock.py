"""One process at a time in a directory (shell)."""

import fcntl
import os
from pathlib import Path
from typing import Final

from bridge.errors import StartupError

__all__ = ("DirectoryLock",)

_FILE_NAME: Final = "bridge.lock"


class DirectoryLock:
    """
    Holds the directory until `release`; the kernel lets go of it when the process dies, however it dies.

    Raises:
        StartupError: if another process holds it, or the directory cannot be written.
    """

    __slots__ = ("_fd",)

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(directory / _FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(f"DATA_DIR cannot be used: {os.strerror(error.errno or 0)}.") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StartupError(
                "DATA_DIR is in use by another bridge. Stop that one, or set DATA_DIR to another directory."
            ) from error

    def release(self) -> None:
        os.close(self._fd)
