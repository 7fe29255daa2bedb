"""The bounds of what is kept of reads hold in memory as it is, whatever the messages look like."""

import contextlib
import gc
import tracemalloc
from collections.abc import Iterator
from functools import partial

import pytest

from bridge.limits import PAGE_LIGHT_BYTES
from bridge.locallog import chunks
from bridge.locallog.catalog import EMPTY, PartitionState, TopicState
from bridge.locallog.hot_chunks import HotChunks
from bridge.locallog.hot_reads import HotReads
from bridge.locallog.newest import Newest
from bridge.locallog.queries import Found
from bridge.locallog.schema import chunk_key
from bridge.messagelog import Headers, NewMessage, NewRecords, Records, Retention

_BYTES_MAX = 512 * 1024
#: The allocator's own, and the tables of what is counted by its entries.
_SPARE = 1.25
_PAYLOAD_BYTES = 200
_MARKS = EMPTY._replace(next_offset=10**9)

_HEADERS: dict[str, Headers] = {
    "none": {},
    "a type": {"content-type": "text/plain"},
    "numbers": {"attempt": 3, "weight": 0.5},
    "many": {f"{n:02d}-{'k' * 60}": "v" * 250 for n in range(20)},
}
SHAPES = pytest.mark.parametrize("headers", _HEADERS.values(), ids=_HEADERS)


def _partition() -> PartitionState:
    topic = TopicState(topic_id=1, stream_id=1, name="t", created_at_us=0, ranges=(), retention=Retention())
    return PartitionState(topic, 0, 0)


def _stored(start: int, count: int, headers: Headers) -> chunks.Chunk:
    """As it comes from the database: no object of it is anybody else's."""
    new = [NewMessage(b"%*d" % (_PAYLOAD_BYTES, start + n), 0, headers) for n in range(count)]
    written = chunks.encode(
        chunk_key(1, start),
        NewRecords.of(new),
        timestamp_us=start + 2**50,
        bytes_start=start + 2**40,
        into=bytearray(),
    )
    return written._replace(body=bytes(written.body))


def _starts(count: int) -> range:
    """Where runs of *count* messages begin, of which together, without anything but their text, twice the bound is full."""
    return range(0, 2 * count * _BYTES_MAX // (_PAYLOAD_BYTES * count), count)


@contextlib.contextmanager
def _measured() -> Iterator[None]:
    """What is made in here, and is there at its end, is within the bound."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < _BYTES_MAX * _SPARE
    finally:
        tracemalloc.stop()


@SHAPES
@pytest.mark.parametrize("count", [1, 4, 128])
def test_chunks_kept_take_no_more_than_their_bound(
    count: int, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.locallog.hot_chunks.LOCAL_HOT_CHUNKS_BYTES_MAX", _BYTES_MAX)
    hot, partition = HotChunks(), _partition()
    with _measured():
        for start in _starts(count):
            hot.offer(partition, _stored(start, count, headers))
    # It was full: the first one is gone.
    assert hot.find(partition, _MARKS, 0, 1) is None


def _read(start: int, count: int, headers: Headers) -> Records:
    return chunks.decode(_stored(start, count, headers))


@SHAPES
@pytest.mark.parametrize("count", [1, 4, 128])
def test_what_was_just_stored_takes_no_more_than_its_bound(
    count: int, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.locallog.newest.LOCAL_NEWEST_BYTES_MAX", _BYTES_MAX)
    newest, partitions = Newest(), [_partition() for _ in range(100)]
    with _measured():
        for start in _starts(count):
            # A hundred topics in turn; each has a reader who is behind.
            partition = partitions[start // count % 100]
            at = start // count // 100 * count
            newest.reached(partition, 0)
            newest.stored(partition, partial(_read, at, count, headers))
    # It was full: of some nothing is there.
    there = [newest.find(partition, EMPTY._replace(next_offset=1), 0, 1) for partition in partitions]
    assert None in there


def _read_twice(hot: HotReads, partition: PartitionState, start: int, count: int, headers: Headers) -> None:
    hot.offer(partition, _MARKS, start, count, Found(_read(start, count, headers), ()))
    page = _read(start, count, headers)
    hot.offer(partition, _MARKS, start, count, Found(page, ()))
    if page.kept:
        page.page_json = bytes(page.weight_bytes)


@SHAPES
@pytest.mark.parametrize("count", [1, 100])
def test_pages_kept_take_no_more_than_their_bound_with_their_json(
    count: int, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_PAGES_BYTES_MAX", _BYTES_MAX)
    hot, partition = HotReads(), _partition()
    with _measured():
        for start in _starts(count):
            _read_twice(hot, partition, start, count, headers)
    assert hot.find(partition, _MARKS, 0, count) is None


@pytest.mark.parametrize("events", [True, False])
def test_what_is_heavy_is_kept_only_where_it_goes_out_as_it_is_stored(*, events: bool) -> None:
    """All else is spelled beforehand, and the spelling stays with the messages."""
    hot, partition = HotReads(), _partition()
    heavy = Records(range(1), (1,), bytes(16), [b"\0" * (PAGE_LIGHT_BYTES + 1)], {}, events=events)
    for _ in range(2):
        hot.offer(partition, _MARKS, 0, 1, Found(heavy, ()))
    assert heavy.kept is events
    assert (hot.find(partition, _MARKS, 0, 1) is heavy) is events
