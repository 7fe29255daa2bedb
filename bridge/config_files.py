"""The files that a configuration names (shell)."""

import os
import stat
from pathlib import Path
from typing import Final

from bridge.config import SecretFile
from bridge.errors import ConfigError

__all__ = ("read_secret", "read_toml")

# A connection string is the longest secret, below 1 KiB; more is the wrong file, /dev/zero for one.
_SECRET_BYTES_MAX: Final = 64 * 1024
_TOML_BYTES_MAX: Final = 1024 * 1024


def _read(path: str, bytes_max: int) -> tuple[str, int]:
    with Path(path).open("rb") as file:
        data = file.read(bytes_max + 1)
        mode = os.fstat(file.fileno()).st_mode
    if len(data) > bytes_max:
        raise OSError(0, f"larger than {bytes_max} bytes")
    return data.decode(), mode


def read_secret(path: str) -> SecretFile:
    """
    The file of a secret.

    Raises:
        OSError: if it cannot be read, or is too large for a secret.
        UnicodeDecodeError: if it is no UTF-8.
    """
    text, mode = _read(path, _SECRET_BYTES_MAX)
    return SecretFile(text, open_to_others=bool(mode & stat.S_IROTH))


def read_toml(path: str) -> str:
    """
    The text of the `--config` file.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        return _read(path, _TOML_BYTES_MAX)[0]
    except UnicodeDecodeError:
        raise ConfigError(("--config: the file holds no UTF-8 text",)) from None
    except OSError as error:
        raise ConfigError((f"--config: the file cannot be read: {error.strerror}",)) from None
