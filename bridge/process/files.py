"""Files that belong to a configuration (shell): those that it names, and the key of cursors beside the embedded log."""

import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from bridge.config import Config, SecretFile
from bridge.errors import ConfigError, StartupError
from bridge.policy.cursors import CURSOR_KEY_CHARS_MIN
from bridge.whole_files import replace_file

#: In DATA_DIR; may be named by CURSOR_KEY_FILE as it is, where another bridge shall read the same cursors.
CURSOR_KEY_FILE: Final = "cursor.key"

#: As strong as what is made of it.
_KEY_BYTES: Final = 32

# A connection string is the longest secret, below 1 KiB; more is the wrong file, /dev/zero for one.
_SECRET_BYTES_MAX: Final = 64 * 1024
_TOML_BYTES_MAX: Final = 1024 * 1024

_log = structlog.get_logger("bridge.serve")


def open_regular(path: str) -> BinaryIO:
    """The file at *path*, to read.

    Raises:
        OSError: if it cannot be opened, or is no regular file: a pipe would be waited for without end, a device has none.
    """
    # What is no pipe takes no notice of the flag.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 (handed on)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(0, "it is no regular file, which can be read again")


def read_regular(path: str, bytes_max: int) -> tuple[bytes, int]:
    """What the file at *path* holds, and its mode; one that is read again while the bridge serves.

    Raises:
        OSError: as `open_regular`, or if it cannot be read or is larger than *bytes_max*.
    """
    with open_regular(path) as file:
        return _bounded(file, bytes_max)


def _bounded(file: BinaryIO, bytes_max: int) -> tuple[bytes, int]:
    data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise OSError(0, f"larger than {bytes_max} bytes")
    return data, os.fstat(file.fileno()).st_mode


def _read(path: str, bytes_max: int) -> tuple[str, int]:
    with Path(path).open("rb") as file:
        data, mode = _bounded(file, bytes_max)
    return data.decode(), mode


def read_secret(path: str) -> SecretFile:
    """The file of a secret.

    Raises:
        OSError: if it cannot be read, or is too large for a secret.
        UnicodeDecodeError: if it is no UTF-8.
    """
    text, mode = _read(path, _SECRET_BYTES_MAX)
    return SecretFile(text, open_to_others=bool(mode & stat.S_IROTH))


def reread_secret(name: str, path: str) -> str:
    """The text of the file of a secret that is read again while the bridge serves.

    Args:
        name: of the setting that names it, such as `KEYS_PEPPER_FILE`.

    Raises:
        ConfigError: if it cannot be read, as `read_regular` says, or is no UTF-8.
    """
    try:
        return read_regular(path, _SECRET_BYTES_MAX)[0].decode()
    except OSError as error:
        raise ConfigError((f"{name}: the file cannot be read: {error.strerror}",)) from None
    except UnicodeDecodeError:
        raise ConfigError((f"{name}: the file holds no UTF-8 text",)) from None


def read_toml(path: str) -> str:
    """The text of the `--config` file.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        return _read(path, _TOML_BYTES_MAX)[0]
    except UnicodeDecodeError:
        raise ConfigError(("--config: the file holds no UTF-8 text",)) from None
    except OSError as error:
        raise ConfigError((f"--config: the file cannot be read: {error.strerror}",)) from None


def cursor_key_of(config: Config) -> str:
    """The key that *config* names, else one that is made.

    For an embedded log it is made once and kept beside it, so that live readers go on after a restart; the caller holds
    that directory, so that no two processes make one. On Iggy it lives as long as this process: nothing here is shared with
    the other replicas, who would refuse its cursors anyhow.

    Raises:
        StartupError: if the key that is kept cannot be read, or is none.
    """
    if config.http.cursor_key is not None:
        return config.http.cursor_key
    kept = _kept(Path(config.local.data_dir)) if config.iggy.connection_string is None else None
    if kept is not None:
        return kept
    _log.warning(
        "cursor_key_made",
        advice="CURSOR_KEY is not set: cursors end with this process, and other replicas refuse them",
    )
    return secrets.token_urlsafe(_KEY_BYTES)


def _kept(directory: Path) -> str | None:
    """The key in *directory*, made if there is none; None where it could not be written."""
    path = directory / CURSOR_KEY_FILE
    try:
        secret = read_secret(str(path))
    except FileNotFoundError:
        return _made(path)
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"{CURSOR_KEY_FILE} in DATA_DIR cannot be read.") from error
    key = secret.text.strip()
    if len(key) < CURSOR_KEY_CHARS_MIN:
        raise StartupError(
            f"{CURSOR_KEY_FILE} in DATA_DIR holds no key of {CURSOR_KEY_CHARS_MIN} characters or more. "
            "Put the one of before back, or remove the file: cursors of before are then refused."
        )
    if secret.open_to_others:
        _log.warning("cursor_key_open_to_others", advice=f"chmod 600 {CURSOR_KEY_FILE} in DATA_DIR")
    return key


def _made(path: Path) -> str | None:
    """A new key, in the file as a whole or not at all.

    A disk that is full is no reason not to serve: what makes room on it is asked over HTTP.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    try:
        replace_file(path, f"{key}\n".encode())
    except OSError as error:
        _log.warning("cursor_key_not_kept", error=os.strerror(error.errno or 0))
        return None
    _log.info("cursor_key_kept", file=CURSOR_KEY_FILE)
    return key
