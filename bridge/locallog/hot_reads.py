"""What of the embedded log is read often, answered without a thread and without the database (pure)."""

from bridge.limits import LOCAL_HOT_PAGES_BYTES_MAX
from bridge.locallog.catalog import PartitionState, Watermarks
from bridge.locallog.hot_chunks import HotChunks
from bridge.locallog.newest import Newest
from bridge.locallog.queries import Found
from bridge.messagelog import HotPages, Records


class HotReads:
    """What was read of each partition, and what was stored a moment ago.

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

    def find(self, partition: PartitionState, marks: Watermarks, start: int, count: int) -> Records | None:
        """What a read from offset *start* on with these *marks* would give, if it is kept."""
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
        self, partition: PartitionState, marks: Watermarks, start: int | None, count: int, found: Found
    ) -> None:
        """This was read with these *marks*, from *start* on where they tell that."""
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


def _forget_page(_key: object, page: Records) -> None:
    # Whoever is being answered with it may hold it for a while.
    page.kept, page.page_json = False, None


def _is_whole(records: Records, marks: Watermarks, start: int, count: int) -> bool:
    """Whether nothing is missing before or after; a page that was cut for its size does not count."""
    offsets = records.offsets
    return offsets[0] == start and (len(offsets) == count or offsets[-1] + 1 == marks.next_offset)
