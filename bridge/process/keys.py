"""The keys of a configuration (wiring): read at start, and again when their file changes; of their pepper, whether it changes."""

import asyncio
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import structlog

from bridge.clock import Clock
from bridge.config import Config, HttpConfig
from bridge.config.parse import without_line_break
from bridge.config.rules import ConfigFault, is_loopback
from bridge.errors import ConfigError
from bridge.limits import KEYS_FILE_BYTES_MAX
from bridge.policy.key_ring import Key, KeyRing
from bridge.policy.keys_file import KeysFileFaults, decode_keys, keys_of
from bridge.process.files import read_regular, reread_secret
from bridge.process.reloads import Reloads
from bridge.telemetry.process_metrics import KeyMetrics

#: What group and others may at most: its group may read it, as a mounted secret is given to a container's.
_MODE_MOST: Final = 0o640

_OTHER_PEPPER: Final = (
    "KEYS_PEPPER_FILE: holds another pepper than the one in force, so keys that are made now are refused: put the old one "
    "back, or hand all keys out anew and restart the bridge"
)

_log = structlog.get_logger("bridge.serve")


def _read(config: Config) -> tuple[list[Key], int]:
    """The keys that *config* names a file of, and the mode of that file; at a start twice, and decoded once.

    Raises:
        KeysFileFaults: with all that is wrong.
    """
    try:
        data, mode = read_regular(config.http.keys_file or "", KEYS_FILE_BYTES_MAX)
    except OSError as error:
        raise KeysFileFaults([f"the file cannot be read: {error.strerror}"]) from None
    return _decoded(data, has_pepper=config.http.keys_pepper is not None), stat.S_IMODE(mode)


@lru_cache(1)
def _decoded(data: bytes, *, has_pepper: bool) -> list[Key]:
    return keys_of(decode_keys(data), has_pepper=has_pepper)


def keys_can_be_used(config: Config) -> Iterator[ConfigFault]:
    """A rule of the configuration: a file of keys that is named holds some, and nothing else."""
    http = config.http
    if http.keys_file is None:
        return
    try:
        keys, _ = _read(config)
    except KeysFileFaults as error:
        for fault in error.faults:
            yield ConfigFault(("KEYS_FILE",), fault)
        return
    if not keys and http.api_key is None and not http.allow_anonymous and not is_loopback(http.host):
        yield ConfigFault(
            ("HOST", "KEYS_FILE"),
            "the file holds no key, so nobody could use this address: add one (`bridge keys add`), or set API_KEY",
        )


async def key_ring(config: Config, clock: Clock, reloads: Reloads, metrics: KeyMetrics) -> KeyRing | None:
    """The ring of the keys that *config* names a file of, replaced as a whole at each reload; None where it names none.

    Raises:
        ConfigError: if the file cannot be used.
    """
    if config.http.keys_file is None:
        return None
    pepper = config.http.keys_pepper
    ring = KeyRing(pepper=None if pepper is None else pepper.encode())

    async def load() -> None:
        try:
            keys, mode = await asyncio.to_thread(_read, config)
        except KeysFileFaults as error:
            raise ConfigError(tuple(f"KEYS_FILE: {fault}" for fault in error.faults)) from None
        # Else the bytes of the file would stay in memory as well.
        _decoded.cache_clear()
        ring.replace(keys)
        metrics.known(ring.ids)
        if mode & ~_MODE_MOST:
            _log.warning("keys_file_open_to_others", advice="chmod 600 the file that KEYS_FILE names")
        in_force = ring.in_force(clock.wall_s())
        if not in_force:
            _log.warning("no_key_in_force", advice="bridge keys add, on the file that KEYS_FILE names")

    async def reload() -> None:
        try:
            await load()
        except ConfigError as error:
            # One line may be too short for all of them.
            for fault in error.faults:
                _log.error("keys_file_fault", detail=fault)
            raise
        _log.info("keys_in_force", keys=ring.in_force(clock.wall_s()))

    def ask() -> None:
        now_s = clock.wall_s()
        metrics.tell(in_force=ring.in_force(now_s), next_end_s=ring.next_end_s(now_s))

    metrics.ask = ask
    await load()
    reloads.add("keys", reload)
    await _watch_pepper(config.http, reloads)
    return ring


async def _watch_pepper(http: HttpConfig, reloads: Reloads) -> None:
    """Have it told when the file of the pepper holds another one.

    It is not taken: every key that was hashed under the old one would be wrong at once, and whoever was let in shut out. To
    be silent is as bad: `bridge keys` hashes under the new one what this process then refuses, and a restart takes it.
    """
    path = http.keys_pepper_file
    # What came through a pipe is gone.
    if path is None or not await asyncio.to_thread(Path(path).is_file):
        return

    async def compare() -> None:
        text = await asyncio.to_thread(reread_secret, "KEYS_PEPPER_FILE", path)
        if without_line_break(text) != http.keys_pepper:
            raise ConfigError((_OTHER_PEPPER,))

    reloads.add("pepper", compare)
