"""Claims of the entries that a feed hands on."""

import pytest

from bridge import limits
from bridge.flow.following.batches import RecordBatch, parts_for
from bridge.messagelog import Message, Records


def _records(count: int, payload: bytes = b"x") -> Records:
    return Records.of([Message(offset, 0, offset + 1, payload, {}) for offset in range(count)])


@pytest.mark.parametrize(
    "partitions, wanted",
    [(1, [250, 250, 100]), (130, [250, 250, 100]), (256, [128] * 4 + [88]), (1000, [32] * 18 + [24])],
)
def test_the_more_partitions_a_cursor_has_the_fewer_messages_an_entry(
    partitions: int, wanted: list[int]
) -> None:
    positions = tuple((each, 0) for each in range(partitions))
    parts = list(parts_for(positions, _records(600)))
    assert [len(part) for part in parts] == wanted
    assert [offset for part in parts for offset in part.offsets] == list(range(600))
    for part in parts:
        entry = RecordBatch(0, part, positions, positions)
        assert entry.written_bytes <= limits.BATCH_CURSORS_CHARS_MAX + part.payload_bytes
