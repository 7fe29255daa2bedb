from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.groups.records import (
    AckKind,
    Acknowledge,
    Advance,
    DeleteGroup,
    ExpireGroup,
    GroupRef,
    Heartbeat,
    Lease,
    LeasedRanges,
    Leave,
    OffsetRange,
    Open,
    PartitionStart,
    Record,
    Seek,
    decoded,
    encoded,
)

REF = GroupRef("stream", "topic", "group")
RECORDS: tuple[Record, ...] = (
    Open(1, REF, (PartitionStart(0, 5),)),
    Lease(2, REF, 1000, True, ((0, (OffsetRange(0, 3), OffsetRange(5, 6))), (1, (OffsetRange(9, 10),)))),
    Acknowledge(3, REF, AckKind.EXTEND, 1000, (LeasedRanges(0, 2, (OffsetRange(0, 3),)),)),
    Seek(4, REF, (PartitionStart(0, 5, 3),)),
    Advance(5, REF, (PartitionStart(0, 5, 3),)),
    DeleteGroup(6, REF),
    Heartbeat(7, 2**63 - 1, 10_000, (REF, REF)),
    Leave(8, 1),
    ExpireGroup(9, REF, 1_700_000_000_000_000),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decoded(encoded(record)) == record


@pytest.mark.parametrize(
    "record",
    [
        Lease(1, REF, 0, True, ((0, (OffsetRange(0, 1),)),)),
        Lease(1, REF, limits.GROUP_VISIBILITY_MS_MAX + 1, True, ((0, (OffsetRange(0, 1),)),)),
        Lease(1, REF, 1, True, ()),
        Lease(1, REF, 1, True, ((0, ()),)),
        Lease(1, REF, 1, True, ((0, (OffsetRange(3, 3),)),)),
        Lease(1, REF, 1, True, ((0, (OffsetRange(3, 2),)),)),
        Lease(1, REF, 1, True, ((0, (OffsetRange(0, 2**62),)),)),
        Lease(
            1,
            REF,
            1,
            True,
            ((0, (OffsetRange(0, limits.GROUP_RECEIVE_MESSAGES_MAX),)), (1, (OffsetRange(0, 1),))),
        ),
        Acknowledge(1, REF, cast("AckKind", 4), 0, (LeasedRanges(0, 1, (OffsetRange(0, 1),)),)),
        Acknowledge(1, REF, AckKind.ACK, -1, (LeasedRanges(0, 1, (OffsetRange(0, 1),)),)),
        Acknowledge(1, REF, AckKind.ACK, 0, (LeasedRanges(0, 0, (OffsetRange(0, 1),)),)),
        Acknowledge(
            1, REF, AckKind.ACK, 0, (LeasedRanges(0, 1, (OffsetRange(0, limits.GROUP_TOKENS_MAX + 1),)),)
        ),
        Seek(1, REF, ()),
        Seek(1, REF, (PartitionStart(0, -1),)),
        Open(0, REF, (PartitionStart(0, 0),)),
        DeleteGroup(1, GroupRef("", "topic", "group")),
        DeleteGroup(1, GroupRef("s", "t", "g" * 256)),
        Heartbeat(1, 1, 600_001, ()),
        Heartbeat(1, 1, 1, (REF,) * (limits.GROUPS_MAX + 1)),
    ],
    ids=repr,
)
def test_what_is_out_of_bounds_is_no_record(record: Record) -> None:
    assert decoded(encoded(record)) is None


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"BGL1" + tail))
def test_whatever_else_stands_in_the_topic_is_no_record_or_one_that_can_be_told_again(payload: bytes) -> None:
    record = decoded(payload)
    assert record is None or decoded(encoded(record)) == record


def test_a_name_that_is_no_text_makes_no_record() -> None:
    # MessagePack takes any bytes for a string; what reads it raises another error for them than for the rest.
    whole = encoded(DeleteGroup(1, GroupRef("stream", "topic", "group")))
    assert decoded(whole) is not None
    assert decoded(whole.replace(b"group", b"gr\xffup")) is None


def test_a_record_of_another_version_or_cut_or_too_long_is_none() -> None:
    whole = encoded(RECORDS[1])
    assert decoded(b"BGL2" + whole[4:]) is None
    for length in range(len(whole)):
        assert decoded(whole[:length]) is None
    assert decoded(whole + b"\0") is None
    assert decoded(whole.ljust(limits.GROUP_RECORD_BYTES_MAX + 1, b"\0")) is None


def test_the_largest_records_fit() -> None:
    ranges = tuple(OffsetRange(2**60 + 2 * each, 2**60 + 2 * each + 1) for each in range(1_000))
    names = GroupRef(*(letter * 255 for letter in "stg"))
    for record in (
        Lease(2**63 - 1, names, 1000, True, ((999, ranges),)),
        Heartbeat(1, 1, 10_000, (names,) * limits.GROUPS_MAX),
        Open(1, names, tuple(PartitionStart(each, 2**62) for each in range(limits.PARTITIONS_MAX))),
    ):
        assert decoded(encoded(record)) == record
