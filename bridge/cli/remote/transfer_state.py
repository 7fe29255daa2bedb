"""How far a long transfer came (shell): a file of this user, so that the same command goes on after it was cut."""

import fcntl
import hashlib
import os
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.cli.client.failures import CommandFailed, ExitCode

#: Where a byte of the file of locks can stand: its place is a signed number of 64 bits.
_LOCK_PLACES: Final = 2**62
_ENDED: Final = ".ended"
#: Who runs the same command again does so soon; a file each is not kept for good.
_ENDED_KEPT_S: Final = 30 * 24 * 3600


def told_now() -> str:
    """This moment, as people are told when a transfer ended."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


class TransferState:
    """One file under `XDG_STATE_HOME`, named by what the transfer is. Whoever reads or clears it has the transfer from then
    on: two that send the same at a time would store it twice.

    Args:
        identity: what makes it this transfer and no other; no secret.
    """

    def __init__(self, identity: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_STATE_HOME", "")
        base = Path(home) if home else Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
        digest = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS))
        self.path = base / "bridge" / f"{digest.hexdigest()[:32]}.json"
        self._ended = self.path.with_suffix(_ENDED)
        self._lock_place = int.from_bytes(digest.digest()) % _LOCK_PLACES
        self._is_ours = False

    def read(self) -> dict[str, Any] | None:
        """Where it stands; None for a new one.

        Raises:
            CommandFailed: if the file cannot be read, or another process is at this transfer.
        """
        return self._read(self.path)

    def ended(self) -> dict[str, Any] | None:
        """What `end` kept of it; None where it is new, or goes on.

        Raises:
            CommandFailed: as `read`.
        """
        return None if self.read() is not None else self._read(self._ended)

    def _read(self, path: Path) -> dict[str, Any] | None:
        self._take()
        try:
            found: dict[str, Any] = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise CommandFailed(
                f"The state of this transfer cannot be read: {type(error).__name__}.",
                ExitCode.USAGE,
                hint=f"Begin anew with --restart, or see {path}.",
            ) from None
        return found

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep *state*; who reads the file sees all of it or what was there before.

        Raises:
            CommandFailed: if it cannot be written.
        """
        self._write(self.path, state)

    def _write(self, path: Path, state: Mapping[str, Any]) -> None:
        beside = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_bytes(orjson.dumps(state))
            beside.replace(path)
        except OSError as error:
            raise CommandFailed(
                f"The state of this transfer cannot be written: {error.strerror}.", hint=f"See {path}."
            ) from None

    def end(self, state: Mapping[str, Any]) -> None:
        """It is done: keep *state* so that the same command is known again, for `_ENDED_KEPT_S`.

        Raises:
            CommandFailed: if it cannot be written.
        """
        self._write(self._ended, state)
        self.path.unlink(missing_ok=True)
        oldest_s = time.time() - _ENDED_KEPT_S
        for each in self.path.parent.glob(f"*{_ENDED}"):
            with suppress(OSError):
                if each.stat().st_mtime < oldest_s:
                    each.unlink()

    def clear(self) -> None:
        """It is done, or begins anew.

        Raises:
            CommandFailed: if another process is at this transfer.
        """
        self._take()
        self.path.unlink(missing_ok=True)
        self._ended.unlink(missing_ok=True)

    def _take(self) -> None:
        """Have the transfer until this process ends, however it does: one file has the locks of all, a byte each."""
        if self._is_ours:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path.with_name("locks"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, fd)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._lock_place)
        except BlockingIOError:
            raise CommandFailed(
                "The same command is at work already.", hint="Let it end, or end it: this one then goes on."
            ) from None
        except OSError as error:
            raise CommandFailed(
                f"The state of this transfer cannot be written: {error.strerror}.",
                hint=f"See {self.path.parent}.",
            ) from None
        self._is_ours = True
