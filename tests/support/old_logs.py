"""Directories of the embedded log as older bridges made them: their own tables, their own rows."""

import zlib
from pathlib import Path
from struct import Struct
from typing import Any, Final

import apsw
import msgspec

__all__ = ("VERSION_1_TABLES", "make_version_1")

#: The tables of version 1, word for word.
VERSION_1_TABLES: Final = """
create table streams (
    id integer primary key autoincrement,
    name text not null unique,
    created_at_us integer not null
) strict;
create table topics (
    id integer primary key autoincrement,
    stream_id integer not null,
    name text not null,
    created_at_us integer not null,
    base_key integer not null,
    partitions_count integer not null,
    retention_age_s integer,
    retention_size_bytes integer,
    unique (stream_id, name)
) strict;
create table chunks (
    key integer primary key,
    messages_count integer not null,
    timestamp_us integer not null,
    bytes_end integer not null,
    checksum integer not null,
    body blob not null
) strict;
create table trims (
    partition_key integer primary key,
    first_offset integer not null,
    bytes_start integer not null,
    timestamp_us integer not null
) strict;
create table stored_offsets (
    partition_key integer not null,
    consumer any not null,
    "offset" integer not null,
    primary key (partition_key, consumer)
) without rowid, strict;
create table purges (
    base_key integer primary key,
    partitions_count integer not null
) strict;
create table probes (
    id integer primary key,
    filler blob not null
) strict;
"""
_APPLICATION_ID: Final = 0x42524447
_PREFIX: Final = Struct("<qqqq")


def make_version_1(directory: Path, messages: list[tuple[int, bytes, dict[str, Any]]]) -> None:
    """
    A log of version 1: topic `topic` of `stream` with two partitions, *messages* (id, payload, headers) in the second one
    in chunks of two, and an offset stored for the consumer 7.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = apsw.Connection(str(directory / "messages.db"))
    connection.pragma("journal_mode", "wal")
    connection.execute(
        f"begin immediate; {VERSION_1_TABLES}"
        f"pragma application_id = {_APPLICATION_ID}; pragma user_version = 1; commit"
    )
    connection.execute("insert into streams values (1, 'stream', 1000)")
    connection.execute("insert into topics values (1, 1, 'topic', 1000, 0, 2, null, null)")
    connection.execute("insert into stored_offsets values (1, 7, 0)")
    bytes_end = 0
    for offset in range(0, len(messages), 2):
        part = messages[offset : offset + 2]
        # A record for each message, where later versions have columns.
        body = msgspec.msgpack.encode([(id_.to_bytes(16, "big"), *rest) for id_, *rest in part])
        bytes_end += len(body)
        row = ((1 << 40) | offset, len(part), 1_000_000 + offset, bytes_end)
        checksum = zlib.crc32(body, zlib.crc32(_PREFIX.pack(*row)))
        connection.execute("insert into chunks values (?, ?, ?, ?, ?, ?)", (*row, checksum, body))
    connection.close()
