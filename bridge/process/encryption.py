"""Encryption of stored payloads (wiring): its keys are read at start, and again when their file changes."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from bridge.config import Config, ConfigFault, EncryptionConfig
from bridge.errors import ConfigError
from bridge.messagelog import Appender, MessageLog, Page
from bridge.policy.access import parse_reach
from bridge.process.files import reread_secret
from bridge.process.reloads import Reloads
from bridge.telemetry.metrics import EncryptionMetrics


def payloads_can_be_encrypted(config: Config) -> Iterator[ConfigFault]:
    """A rule of the configuration: keys and topics are written as they must be."""
    for topics in config.encryption.topics:
        try:
            parse_reach(topics)
        except ValueError as error:
            yield ConfigFault(("ENCRYPTED_TOPICS",), str(error))
    if config.encryption.keys is None:
        if config.encryption.topics:
            yield ConfigFault(
                ("ENCRYPTED_TOPICS", "ENCRYPTION_KEYS"), "topics are encrypted under keys: set some"
            )
        return
    # 5 MB of a native library that nobody else needs.
    from bridge.encryption import parse_keys  # noqa: PLC0415

    try:
        parse_keys(config.encryption.keys)
    except ValueError as error:
        yield ConfigFault(("ENCRYPTION_KEYS",), str(error))


async def encrypted(
    config: EncryptionConfig,
    log: MessageLog,
    appender: Appender,
    metrics: EncryptionMetrics,
    reloads: Reloads,
) -> tuple[Callable[..., Coroutine[Any, Any, Page]], Appender]:
    """`read` of *log* and *appender*, through which payloads pass in clear.

    Raises:
        ConfigError: if the file of keys was changed since the configuration was read, and cannot be used.
    """
    from bridge import encryption  # noqa: PLC0415 (as above)

    keys = encryption.DataKeys(encryption.parse_keys(config.keys or ""), os.urandom)

    async def load() -> None:
        if config.keys_file is not None:
            text = await asyncio.to_thread(reread_secret, "ENCRYPTION_KEYS_FILE", config.keys_file)
            try:
                keys.use(encryption.parse_keys(text))
            except ValueError as error:
                raise ConfigError((f"ENCRYPTION_KEYS_FILE: {error}",)) from None

    # Of a worker that is started anew the configuration is as old as its parent.
    await load()
    reloads.add("encryption", load)
    payloads = encryption.Payloads(keys)
    reaches = tuple(map(parse_reach, config.topics))
    reader = encryption.DecryptingReader(
        log, payloads, lambda reason, number: metrics.unopened.add(reason, by=number)
    )
    return reader.read, encryption.EncryptingAppender(
        appender, payloads, lambda topic: any(reach.has(*topic) for reach in reaches)
    )
