"""Named bridges of this user (shell): one JSON file under `XDG_CONFIG_HOME`, with addresses and paths of key files, no keys."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from bridge.cli.client.failures import CommandFailed, ExitCode

_ONLY_OWNER: Final = 0o600
_ONLY_OWNER_DIRECTORY: Final = 0o700


class BridgeContext(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where a bridge is, and the file that holds its key."""

    url: str
    key_file: str | None = None


class Contexts(msgspec.Struct, forbid_unknown_fields=True):
    """All of them; *current* names the one that is used where nothing else is said."""

    current: str | None = None
    contexts: dict[str, BridgeContext] = {}


def config_path(environ: Mapping[str, str]) -> Path:
    """The file, whether or not it is there."""
    home = environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home else Path(environ.get("HOME") or "~").expanduser() / ".config"
    return base / "bridge" / "contexts.json"


def read_contexts(environ: Mapping[str, str]) -> Contexts:
    """What the file holds; nothing where there is none.

    Raises:
        CommandFailed: if it cannot be read or understood.
    """
    path = config_path(environ)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contexts)
    except FileNotFoundError:
        return Contexts()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"The contexts cannot be read: {type(error).__name__}.",
            ExitCode.USAGE,
            hint=f"Mend or delete {path}.",
        ) from None


def write_contexts(contexts: Contexts, environ: Mapping[str, str]) -> None:
    """Put *contexts* into the file at once, readable by its owner alone.

    Raises:
        CommandFailed: if it cannot be written.
    """
    path = config_path(environ)
    try:
        path.parent.mkdir(mode=_ONLY_OWNER_DIRECTORY, parents=True, exist_ok=True)
        # Made with mode 0600; nobody ever sees half a file.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".contexts")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(contexts)) + b"\n")
        Path(name).chmod(_ONLY_OWNER)
        Path(name).replace(path)
    except OSError as error:
        raise CommandFailed(
            f"The contexts cannot be written: {error.strerror}.", hint=f"See {path}."
        ) from None
