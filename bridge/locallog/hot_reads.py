"""What of the embedded log is read often, answered without a thread and without the database (pure)."""

from bisect import bisect_right, insort

from bridge.limits import (
    KEPT_RECORDS_BYTES,
    LOCAL_HOT_CHUNKS_BYTES_MAX,
    LOCAL_HOT_MESSAGE_BYTES,
    LOCAL_HOT_PAGES_BYTES_MAX,
    LOCAL_HOT_RUNS_MAX,
    PAGE_BYTES_MAX,
)
from bridge.locallog.catalog import PartitionState, Watermarks
from bridge.locallog.newest import Newest
from bridge.locallog.queries import Found
from bridge.messagelog import First, FromOffset, HotPages, Last, Position, Records


class HotReads:
    """What was read more than once of each partition, and what was stored a moment ago.

    A message that was committed never changes while its partition lives, and a topic made anew has partitions of its
    own; so all that can make a page stale is that there is more at its end, or less at its beginning.

    Attributes:
        newest: to be told what was stored, and when a read came to the end.
    """

    def __init__(self) -> None:
        self.newest = Newest()
        self._chunks = HotChunks()
        self._pages: HotPages[tuple[PartitionState, int, int], Records] = HotPages(
            LOCAL_HOT_PAGES_BYTES_MAX, gone=_forget_page
        )

    def find(
        self, partition: PartitionState, marks: Watermarks, position: Position, count: int
    ) -> Records | None:
        """What a read with these *marks* would give, if it is kept."""
        start = _start(marks, position, count)
        if start is None:
            return None
        records = self._pages.get((partition, start, count))
        if records is not None and _is_whole(records, marks, start, count):
            return records
        cut = self.newest.find(partition, marks, start, count)
        if cut is None:
            cut = self._chunks.find(partition, marks, start, count)
        if cut is not None:
            self._keep(partition, marks, start, count, cut)
        return cut

    def offer(
        self, partition: PartitionState, marks: Watermarks, position: Position, count: int, found: Found
    ) -> None:
        """This was read with these *marks*."""
        start = _start(marks, position, count)
        if start is not None and found.records:
            self._keep(partition, marks, start, count, found.records)
        for chunk in found.chunks:
            self._chunks.offer(partition, chunk)

    def _keep(
        self, partition: PartitionState, marks: Watermarks, start: int, count: int, records: Records
    ) -> None:
        if records.may_be_kept and _is_whole(records, marks, start, count):
            records.kept = self._pages.offer(
                (partition, start, count), records, size_bytes=records.kept_bytes
            )


class HotChunks:
    """Chunks that are read often, taken apart: any page can be cut from them.

    A page of 100 from the database costs two changes of threads and 330 us of the reader's CPU beside the event loop's
    190; cut from chunks it costs 40 us (measured). A chunk that was committed never changes while its partition lives.
    """

    def __init__(self) -> None:
        self._chunks: HotPages[tuple[PartitionState, int], Records] = HotPages(
            LOCAL_HOT_CHUNKS_BYTES_MAX, gone=self._forget
        )
        # Where the chunks kept of a partition begin, in order.
        self._starts: dict[PartitionState, list[int]] = {}

    def find(self, partition: PartitionState, marks: Watermarks, start: int, count: int) -> Records | None:
        """Up to *count* messages from offset *start* on, if all that there are with these *marks* are kept."""
        starts = self._starts.get(partition)
        if starts is None:
            return None
        runs: list[Records] = []
        left_bytes = PAGE_BYTES_MAX
        end = min(start + count, marks.next_offset)
        while start < end:
            index = bisect_right(starts, start) - 1
            chunk = self._chunks.get((partition, starts[index])) if index >= 0 else None
            if chunk is None or start > chunk.offsets[-1]:
                return None
            run = chunk.part(start - chunk.offsets[0], end - chunk.offsets[0])
            left_bytes -= run.weight_bytes
            if left_bytes < 0 or len(runs) == LOCAL_HOT_RUNS_MAX:
                # Where a page is cut for its size is for the database to say; one of crumbs is for a reader's thread.
                return None
            runs.append(run)
            start = run.offsets[-1] + 1
        return Records.joined(runs) if runs else None

    def offer(self, partition: PartitionState, chunk: Records) -> None:
        """This was read; it is a whole chunk."""
        start = chunk.offsets[0]
        if not chunk.may_be_kept or self._chunks.get((partition, start)) is not None:
            return
        messages_bytes = chunk.payload_bytes + chunk.headers_bytes + len(chunk) * LOCAL_HOT_MESSAGE_BYTES
        if self._chunks.offer((partition, start), chunk, size_bytes=KEPT_RECORDS_BYTES + messages_bytes):
            insort(self._starts.setdefault(partition, []), start)

    def _forget(self, key: tuple[PartitionState, int], _chunk: Records) -> None:
        partition, start = key
        starts = self._starts[partition]
        del starts[bisect_right(starts, start) - 1]
        if not starts:
            del self._starts[partition]


def _forget_page(_key: object, page: Records) -> None:
    # It may be a whole chunk, which stays.
    page.kept, page.page_json = False, None


def _start(marks: Watermarks, position: Position, count: int) -> int | None:
    """Where the page begins; None where only the database knows."""
    match position:
        case FromOffset(offset):
            return max(offset, marks.first_offset)
        case First():
            return marks.first_offset
        case Last():
            return max(marks.next_offset - count, marks.first_offset)
        case _:
            return None


def _is_whole(records: Records, marks: Watermarks, start: int, count: int) -> bool:
    """Whether nothing is missing before or after; a page that was cut for its size does not count."""
    offsets = records.offsets
    return offsets[0] == start and (len(offsets) == count or offsets[-1] + 1 == marks.next_offset)
