"""Where readers stand, what they are given, and the bytes made of it once for all of them (pure)."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple, TypeAlias

from bridge.limits import (
    BATCH_CURSORS_CHARS_MAX,
    CURSOR_PARTITION_CHARS,
    FEED_BATCH_BYTES,
    FEED_BATCH_MESSAGES,
    FEED_FORMS_MAX,
)
from bridge.messagelog import NO_RECORDS, First, FromTimestamp, Last, Records

Positions: TypeAlias = tuple[tuple[int, int], ...]
"""For each partition, in order of id, its id and the offset of the message to be read next."""

Start: TypeAlias = Positions | First | Last | FromTimestamp
"""Where a reader begins: positions of before, the oldest kept, the end as it is now, or a time."""


class Gap(NamedTuple):
    """Messages that a reader will not get.

    Those from *from_offset* up to *to_offset*, which does not belong to them, were removed; where *to_offset* is less,
    the partition has begun anew (purged, or its topic made again) and is read from there.
    """

    partition_id: int
    from_offset: int
    to_offset: int

    @property
    def begins_anew(self) -> bool:
        """Whether offsets of before mean nothing any more."""
        return self.to_offset < self.from_offset


def moved(positions: Positions, partition_id: int, next_offset: int) -> Positions:
    """*positions* with one of them moved, or added."""
    index = bisect_left(positions, (partition_id,))
    found = index < len(positions) and positions[index][0] == partition_id
    return (*positions[:index], (partition_id, next_offset), *positions[index + found :])


def furthest(one: Positions, other: Positions) -> Positions:
    """For each partition of either, the position of those two that is further."""
    found = dict(one)
    for partition_id, next_offset in other:
        found[partition_id] = max(next_offset, found.get(partition_id, 0))
    return tuple(sorted(found.items()))


def parts_for(positions: Positions, records: Records) -> Iterator[Records]:
    """*records* in pieces for a batch each: with each message goes a cursor, the longer the more *positions* there are."""
    cursor_chars = CURSOR_PARTITION_CHARS * max(1, len(positions))
    messages_max = max(1, min(FEED_BATCH_MESSAGES, BATCH_CURSORS_CHARS_MAX // cursor_chars))
    return records.parts(messages_max=messages_max, bytes_max=FEED_BATCH_BYTES)


class RecordBatch:
    """Messages of one partition that follow each other, or a gap.

    Attributes:
        sequence: its number in the feed, from 1; 0 for what one reader has read by itself.
        partition_id: of the messages, or of the gap.
        records: the messages; none for a gap.
        gap: what is missing before whatever comes next from the partition; None for messages.
        positions_before, positions_after: where a reader stands before and after it, over all partitions. After a
            message of it: *positions_before* with this partition at its offset plus 1.
    """

    __slots__ = (
        "_forms",
        "_grew",
        "gap",
        "partition_id",
        "positions_after",
        "positions_before",
        "records",
        "sequence",
    )

    def __init__(
        self,
        partition_id: int,
        records: Records,
        positions_before: Positions,
        positions_after: Positions,
        *,
        gap: Gap | None = None,
        sequence: int = 0,
        grew: Callable[["RecordBatch", int], None] | None = None,
    ) -> None:
        self.sequence = sequence
        self.partition_id = partition_id
        self.records = records
        self.gap = gap
        self.positions_before = positions_before
        self.positions_after = positions_after
        self._forms: dict[Hashable, bytes] | None = None
        self._grew = grew

    @classmethod
    def of_gap(
        cls,
        gap: Gap,
        before: Positions,
        after: Positions,
        *,
        sequence: int = 0,
        grew: Callable[["RecordBatch", int], None] | None = None,
    ) -> "RecordBatch":
        return cls(gap.partition_id, NO_RECORDS, before, after, gap=gap, sequence=sequence, grew=grew)

    def rest(self, next_offset: int) -> "RecordBatch":
        """Its messages from *next_offset* on, encoded anew; a gap is given whole."""
        if self.gap is not None or next_offset <= self.records.offsets[0]:
            return self
        records = self.records.part(bisect_left(self.records.offsets, next_offset), len(self.records))
        before = moved(self.positions_before, self.partition_id, next_offset)
        return RecordBatch(self.partition_id, records, before, self.positions_after, sequence=self.sequence)

    def head(self, messages_max: int) -> "RecordBatch":
        """Its first messages, so many of them, as a batch of its own; a gap is given whole."""
        records = self.records.part(0, messages_max)
        if len(records) == len(self.records):
            return self
        after = moved(self.positions_before, self.partition_id, records.offsets[-1] + 1)
        return RecordBatch(self.partition_id, records, self.positions_before, after)

    def encoded(self, form: Hashable, make: Callable[["RecordBatch"], bytes]) -> bytes:
        """What *make* makes of this batch, made once for each *form*.

        Args:
            form: says everything that *make* depends on besides the batch: the format, the filter.
        """
        forms = self._forms
        if forms is None:
            forms = self._forms = {}
        found = forms.get(form)
        if found is None:
            found = make(self)
            if len(forms) < FEED_FORMS_MAX:
                forms[form] = found
                if self._grew is not None:
                    self._grew(self, len(found))
        return found

    @property
    def written_bytes(self) -> int:
        """About what it takes where it is written: the payloads, and a cursor with each."""
        cursors_chars = CURSOR_PARTITION_CHARS * len(self.positions_after) * len(self.records)
        return self.records.payload_bytes + cursors_chars

    @property
    def forms_bytes(self) -> int:
        """What is kept of the encodings."""
        return sum(map(len, self._forms.values())) if self._forms else 0
