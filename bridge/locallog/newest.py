"""What was stored a moment ago, for those who have everything before it (pure)."""

from collections import OrderedDict, deque
from collections.abc import Callable

from bridge.limits import (
    KEPT_RECORDS_BYTES,
    LOCAL_HOT_RUNS_MAX,
    LOCAL_NEWEST_BYTES_MAX,
    PAGE_BYTES_MAX,
)
from bridge.locallog.catalog import PartitionState, Watermarks
from bridge.messagelog import Records


class _End:
    """The end of one partition.

    Attributes:
        reached: a read had everything before this offset; no other one came further.
        runs: what was stored since, one append each; they follow each other.
    """

    __slots__ = ("reached", "runs", "size_bytes")

    def __init__(self, reached: int) -> None:
        self.reached = reached
        self.runs: deque[Records] = deque()
        self.size_bytes = KEPT_RECORDS_BYTES

    @property
    def next_offset(self) -> int:
        return self.runs[-1].offsets[-1] + 1 if self.runs else self.reached


class Newest:
    """The newest messages of each partition whose end is read.

    A topic's readers live, its long polls and its groups read what has just come. From the database that takes a change of
    threads there and back for each partition: their news come one by one, and a thousand readers are written to twice
    for the same 16 events.

    Nothing is kept before a read has come to a partition's end, nor longer than until there is more behind what was
    read. A partition that nobody reads any more has soon too much, and is forgotten.
    """

    def __init__(self) -> None:
        # The one reached last is the last.
        self._ends: OrderedDict[PartitionState, _End] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """What is kept, as it was weighed."""
        return self._bytes

    def reached(self, partition: PartitionState, next_offset: int) -> None:
        """A read had everything there is before *next_offset*, and nothing was behind it."""
        end = self._ends.get(partition)
        if end is None:
            self._ends[partition] = end = _End(next_offset)
            self._bytes += end.size_bytes
            self._make_room()
        else:
            self._ends.move_to_end(partition)
            end.reached = max(end.reached, next_offset)

    def stored(self, partition: PartitionState, records: Callable[[], Records]) -> None:
        """Called once for each append that was committed, in order.

        Args:
            records: makes the messages as they would be read; not called where nobody waits for them.
        """
        end = self._ends.get(partition)
        if end is None:
            return
        run = records()
        while end.runs and end.runs[0].offsets[-1] < end.reached:
            self._weigh(end, -end.runs.popleft().weight_bytes)
        if run.offsets[-1] < end.reached:
            # Read from the database before this was told.
            return
        if run.offsets[0] != end.next_offset or not run.may_be_kept:
            self._forget(partition)
            return
        end.runs.append(run)
        self._weigh(end, run.weight_bytes)
        if len(end.runs) > LOCAL_HOT_RUNS_MAX or end.size_bytes > PAGE_BYTES_MAX:
            self._forget(partition)
        self._make_room()

    def find(self, partition: PartitionState, marks: Watermarks, start: int, count: int) -> Records | None:
        """Up to *count* messages from offset *start* on, if all that there are with these *marks* are kept."""
        end = self._ends.get(partition)
        stop = min(start + count, marks.next_offset)
        if end is None or not end.runs or not end.runs[0].offsets[0] <= start < stop <= end.next_offset:
            return None
        return Records.joined(
            [
                run.part(max(0, start - run.offsets[0]), stop - run.offsets[0])
                for run in end.runs
                if run.offsets[0] < stop and run.offsets[-1] >= start
            ]
        )

    def _weigh(self, end: _End, size_bytes: int) -> None:
        end.size_bytes += size_bytes
        self._bytes += size_bytes

    def _make_room(self) -> None:
        while self._bytes > LOCAL_NEWEST_BYTES_MAX:
            self._forget(next(iter(self._ends)))

    def _forget(self, partition: PartitionState) -> None:
        self._bytes -= self._ends.pop(partition).size_bytes
