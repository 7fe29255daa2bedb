"""The file of keys on this disk (shell): read, and replaced as a whole, by one command at a time."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.limits import KEYS_FILE_BYTES_MAX, KEYS_FILE_LOCK_WAIT_S
from bridge.policy.keys_file import KeysFileFaults, StoredKey, decode_keys, encode_keys
from bridge.process.files import read_regular
from bridge.whole_files import replace_file

_TRY_AGAIN_S: Final = 0.02
_Result = TypeVar("_Result")


def read_stored(path: Path) -> list[StoredKey]:
    """What the file holds.

    Raises:
        CommandFailed: if it is not there, or no file of keys.
    """
    try:
        return decode_keys(read_regular(str(path), KEYS_FILE_BYTES_MAX)[0])
    except FileNotFoundError:
        raise CommandFailed(
            "There is no file of keys.", ExitCode.NOT_FOUND, hint=f"`bridge keys add` makes {path}."
        ) from None
    except OSError as error:
        raise CommandFailed(
            f"The file of keys cannot be read: {error.strerror}.", hint=f"See {path}."
        ) from None
    except KeysFileFaults as error:
        raise CommandFailed(
            f"The file of keys is broken: {'; '.join(error.faults)}.",
            hint=f"Mend {path}; nothing was changed.",
        ) from None


def change_stored(
    path: Path, change: Callable[[list[StoredKey]], tuple[list[StoredKey], _Result]], *, makes: bool = False
) -> _Result:
    """Put what *change* makes of the keys in the place of them, whole and synced, or leave all as it was.

    Args:
        makes: whether there may be no file yet; then it is made, for its owner alone.

    Raises:
        CommandFailed: if the file cannot be read or written, or would be none that a bridge takes.
    """
    # Behind a link, the link stays.
    path = path.resolve()
    with _alone(path.parent):
        fresh = makes and not path.exists()
        keys, result = change([] if fresh else read_stored(path))
        data = encode_keys(keys)
        try:
            decode_keys(data)
        except KeysFileFaults as error:
            raise CommandFailed(_without_places(error), ExitCode.USAGE) from None
        try:
            _replace(path, data)
        except OSError as error:
            raise CommandFailed(
                f"The file of keys cannot be written: {error.strerror}.",
                hint=f"See {path}; nothing was changed.",
            ) from None
    return result


def _without_places(error: KeysFileFaults) -> str:
    """What is wrong with the one key that was changed, as its options are called."""
    return "; ".join(dict.fromkeys(each.partition("].")[2] or each for each in error.faults)) + "."


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Held by one command at a time; the kernel lets go for one that dies. The file itself is another one after each change."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandFailed(f"The directory of the file cannot be opened: {error.strerror}.") from None
    try:
        gives_up_s = time.monotonic() + KEYS_FILE_LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > gives_up_s:
                    raise CommandFailed("Another command is changing the file of keys.") from None
                time.sleep(_TRY_AGAIN_S)
        yield
    finally:
        os.close(fd)


def _replace(path: Path, data: bytes) -> None:
    """Mode and owner stay, since it is another who reads it."""
    if not path.exists():
        replace_file(path, data)
        return
    before = path.stat()
    replace_file(path, data, mode=stat.S_IMODE(before.st_mode), owner=(before.st_uid, before.st_gid))
