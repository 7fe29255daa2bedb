"""How far a long transfer came (shell): a file of this user, so that the same command goes on after it was cut."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bridge.cli.remote.failures import CommandFailed, ExitCode


class TransferState:
    """One file under `XDG_STATE_HOME`, named by what the transfer is.

    Args:
        identity: what makes it this transfer and no other; no secret.
    """

    def __init__(self, identity: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_STATE_HOME", "")
        base = Path(home) if home else Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
        told = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
        self.path = base / "bridge" / f"{hashlib.sha256(told).hexdigest()[:32]}.json"

    def read(self) -> dict[str, Any] | None:
        """Where it stands; None for a new one.

        Raises:
            CommandFailed: if the file cannot be read.
        """
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
        """It is done, or begins anew."""
        self.path.unlink(missing_ok=True)
