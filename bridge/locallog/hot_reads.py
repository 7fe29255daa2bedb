"""Pages of the embedded log that are read often, answered without a thread and without the database (pure)."""

from bridge.limits import HOT_PAGES_BYTES_MAX
from bridge.locallog.catalog import Marks, PartitionState
from bridge.locallog.hot_chunks import HotChunks
from bridge.locallog.queries import Found
from bridge.messagelog import First, FromOffset, HotPages, Last, Position, Records

__all__ = ("HotReads",)


class HotReads:
    """
    What was read more than once of each partition.

    A message that was committed never changes while its partition lives, and a topic made anew has partitions of its
    own; so all that can make a page stale is that there is more at its end, or less at its beginning.
    """

    __slots__ = ("_chunks", "_pages")

    def __init__(self) -> None:
        self._chunks = HotChunks()
        self._pages: HotPages[tuple[PartitionState, int, int], Records] = HotPages(HOT_PAGES_BYTES_MAX)

    def find(self, partition: PartitionState, marks: Marks, position: Position, count: int) -> Records | None:
        """What a read with these *marks* would give, if it is kept."""
        start = _start(marks, position, count)
        if start is None:
            return None
        records = self._pages.get((partition, start, count))
        if records is not None and _is_whole(records, marks, start, count):
            return records
        cut = self._chunks.find(partition, marks, start, count)
        if cut is not None:
            self._keep(partition, marks, start, count, cut)
        return cut

    def offer(
        self, partition: PartitionState, marks: Marks, position: Position, count: int, found: Found
    ) -> None:
        """This was read with these *marks*."""
        start = _start(marks, position, count)
        if start is not None and found.records:
            self._keep(partition, marks, start, count, found.records)
        for chunk in found.chunks:
            self._chunks.offer(partition, chunk)

    def _keep(
        self, partition: PartitionState, marks: Marks, start: int, count: int, records: Records
    ) -> None:
        if _is_whole(records, marks, start, count):
            records.kept = self._pages.offer(
                (partition, start, count), records, size_bytes=records.weight_bytes
            )


def _start(marks: Marks, position: Position, count: int) -> int | None:
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


def _is_whole(records: Records, marks: Marks, start: int, count: int) -> bool:
    """Whether nothing is missing before or after; a page that was cut for its size does not count."""
    offsets = records.offsets
    return offsets[0] == start and (len(offsets) == count or offsets[-1] + 1 == marks.next_offset)
