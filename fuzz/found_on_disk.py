"""
Invariant: what others wrote where the bridge reads (records of a ledger, a manifest, a row of messages) is what `encode`
makes, or is told to be none; nothing else happens.
"""

from contextlib import suppress
from typing import Final

from bridge.errors import ConfigError
from bridge.groups.records import decoded, encoded
from bridge.locallog import manifest
from bridge.locallog.chunks import Chunk, DamagedChunk, decode, encode
from bridge.locallog.chunks import check as checked
from bridge.locallog.schema import chunk_key
from bridge.messagelog import NewMessage, NewRecords

__all__ = ("check",)

LEDGER: Final = b"BGL1"


def check_record(payload: bytes) -> None:
    record = decoded(payload)
    if record is not None and decoded(encoded(record)) != record:
        raise AssertionError("a record is not what was read")


def check_manifest(content: bytes) -> None:
    try:
        found = manifest.decode(content)
    except ConfigError:
        return
    if manifest.decode(manifest.encode(found)) != found:
        raise AssertionError("a manifest is not what was read")


def check_row(data: bytes) -> None:
    """A row that holds these bytes, whole and with any of them changed."""
    records = NewRecords.of([NewMessage(payload=part or b"-") for part in data.split(b"\0")[:50]])
    chunk = encode(chunk_key(3, 7), records, timestamp_us=9, bytes_start=11, into=bytearray())
    if [message.payload for message in decode(chunk)] != list(records.payloads):
        raise AssertionError("a payload was changed")
    spoilt = Chunk(*chunk[:-1], body=chunk.body[:-1] + bytes((chunk.body[-1] ^ 1,)))
    with suppress(DamagedChunk):
        checked(spoilt)
        raise AssertionError("a flipped bit was not noticed")


def check(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    match kind:
        case b"l":
            check_record(LEDGER + rest)
            check_record(rest)
        case b"m":
            check_manifest(rest)
        case _:
            check_row(rest)
