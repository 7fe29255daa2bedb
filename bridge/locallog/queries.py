"""Reads of messages and stored offsets, on a reader's connection (shell)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import apsw

from bridge.limits import PAGE_BYTES_MAX
from bridge.locallog.catalog import Watermarks
from bridge.locallog.chunks import Chunk, DamagedChunk, check, decode
from bridge.locallog.schema import chunk_key, offset_of
from bridge.locallog.seals import checksum_of
from bridge.messagelog import NO_RECORDS, ConsumerKey, FromTimestamp, Next, Position, Records

_CHUNKS: Final = "select key, messages_count, timestamp_us, bytes_end, checksum, body from chunks "
_CONTAINING: Final = _CHUNKS + "where key >= ? and key <= ? order by key desc limit 1"
_FOLLOWING: Final = _CHUNKS + "where key >= ? and key < ? order by key limit 1"
# A chunk may be 64 MB: the running total keeps one that cannot fit the page from being loaded at all.
_REST: Final = _CHUNKS + "where key > ? and key < ? and bytes_end <= ? order by key limit ?"

_TRIMMED: Final = "select first_offset from trims where partition_key = ?"


class Found(NamedTuple):
    """A page, and the rows that it lies in.

    Attributes:
        lost: the message that it was to begin with should be there and is not; unless all of its partition is going.
    """

    records: Records
    chunks: Sequence[Chunk]
    lost: bool = False


_NOTHING: Final = Found(NO_RECORDS, ())


def read(
    connection: apsw.Connection, partition_key: int, marks: Watermarks, position: Position, count: int
) -> Found:
    """Up to *count* messages from *position* on, none at or after `marks.next_offset`.

    Raises:
        DamagedChunk: if a stored row is not what was written.
    """
    if isinstance(position, FromTimestamp):
        start = first_offset_since(connection, partition_key, marks, position.timestamp_us)
    elif isinstance(position, Next):
        stored = stored_offset(connection, partition_key, position.consumer)
        start = max(0 if stored is None else stored + 1, marks.first_offset)
    else:
        start = marks.start_of(position, count)
    return messages_from(connection, partition_key, marks, start, count)


def messages_from(
    connection: apsw.Connection, partition_key: int, marks: Watermarks, start: int, count: int
) -> Found:
    """Up to *count* messages from offset *start* on; a page ends before it grows past `PAGE_BYTES_MAX`.

    Raises:
        DamagedChunk: if a stored row is not what was written, or one in between is missing.
    """
    if start >= marks.next_offset:
        return _NOTHING
    end_key = chunk_key(partition_key, marks.next_offset)
    start_key = chunk_key(partition_key, start)
    # Retention may have taken the chunk since *marks* was read; then the page begins with what is left.
    row = (
        connection.execute(_CONTAINING, (chunk_key(partition_key, marks.first_offset), start_key)).fetchone()
        or connection.execute(_FOLLOWING, (start_key, end_key)).fetchone()
    )
    if row is None:
        return _NOTHING._replace(lost=not _removed(connection, partition_key, start))
    first = Chunk(*row)
    records, chunks = decode(first), [first]
    at = max(start - offset_of(first.key), 0)
    if at >= first.messages_count:
        # What is removed goes from the oldest on: nothing is missing behind a chunk that is there.
        raise DamagedChunk
    lost = first.key > start_key and not _removed(connection, partition_key, start)
    next_key = first.key + first.messages_count
    runs = [records.part(at, at + count)]
    left = count - len(runs[0])
    if left > 0:
        bytes_end_max = first.bytes_end - len(first.body) + PAGE_BYTES_MAX
        rest = connection.execute(_REST, (first.key, end_key, bytes_end_max, left))
        for row in rest:
            chunk = Chunk(*row)
            if chunk.key != next_key:
                raise DamagedChunk
            next_key += chunk.messages_count
            chunks.append(chunk)
            runs.append(decode(chunk).part(0, left))
            left -= len(runs[-1])
            if left <= 0:
                rest.close()
                break
    return Found(Records.joined(runs), chunks, lost)


def _removed(connection: apsw.Connection, partition_key: int, offset: int) -> bool:
    """Whether retention took it by now."""
    row = connection.execute(_TRIMMED, (partition_key,)).fetchone()
    return row is not None and offset < row[0]


def first_offset_since(
    connection: apsw.Connection, partition_key: int, marks: Watermarks, timestamp_us: int
) -> int:
    """Offset of the first message taken at or after *timestamp_us*, `marks.next_offset` if there is none yet; that of one that
    is missing before it, where something is.

    Raises:
        DamagedChunk: if the tree leads elsewhere than to what was looked for, or a row is not what was written.
    """
    low, high = marks.first_offset, marks.next_offset
    base_key = chunk_key(partition_key, 0)
    while low < high:
        middle = (low + high) // 2
        middle_key = chunk_key(partition_key, middle)
        chunk: Sequence[int] | None = connection.execute(
            "select key, messages_count, timestamp_us from chunks where key >= ? and key <= ? order by key desc limit 1",
            (base_key, middle_key),
        ).fetchone()
        if chunk is None:
            low = middle + 1
            continue
        key, messages_count, chunk_timestamp_us = chunk
        # SQLite does not look at a key again that it found by the tree.
        if key > middle_key:
            raise DamagedChunk
        if chunk_timestamp_us >= timestamp_us:
            high = offset_of(key)
        else:
            low = max(offset_of(key) + messages_count, middle + 1)
    return low - 1 if _is_missing_before(connection, partition_key, marks, low, timestamp_us) else low


def _is_missing_before(
    connection: apsw.Connection, partition_key: int, marks: Watermarks, offset: int, timestamp_us: int
) -> bool:
    """Whether the message before *offset* should be there and is not, unless all of its partition is going. One that is there,
    true and older than *timestamp_us* proves that the search was not led past others, by a spoilt row or by a hole.

    Raises:
        DamagedChunk: if it is there and proves nothing.
    """
    if offset <= marks.first_offset:
        return False
    bounds = chunk_key(partition_key, marks.first_offset), chunk_key(partition_key, offset - 1)
    row = connection.execute(_CONTAINING, bounds).fetchone()
    if row is None:
        return not _removed(connection, partition_key, offset - 1)
    chunk = Chunk(*row)
    check(chunk)
    if offset_of(chunk.key) + chunk.messages_count < offset or chunk.timestamp_us >= timestamp_us:
        raise DamagedChunk
    return False


def stored_offset(connection: apsw.Connection, partition_key: int, consumer: ConsumerKey) -> int | None:
    """The consumer's offset; an id and a name of the same digits are two consumers.

    Raises:
        DamagedChunk: if the row is not what was written.
    """
    row = connection.execute(
        'select "offset", checksum from stored_offsets where partition_key = ? and consumer = ?',
        (partition_key, consumer),
    ).fetchone()
    if row is None:
        return None
    offset, checksum = row
    if checksum != checksum_of(partition_key, consumer, offset):
        raise DamagedChunk
    return int(offset)
