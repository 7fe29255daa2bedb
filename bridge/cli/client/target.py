"""Which bridge a command talks to, and with which key (shell)."""

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bridge.cli.client.contexts import read_contexts
from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import printable
from bridge.cli.client.tls import AS_USUAL, TlsFiles

URL_VARIABLE: Final = "BRIDGE_URL"
KEY_VARIABLE: Final = "BRIDGE_API_KEY"
_DEFAULT_URL: Final = "http://127.0.0.1:8000"
_KEY_BYTES_MAX: Final = 64 * 1024
_READ_BY_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH


class Target(NamedTuple):
    """A bridge.

    Attributes:
        url: `http://host[:port][/prefix]` or https, without a slash at its end.
        key: None where none is given.
    """

    url: str
    key: str | None
    tls: TlsFiles = AS_USUAL


def target_of(
    url: str | None, key_file: str | None, environ: Mapping[str, str], tls: TlsFiles = AS_USUAL
) -> Target:
    """The bridge that is meant: by the flag, else `BRIDGE_URL`, else the current context, else port 8000 of this machine.

    The key is that of the key file named by the flag, else `BRIDGE_API_KEY`, else, where the context names the bridge, that
    of its key file: a key goes to no other bridge than it was given for.

    Raises:
        CommandFailed: if the address is none, or the key file cannot be read.
    """
    chosen = url or environ.get(URL_VARIABLE, "").strip()
    context = None
    if not chosen:
        contexts = read_contexts(environ)
        context = contexts.contexts.get(contexts.current or "")
    if key_file is not None:
        key: str | None = read_key(key_file)
    elif named := environ.get(KEY_VARIABLE, "").strip():
        if not named.isprintable():
            raise CommandFailed(f"{KEY_VARIABLE} holds no key.", ExitCode.USAGE)
        key = named
    else:
        key = read_key(context.key_file) if context is not None and context.key_file is not None else None
    where = checked_url(chosen or (context.url if context is not None else _DEFAULT_URL))
    return Target(where, key, tls.or_of(environ))


def checked_url(url: str) -> str:
    """*url* without a slash at its end.

    Raises:
        CommandFailed: if it is no address of a bridge.
    """
    try:
        parts = urlsplit(url)
        # The name as a name server is asked for it; UnicodeError is a ValueError.
        host = (parts.hostname or "").encode("idna")
        is_one = parts.scheme in {"http", "https"} and host != b"" and parts.port != 0
        good = is_one and url.isprintable() and " " not in url
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good or parts.query or parts.fragment:
        raise CommandFailed("The address of a bridge is http://host:port, or https.", ExitCode.USAGE)
    if parts.username is not None or parts.password is not None:
        raise CommandFailed(
            "An address holds no user or password.", ExitCode.USAGE, hint=f"Give the key in {KEY_VARIABLE}."
        )
    return url.rstrip("/")


def read_key(path: str) -> str:
    """The key in the file *path*, without the blanks around it; where others can read it too, that is told on stderr.

    Raises:
        CommandFailed: if there is none, or it is no text of one line.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            key = file.read(_KEY_BYTES_MAX).decode().strip()
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"The key file cannot be read: {type(error).__name__}.", ExitCode.USAGE, hint=f"See {path}."
        ) from None
    if not key or not key.isprintable():
        raise CommandFailed("The key file holds no key.", ExitCode.USAGE, hint=f"See {path}.")
    if stat.S_ISREG(mode) and mode & _READ_BY_OTHERS:
        sys.stderr.write(f"bridge: Others can read the key file: chmod 600 {printable(path)}\n")
    return key
