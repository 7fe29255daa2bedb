import json

import pytest

from bridge.errors import BadRequest
from bridge.limits import NDJSON_RANGES_TOLD
from bridge.messagelog import Durability, Receipt, TopicRef
from bridge.web.bodies.ndjson import LineFault
from bridge.web.wire.bulk import StoredRanges, message_headers, progress, raw_receipt_json, stored_json


def _ranges(*receipts: tuple[int, int | None, int]) -> list[tuple[int, int | None, int | None, int]]:
    ranges = StoredRanges()
    for partition_id, offset, count in receipts:
        ranges.add(Receipt(partition_id, offset, count, Durability.PERSISTED))
    return [(one.partition_id, one.first_offset, one.last_offset, one.count) for one in ranges.found]


def test_batches_that_follow_each_other_are_one_range() -> None:
    assert _ranges((0, 5, 10), (1, 0, 10), (0, 15, 1), (1, 10, 3)) == [(0, 5, 15, 11), (1, 0, 12, 13)]


def test_messages_of_others_in_between_divide_a_range() -> None:
    assert _ranges((0, 0, 2), (0, 7, 2)) == [(0, 0, 1, 2), (0, 7, 8, 2)]


def test_what_the_log_did_not_place_is_counted_by_itself() -> None:
    assert _ranges((0, None, 2), (0, None, 2), (0, 9, 1)) == [(0, None, None, 4), (0, 9, 9, 1)]


def test_however_many_ranges_there_are_only_so_many_are_told() -> None:
    told = _ranges(
        *((0, 3 * number, 1) for number in range(NDJSON_RANGES_TOLD + 10)), (1, 0, 1), (0, None, 1)
    )
    assert len(told) == NDJSON_RANGES_TOLD + 1
    assert told[-2] == (0, 3 * (NDJSON_RANGES_TOLD - 1), 3 * (NDJSON_RANGES_TOLD + 9), 12)
    assert sum(count for *_, count in told) == NDJSON_RANGES_TOLD + 12


def test_a_range_that_begins_without_a_place_gets_the_first_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.web.wire.bulk.NDJSON_RANGES_TOLD", 1)
    assert _ranges((0, None, 2), (0, 9, 1)) == [(0, 9, 9, 3)]


def test_headers_of_messages_are_told_by_their_prefix() -> None:
    fields = [("Message-Header-Trace", "a"), ("X-Other", "b"), ("MESSAGE-HEADER-b.c", "\u00e9")]
    assert message_headers(fields) == {"trace": "a", "b.c": "\u00e9"}


@pytest.mark.parametrize(
    "fields",
    [
        [("Message-Header-", "v")],
        [("Message-Header-" + "n" * 256, "v")],
        [("Message-Header-A", "")],
        [("Message-Header-A", "\u00e9" * 128)],
        [("Message-Header-A", "\udcff")],
        [("Message-Header-A", "1"), ("message-header-a", "1")],
    ],
)
def test_a_header_out_of_bounds_is_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest) as fault:
        message_headers(fields)
    assert fault.value.path == "Message-Header"


def test_the_answers_tell_offsets_that_are_not_known_as_null() -> None:
    topic = TopicRef("s", "t")
    receipt = Receipt(1, None, 1, Durability.REPLICATED)
    assert json.loads(raw_receipt_json("i", topic, receipt, 0))["offset"] is None
    ranges = StoredRanges()
    ranges.add(receipt)
    members = progress(
        stored=1,
        ranges=ranges.found,
        failed=1,
        faults=[LineFault(2, "No.")],
        durability=Durability.REPLICATED,
    )
    told = json.loads(stored_json(members, topic, 0))
    assert told["success"] is False
    assert told["partitions"] == [{"partition_id": 1, "first_offset": None, "last_offset": None, "count": 1}]
    assert told["errors"] == [{"line": 2, "reason": "No."}]
