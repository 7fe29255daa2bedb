"""The tables of the embedded log and how a place in it becomes a key (pure).

Messages lie in chunks: what one commit brings to one partition shares a row, up to `LOCAL_CHUNK_MESSAGES_MAX`. With a
row for each message, every row costs two hand-overs of the interpreter lock: beside a busy event loop 64 inserts took
0.59 ms instead of 0.14 ms, and a read of 100 messages 0.46 ms instead of 0.12 ms (measured). The key is the rowid, as
rows of a few KiB in a WITHOUT ROWID table were a quarter slower to write (measured), and it orders chunks by partition
and offset. Sizes are kept as a running total of the partition, so that no figure ever needs a scan: a partition's newest
chunk tells its next offset and its bytes, its row in `trims` (written by retention alone) tells where it begins. Each
commit writes the ends of its partitions into `ends` too: a tree of chunks that lost its newest page looks whole. That takes
one more page of the write-ahead log a commit: 21,000 instructions (measured), of 459,000 for each of the 64 POST that share it.

The partitions of a topic have keys side by side: those it was made with, and those added later, which have a range of
their own for each addition (`extensions`). A topic that is purged gets one fresh range for all of them.
"""

from typing import Final

#: "BRDG", so that `file` and we ourselves know whose database this is.
APPLICATION_ID: Final = 0x42524447
SCHEMA_VERSION: Final = 4

OFFSET_BITS: Final = 40
#: At 20,000 messages a second into one partition this lasts 20 months.
PARTITION_OFFSETS_MAX: Final = 1 << OFFSET_BITS

# Those that are as old as version 3.
_SEALED: Final = {
    "streams": "id, name, created_at_us",
    "topics": "id, stream_id, name, created_at_us, base_key, partitions_count, retention_age_s, retention_size_bytes",
    "extensions": "base_key, topic_id, first_partition, partitions_count",
    "trims": "partition_key, first_offset, bytes_start, timestamp_us",
    "stored_offsets": 'partition_key, consumer, "offset"',
    "purges": "base_key, partitions_count",
}
#: The tables whose rows end with a checksum, and the columns that it is over: `row_checksum` of `seals.py`. Chunks have their own.
SEALED: Final = {**_SEALED, "ends": "partition_key, next_offset, bytes_end, timestamp_us"}

_EXTENSIONS: Final = """
create table extensions (
    base_key integer primary key,
    topic_id integer not null,
    first_partition integer not null,
    partitions_count integer not null,
    unique (topic_id, first_partition)
) strict;
"""

_SEALS: Final = "".join(
    f"alter table {table} add column checksum integer not null default 0;"  # noqa: S608 (names of ours)
    f"update {table} set checksum = row_checksum({columns});"
    for table, columns in _SEALED.items()
)

_ENDS: Final = """
create table ends (
    partition_key integer primary key,
    next_offset integer not null,
    bytes_end integer not null,
    timestamp_us integer not null,
    checksum integer not null
) strict;
"""
# What an older bridge left, as it is found: one seek for each partition that has messages; one of which retention took all
# ends where it begins. A tree that leads back into itself gives a key again, and `union` ends there.
_FOUND_ENDS: Final = f"""
insert into ends select partition_key, first_offset, bytes_start, timestamp_us, 0 from trims;
with recursive newest (key) as (
    select (select key from chunks order by key desc limit 1)
    union
    select (select key from chunks where key < newest.key >> {OFFSET_BITS} << {OFFSET_BITS} order by key desc limit 1)
    from newest where newest.key is not null
)
insert or replace into ends
select key >> {OFFSET_BITS}, (key & {PARTITION_OFFSETS_MAX - 1}) + messages_count, bytes_end, timestamp_us, 0
from newest join chunks using (key);
update ends set checksum = row_checksum(partition_key, next_offset, bytes_end, timestamp_us);
"""  # noqa: S608 (numbers of ours)

TABLES: Final = (
    _EXTENSIONS
    + """
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
    + _SEALS
    + _ENDS
)

#: What makes a log of an older version into one of the next.
UPGRADES: Final = {1: _EXTENSIONS, 2: _SEALS, 3: _ENDS + _FOUND_ENDS}


def chunk_key(partition_key: int, offset: int) -> int:
    """Key of the chunk that begins at *offset*; *partition_key* fits 23 bits."""
    return (partition_key << OFFSET_BITS) | offset


def partition_of(key: int) -> int:
    """The partition key within a chunk's key."""
    return key >> OFFSET_BITS


def offset_of(key: int) -> int:
    """The offset within a chunk's key."""
    return key & (PARTITION_OFFSETS_MAX - 1)
