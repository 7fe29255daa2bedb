"""This machine as a bridge would meet it (shell): port, disk, clock, open files, the way to Iggy."""

import os
import resource
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bridge import limits
from bridge.cli.doctor.findings import Finding, Level, certificate_ends
from bridge.config import Config
from bridge.errors import StartupError
from bridge.policy.keys_file import decode_keys
from bridge.process.files import read_regular
from bridge.process.ports import take_ports

#: A connection each, the files of the log, and some for whatever else a process opens.
_OPEN_FILES: Final = limits.CONNECTIONS_MAX + 500
_FREE_BYTES_LOW: Final = 1024**3
_SYNCS: Final = 20
_SYNC_BYTES: Final = 4096
_SYNC_SLOW_MS: Final = 10.0
_SYNC_TOO_SLOW_MS: Final = 100.0
#: Faster than any disk that keeps what it says: memory, or a cache that lies.
_SYNC_NOTHING_MS: Final = 0.005
_CONNECT_S: Final = 3.0
_KEY_ENDS_SOON: Final = timedelta(days=7)
_CLOCK_S: Final = 1.0


def port(config: Config) -> Finding:
    """Whether the port can be taken."""
    host, number = config.http.host, config.http.port
    try:
        for share in take_ports(host, number, 1):
            for each in share:
                each.close()
    except StartupError as error:
        return Finding(
            "port", Level.FAIL, str(error), "End who listens there (`ss -ltnp`), or set PORT or HOST."
        )
    return Finding("port", Level.OK, f"{host}:{number} is free.")


def certificate(config: Config) -> Finding:
    """How long the certificate in the file lasts; the settings are good, so it can be read."""
    from bridge.process.tls import load_tls  # noqa: PLC0415 (megabytes of a library)

    return certificate_ends(load_tls(config.tls).not_after_s, time.time())


def _directory(config: Config) -> Path:
    """Where the embedded log is, or would be made."""
    path = Path(config.local.data_dir).absolute()
    while not path.exists():
        path = path.parent
    return path


def disk(config: Config) -> Finding:
    """Whether the embedded log can write, and for how long."""
    path = _directory(config)
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return Finding(
            "disk",
            Level.FAIL,
            "DATA_DIR cannot be written.",
            "Give its user the right to write there, or set DATA_DIR.",
        )
    free = shutil.disk_usage(path).free
    told = f"{free / 1024**3:.1f} GiB free for DATA_DIR."
    if free <= 2 * limits.LOCAL_RESERVE_BYTES:
        return Finding("disk", Level.FAIL, told, "Make room: writes get 503, reads and deletions go on.")
    if free < _FREE_BYTES_LOW:
        return Finding("disk", Level.WARN, told, "Make room, or give topics a retention (PATCH retention).")
    return Finding("disk", Level.OK, told)


def sync_speed(config: Config) -> Finding:
    """How long the disk takes to keep 4 KiB: an append waits so long, shared by all that come meanwhile."""
    spent_ms: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=_directory(config)) as file:
            for _ in range(_SYNCS):
                file.write(bytes(_SYNC_BYTES))
                file.flush()
                began_s = time.perf_counter()
                os.fsync(file.fileno())
                spent_ms.append((time.perf_counter() - began_s) * 1000)
    except OSError as error:
        return Finding("sync speed", Level.FAIL, f"Nothing could be written: {error.strerror}.", "See disk.")
    middle_ms = statistics.median(spent_ms)
    told = f"A sync takes {middle_ms:.2f} ms, at most {max(spent_ms):.1f} ms."
    if middle_ms >= _SYNC_TOO_SLOW_MS:
        return Finding(
            "sync speed", Level.FAIL, told, "Put DATA_DIR on another disk: each write waits for a sync."
        )
    if middle_ms >= _SYNC_SLOW_MS:
        return Finding(
            "sync speed", Level.WARN, told, "A local SSD makes single writers faster; many share a sync."
        )
    if middle_ms < _SYNC_NOTHING_MS:
        return Finding(
            "sync speed", Level.WARN, told, "This looks like memory: what is there is lost with the power."
        )
    return Finding("sync speed", Level.OK, told)


def clock(config: Config) -> Finding:
    """Whether the clock is behind what was written already: leases do not end until it has caught up."""
    newest_s = max((each.stat().st_mtime for each in _files(config)), default=0.0)
    ahead_s = newest_s - time.time()
    if ahead_s > _CLOCK_S:
        return Finding(
            "clock",
            Level.FAIL,
            f"The clock is {ahead_s:.0f} s behind files of the log.",
            "Set it, and keep it set (NTP).",
        )
    return Finding("clock", Level.OK, "The clock is not behind the files of the log.")


def _files(config: Config) -> Iterator[Path]:
    path = Path(config.local.data_dir)
    if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
        yield from (each for each in path.iterdir() if each.is_file())


def open_files() -> Finding:
    """Whether as many files can be open as a full bridge needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return Finding("open files", Level.OK, f"{soft} may be open.")
    enough = hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES
    cure = (
        f"`ulimit -n {_OPEN_FILES}` in the shell that serves"
        if enough
        else f"LimitNOFILE={_OPEN_FILES} of its unit"
    )
    return Finding(
        "open files",
        Level.WARN,
        f"{soft} may be open; {limits.CONNECTIONS_MAX} connections need {_OPEN_FILES}.",
        f"{cure}, or the like of its container.",
    )


def iggy(addresses: tuple[str, ...]) -> Iterator[Finding]:
    """Whether each node can be reached by TCP."""
    for address in addresses:
        host, _, number = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(number)), timeout=_CONNECT_S):
                pass
        except OSError as error:
            why = error.strerror or type(error).__name__
            cure = "Start Iggy there, open the way to it, or set IGGY_CONNECTION_STRING."
            yield Finding("iggy", Level.FAIL, f"{address} cannot be reached: {why}.", cure)
        else:
            yield Finding("iggy", Level.OK, f"{address} can be reached.")


def keys(config: Config, now: datetime) -> Iterator[Finding]:
    """How many keys of the file are in force, and which end soon."""
    if config.http.keys_file is None:
        return
    stored = decode_keys(read_regular(config.http.keys_file, limits.KEYS_FILE_BYTES_MAX)[0])
    in_force = [each for each in stored if not each.ended(now)]
    if not in_force:
        yield Finding("keys", Level.WARN, "No key of KEYS_FILE is in force.", "`bridge keys add`")
        return
    yield Finding("keys", Level.OK, f"{len(in_force)} of {len(stored)} keys are in force.")
    lasting = {
        each.name for each in in_force if each.expires_at is None or each.expires_at - now > _KEY_ENDS_SOON
    }
    for name in sorted({each.name for each in in_force} - lasting):
        yield Finding(
            "keys", Level.WARN, f"The last key of {name} ends within a week.", f"`bridge keys rotate {name}`"
        )
