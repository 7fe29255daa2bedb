"""How far a long transfer came (shell): a file of this user, so that the same command goes on after it was cut."""

import fcntl
import hashlib
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.cli.remote.failures import CommandFailed, ExitCode

#: Where a byte of the file of locks can stand: its place is a signed number of 64 bits.
_LOCK_PLACES: Final = 2**62


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
        self._lock_place = int.from_bytes(digest.digest()) % _LOCK_PLACES
        self._is_ours = False

    def read(self) -> dict[str, Any] | None:
        """Where it stands; None for a new one.

        Raises:
            CommandFailed: if the file cannot be read, or another process is at this transfer.
        """
        self._take()
        try:
            found: dict[str, Any] = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise CommandFailed(
                f"The state of this transfer cannot be read: {type(error).__name__}.",
                ExitCode.USAGE,
                hint=f"Begin anew with --restart, or see {self.path}.",
            ) from None
        return found

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep *state*; who reads the file sees all of it or what was there before.

        Raises:
            CommandFailed: if it cannot be written.
        """
        beside = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_bytes(orjson.dumps(state))
            beside.replace(self.path)
        except OSError as error:
            raise CommandFailed(
                f"The state of this transfer cannot be written: {error.strerror}.", hint=f"See {self.path}."
            ) from None

    def clear(self) -> None:
        """It is done, or begins anew.

        Raises:
            CommandFailed: if another process is at this transfer.
        """
        self._take()
        self.path.unlink(missing_ok=True)

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
