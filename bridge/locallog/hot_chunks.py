"""Chunks of the embedded log in memory, from which any page can be cut (pure)."""

from bisect import bisect_right, insort
from collections import OrderedDict
from typing import TypeAlias

from bridge.limits import (
    LOCAL_HOT_CHUNK_BYTES,
    LOCAL_HOT_CHUNKS_ASKED_BYTES_MAX,
    LOCAL_HOT_CHUNKS_BYTES_MAX,
    LOCAL_HOT_RUNS_MAX,
    PAGE_BYTES_MAX,
)
from bridge.locallog.catalog import PartitionState, Watermarks
from bridge.locallog.chunks import Chunk, taken_apart
from bridge.locallog.schema import offset_of
from bridge.messagelog import Records

_Key: TypeAlias = tuple[PartitionState, int]


class HotChunks:
    """Chunks that were read, as many as the bound allows.

    A page of 100 from the database costs two changes of threads and 330 us of the reader's CPU beside the event loop's
    190; cut from chunks it costs 40 us (measured). They are kept as they are stored: taken apart they would be a sixth heavier,
    and of what is asked for from anywhere as much more would have to be read; to take one apart takes 12 us. A chunk that was
    committed never changes while its partition lives.

    What was asked for again stays longer than what came and was not, so that whoever reads everything once drives little else out.
    """

    def __init__(self) -> None:
        # What was not asked for since it came, or not for long, and what was; what came or was asked for last is at their ends.
        self._new: OrderedDict[_Key, Chunk] = OrderedDict()
        self._asked: OrderedDict[_Key, Chunk] = OrderedDict()
        self._bytes = self._asked_bytes = 0
        # Where the chunks kept of a partition begin, in order.
        self._starts: dict[PartitionState, list[int]] = {}

    def find(self, partition: PartitionState, marks: Watermarks, start: int, count: int) -> Records | None:
        """Up to *count* messages from offset *start* on, if all that there are with these *marks* are kept."""
        starts = self._starts.get(partition)
        if starts is None:
            return None
        runs: list[Records] = []
        # As the database counts: whole chunks, of which the first is given whatever its size.
        left_bytes = PAGE_BYTES_MAX
        end = min(start + count, marks.next_offset)
        while start < end:
            index = bisect_right(starts, start) - 1
            if index < 0:
                return None
            chunk = self._asked_for((partition, starts[index]))
            left_bytes -= len(chunk.body)
            if runs and (left_bytes < 0 or len(runs) == LOCAL_HOT_RUNS_MAX):
                # Where a page is cut for its size is for the database to say; one of crumbs is for a reader's thread.
                return None
            first = offset_of(chunk.key)
            if start >= first + chunk.messages_count:
                return None
            runs.append(taken_apart(chunk).part(start - first, end - first))
            start = first + chunk.messages_count
        return Records.joined(runs) if runs else None

    def offer(self, partition: PartitionState, chunk: Chunk) -> None:
        """This row was read, and is what was written."""
        start = offset_of(chunk.key)
        key = partition, start
        weight_bytes = _weight_bytes(chunk)
        if key in self._asked or key in self._new or weight_bytes > LOCAL_HOT_CHUNKS_BYTES_MAX // 8:
            return
        self._new[key] = chunk
        self._bytes += weight_bytes
        insort(self._starts.setdefault(partition, []), start)
        self._shrink()

    def _asked_for(self, key: _Key) -> Chunk:
        """One that is kept."""
        found = self._asked.get(key)
        if found is not None:
            self._asked.move_to_end(key)
            return found
        found = self._asked[key] = self._new.pop(key)
        self._asked_bytes += _weight_bytes(found)
        while self._asked_bytes > LOCAL_HOT_CHUNKS_ASKED_BYTES_MAX:
            before, chunk = self._asked.popitem(last=False)
            self._asked_bytes -= _weight_bytes(chunk)
            self._new[before] = chunk
        return found

    def _shrink(self) -> None:
        while self._bytes > LOCAL_HOT_CHUNKS_BYTES_MAX:
            # There is one: what was asked for again does not fill the bound.
            (partition, start), chunk = self._new.popitem(last=False)
            self._bytes -= _weight_bytes(chunk)
            starts = self._starts[partition]
            del starts[bisect_right(starts, start) - 1]
            if not starts:
                del self._starts[partition]


def _weight_bytes(chunk: Chunk) -> int:
    return LOCAL_HOT_CHUNK_BYTES + len(chunk.body)
