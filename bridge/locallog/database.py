"""The database file: opened, checked, made, and read into memory once (shell)."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import apsw
import structlog

from bridge import limits
from bridge.errors import StartupError
from bridge.locallog import schema, seals
from bridge.locallog.catalog import (
    EMPTY,
    Catalog,
    KeyRange,
    PartitionState,
    StreamState,
    TopicState,
    Watermarks,
)
from bridge.locallog.faults import DiskFault, fault_of
from bridge.locallog.space import Space, StatVfs
from bridge.locallog.wal import lost_commits
from bridge.messagelog import Retention
from bridge.whole_files import sync_directory

_LOG = structlog.get_logger("bridge.locallog")

FILE_NAME: Final = "messages.db"

DAMAGED: Final = (
    "The embedded log in DATA_DIR is damaged; restore it from a copy, or set DATA_DIR to an empty directory."
)
_LOST: Final = (
    "The write-ahead log of the embedded log in DATA_DIR is damaged, and the newest messages are lost with it. Restore a copy;"
    " or take what is left with `bridge backup`, and restore that into another directory."
)
_UNUSABLE: Final = "The embedded log in DATA_DIR cannot be used: its disk fails."
_NO_SPACE: Final = "There is no space left for the embedded log in DATA_DIR: free some, 1 MiB at least."
FOREIGN: Final = (
    f"DATA_DIR holds a {FILE_NAME} that is no log of a bridge; set DATA_DIR to another directory."
)
NEWER: Final = (
    "The log in DATA_DIR was written by a newer bridge; start that version, or restore a backup from before the upgrade"
    " into another directory."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tests may change and no setting reaches.

    Attributes:
        synchronous: "off" makes a test suite fast and a log unsafe.
        connect: makes connections; faults are put in here.
        pages_max: size of the database in pages, to fill a "disk".
        statvfs: tells how large the disk is, and what of it is free.
    """

    synchronous: Literal["full", "off"] = "full"
    connect: Callable[[str, int], apsw.Connection] = apsw.Connection
    pages_max: int | None = None
    statvfs: StatVfs = os.statvfs


class NoSpaceLeft(StartupError):
    """The log cannot be opened for want of space."""


def open_writer(directory: Path, tuning: Tuning, space: Space) -> apsw.Connection:
    """The one connection that writes.

    Raises:
        NoSpaceLeft: if there is not even space to open it.
        StartupError: if the file is foreign, damaged, of a newer schema, or cannot be opened.
    """
    try:
        connection = tuning.connect(
            str(directory / FILE_NAME), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        )
    except apsw.Error as error:
        raise StartupError("The embedded log in DATA_DIR cannot be opened.") from error
    try:
        _prepare(connection, directory, tuning, space)
        # What a process that was killed left in the write-ahead log may have to stay there.
        space.adjust(connection, unmoved_pages=space.wal_pages)
    except (apsw.CorruptError, apsw.FormatError) as error:
        connection.close(True)
        raise StartupError(DAMAGED) from error
    except apsw.NotADBError as error:
        connection.close(True)
        raise StartupError(FOREIGN) from error
    except apsw.Error as error:
        full = fault_of(error, connection.system_errno) is DiskFault.FULL
        connection.close(True)
        raise (NoSpaceLeft(_NO_SPACE) if full else StartupError(_UNUSABLE)) from error
    except StartupError:
        connection.close(True)
        raise
    return connection


def open_reader(directory: Path, tuning: Tuning) -> apsw.Connection:
    """A connection that cannot write; the writer's must be open.

    Raises:
        StartupError: if it cannot be opened.
    """
    try:
        connection = tuning.connect(str(directory / FILE_NAME), apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(limits.LOCAL_BUSY_TIMEOUT_MS)
        connection.pragma("query_only", True)
    except apsw.Error as error:
        raise StartupError(_UNUSABLE) from error
    return connection


def stored_version(connection: apsw.Connection) -> int | None:
    """Version of the tables: 0 in an empty database, None in one of another program."""
    application_id: int = connection.pragma("application_id")
    version: int = connection.pragma("user_version")
    if application_id == schema.APPLICATION_ID:
        return version
    if application_id or version or connection.execute("select count(*) from sqlite_schema").get:
        return None
    # Of a file that is shorter than the shortest page SQLite makes a new database.
    return None if connection.pragma("page_count") == 0 < Path(connection.filename).stat().st_size else 0


def load_catalog(connection: apsw.Connection) -> Catalog:
    """Everything in memory of what is stored, by one seek for each partition that has messages; no message is read.

    Raises:
        StartupError: if the database is damaged.
    """
    try:
        # Page by page, where a lost row would be a topic or a consumer's place that nobody misses: 5 ms for 100,000 places
        # (measured). Chunks are checked as they are read.
        for table in schema.SEALED:
            if connection.pragma("quick_check", table) != "ok":
                raise StartupError(DAMAGED)
        seals.check_rows(connection)
        return _load(connection)
    # A value that is none where the tables are strict is a damaged row.
    except (apsw.Error, KeyError, TypeError) as error:
        raise StartupError(DAMAGED) from error


def _prepare(connection: apsw.Connection, directory: Path, tuning: Tuning, space: Space) -> None:
    connection.set_busy_timeout(limits.LOCAL_BUSY_TIMEOUT_MS)
    # What SQLite keeps of a statement while it runs belongs on no disk, least of all a full one.
    connection.pragma("temp_store", "memory")
    seals.install(connection)
    version = _own_version(connection)
    frames_count, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if lost_commits(directory / f"{FILE_NAME}-wal", max(0, frames_count)):
        # Else closing would move what SQLite took of it into the database, and delete the rest.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        raise StartupError(_LOST)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StartupError("The file system of DATA_DIR cannot hold the embedded log; use a local disk.")
    connection.pragma("synchronous", tuning.synchronous)
    connection.pragma("fullfsync", True)
    connection.pragma("checkpoint_fullfsync", True)
    connection.pragma("journal_size_limit", space.wal_bytes_max)
    # The writer checkpoints by itself: SQLite's automatic one swallows errors, a failed sync among them.
    connection.pragma("wal_autocheckpoint", 0)
    space.lift(connection)
    if version == 0:
        connection.execute(
            f"begin immediate; {schema.TABLES}"
            f"pragma application_id = {schema.APPLICATION_ID}; pragma user_version = {schema.SCHEMA_VERSION}; commit"
        )
        sync_directory(directory)
        sync_directory(directory.parent)
        return
    if version < schema.SCHEMA_VERSION:
        # All steps in one transaction: whatever ends it, the log is what it was or what it is to be.
        steps = "".join(
            f"{schema.UPGRADES[older]} pragma user_version = {older + 1};"
            for older in range(version, schema.SCHEMA_VERSION)
        )
        connection.execute(f"begin immediate; {steps} commit")
        _LOG.info("embedded_log_upgraded", from_version=version, to_version=schema.SCHEMA_VERSION)


def _own_version(connection: apsw.Connection) -> int:
    """Version of the log that is to be served, 0 for an empty file."""
    version = stored_version(connection)
    if version is None:
        raise StartupError(FOREIGN)
    if version > schema.SCHEMA_VERSION:
        raise StartupError(NEWER)
    if version < 0:
        raise StartupError(DAMAGED)
    return version


def _load(connection: apsw.Connection) -> Catalog:
    catalog = Catalog()
    streams: dict[int, StreamState] = {}
    for stream_id, name, created_at_us in connection.execute("select id, name, created_at_us from streams"):
        stream = StreamState(id=stream_id, name=name, created_at_us=created_at_us)
        streams[stream_id] = catalog.streams[name] = stream
    ranges: dict[int, list[KeyRange]] = {}
    for topic_id, *keys in connection.execute(
        "select topic_id, base_key, partitions_count from extensions order by topic_id, first_partition"
    ):
        ranges.setdefault(topic_id, []).append(KeyRange(*keys))
    partitions: dict[int, PartitionState] = {}
    for row in connection.execute(
        "select id, stream_id, name, created_at_us, base_key, partitions_count, retention_age_s,"
        " retention_size_bytes from topics"
    ):
        topic_id, stream_id, name, created_at_us, base_key, count, age_s, size_bytes = row
        topic = TopicState(
            topic_id=topic_id,
            stream_id=stream_id,
            name=name,
            created_at_us=created_at_us,
            ranges=(KeyRange(base_key, count), *ranges.get(topic_id, ())),
            retention=Retention(age_s=age_s, size_bytes=size_bytes),
        )
        streams[stream_id].topics[name] = topic
        partitions.update((partition.key, partition) for partition in topic.partitions)
    purges = connection.execute("select base_key, partitions_count from purges order by base_key")
    catalog.purges = tuple(KeyRange(base_key, count) for base_key, count in purges)
    _load_marks(connection, partitions)
    return catalog


def _load_marks(connection: apsw.Connection, partitions: dict[int, PartitionState]) -> None:
    trims = {
        key: Watermarks(first_offset, first_offset, bytes_start, bytes_start, timestamp_us)
        for key, first_offset, bytes_start, timestamp_us in connection.execute(
            "select partition_key, first_offset, bytes_start, timestamp_us from trims"
        )
    }
    marks = dict(trims)
    below = schema.chunk_key(limits.LOCAL_PARTITIONS_MAX, 0)
    while newest := connection.execute(
        "select key, messages_count, timestamp_us, bytes_end from chunks where key < ? order by key desc limit 1",
        (below,),
    ).fetchone():
        key, count, timestamp_us, bytes_end = newest
        # A tree that leads back into itself gives other keys than those asked for, and would be followed for ever.
        if key >= below:
            raise apsw.CorruptError
        partition_key = schema.partition_of(key)
        start = trims.get(partition_key)
        marks[partition_key] = Watermarks(
            start.first_offset if start else 0,
            schema.offset_of(key) + count,
            start.bytes_start if start else 0,
            bytes_end,
            timestamp_us,
        )
        below = schema.chunk_key(partition_key, 0)
    _check_ends(connection, partitions, marks)
    for partition_key, known in marks.items():
        partition = partitions.get(partition_key)
        if partition is not None:
            partition.publish(known)


def _check_ends(
    connection: apsw.Connection, partitions: dict[int, PartitionState], marks: dict[int, Watermarks]
) -> None:
    """Hold the ends that were found against those that each commit wrote down, in a table far from the messages.

    A tree of messages can lose its end and look like any other: a pointer in it leads to another sound page, or a page is
    as it was before, and what was acknowledged last is then not there, and its offsets are given again.

    Raises:
        StartupError: if one is another.
    """
    ends = {
        key: end
        for key, *end in connection.execute(
            "select partition_key, next_offset, bytes_end, timestamp_us from ends"
        )
    }
    for partition_key in marks.keys() | ends.keys():
        partition = partitions.get(partition_key)
        known = marks.get(partition_key, EMPTY)
        end_offset, *_ = end = ends.get(partition_key, [0, 0, 0])
        if partition is not None and end != [known.next_offset, known.bytes_end, known.timestamp_us]:
            _LOG.error(
                "end_of_a_partition_is_damaged",
                topic=partition.topic.name,
                partition_id=partition.id,
                end_offset=end_offset,
                found_end_offset=known.next_offset,
            )
            raise StartupError(DAMAGED)
