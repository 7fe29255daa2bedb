import pytest

from bridge import limits
from bridge.groups.ledger import AckResult, AppliedRecord, LeaseResult, Ledger
from bridge.groups.partition import AckOutcome
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
    encoded,
)

REF = GroupRef("stream", "topic", "group")
OTHER = GroupRef("stream", "topic", "other")


def fold(ledger: Ledger, record: Record, at_us: int = 0) -> AppliedRecord:
    folded = ledger.apply(ledger.offset, at_us, encoded(record))
    assert folded is not None
    return folded


def opened(*refs: GroupRef) -> Ledger:
    ledger = Ledger()
    for ref in refs:
        fold(ledger, Open(1, ref, (PartitionStart(0, 0), PartitionStart(1, 0))))
    return ledger


def lease(ledger: Ledger, ref: GroupRef, partition_id: int, start: int, stop: int) -> int:
    result = fold(ledger, Lease(5, ref, 1000, True, ((partition_id, (OffsetRange(start, stop),)),))).result
    assert isinstance(result, LeaseResult)
    return sum(len(granted) for _, granted in result.granted)


def test_a_group_or_partition_that_was_not_taken_up_gives_nothing() -> None:
    ledger = opened(REF)
    assert lease(ledger, OTHER, 0, 0, 1) == 0
    assert lease(ledger, REF, 2, 0, 1) == 0
    result = fold(
        ledger, Acknowledge(6, REF, AckKind.ACK, 0, (LeasedRanges(2, 5, (OffsetRange(0, 2),)),))
    ).result
    assert isinstance(result, AckResult)
    assert set(result.outcomes.values()) == {AckOutcome.EXPIRED}
    assert len(result.outcomes) == 2
    fold(ledger, Seek(7, REF, (PartitionStart(2, 5),)))
    fold(ledger, Advance(8, OTHER, (PartitionStart(0, 5),)))
    assert set(ledger.groups) == {REF}


def test_a_partition_is_taken_up_once() -> None:
    ledger = opened(REF)
    assert lease(ledger, REF, 0, 0, 3) == 3
    fold(ledger, Open(9, REF, (PartitionStart(0, 100), PartitionStart(2, 7))))
    assert ledger.groups[REF].partitions[0].frontier == 3
    assert ledger.groups[REF].partitions[2].frontier == 7


def test_there_are_no_more_groups_and_partitions_than_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUPS_MAX", 1)
    monkeypatch.setattr(limits, "GROUP_PARTITIONS_MAX", 3)
    ledger = opened(REF, OTHER)
    assert set(ledger.groups) == {REF}
    fold(ledger, Open(9, REF, (PartitionStart(2, 0), PartitionStart(3, 0))))
    assert set(ledger.groups[REF].partitions) == {0, 1, 2}
    fold(ledger, DeleteGroup(10, REF))
    fold(ledger, DeleteGroup(11, REF))
    fold(ledger, Open(12, OTHER, (PartitionStart(0, 0),)))
    assert set(ledger.groups) == {OTHER}


def test_a_group_ends_as_unused_only_if_it_was_not_used_meanwhile() -> None:
    ledger = opened(REF, OTHER)
    lease(ledger, REF, 0, 0, 3)
    used_us = ledger.groups[REF].used_us
    fold(ledger, Advance(2, REF, (PartitionStart(1, 5),)), used_us + 7)
    # Whoever said so did not know of that.
    fold(ledger, ExpireGroup(3, REF, used_us))
    assert REF in ledger.groups
    fold(ledger, ExpireGroup(4, REF, used_us + 7))
    fold(ledger, ExpireGroup(5, REF, used_us + 7))
    assert set(ledger.groups) == {OTHER}
    assert ledger.held_count == 0
    assert Ledger(ledger.state()).state() == ledger.state()


def test_all_groups_together_hold_no_more_than_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUPS_UNACKED_MAX", 5)
    ledger = opened(REF, OTHER)
    assert lease(ledger, REF, 0, 0, 3) == 3
    assert lease(ledger, OTHER, 1, 0, 3) == 2
    fold(ledger, Seek(9, REF, (PartitionStart(0, 0),)))
    assert ledger.held_count == 2
    assert lease(ledger, OTHER, 0, 0, 9) == 3
    fold(ledger, Advance(9, OTHER, (PartitionStart(0, 2),)))
    assert ledger.held_count == 3
    fold(ledger, DeleteGroup(10, OTHER))
    assert ledger.held_count == 0
    assert Ledger(ledger.state()).state() == ledger.state()


def test_members_live_until_their_time_is_up_and_no_more_than_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "GROUP_MEMBERS_MAX", 2)
    ledger = Ledger()
    fold(ledger, Heartbeat(1, 10, 1, (REF,)), at_us=0)
    fold(ledger, Heartbeat(1, 20, 5, ()), at_us=0)
    fold(ledger, Heartbeat(1, 30, 5, (REF,)), at_us=500)
    assert ledger.members(now_us=500) == (10, 20)
    assert ledger.members(REF, now_us=500) == (10,)
    assert ledger.members(now_us=1_000) == (20,)
    fold(ledger, Heartbeat(1, 30, 5, (REF,)), at_us=1_000)
    assert ledger.members(now_us=1_000) == (20, 30)
    fold(ledger, Leave(1, 20))
    fold(ledger, Leave(1, 20))
    assert ledger.members(now_us=1_000) == (30,)


def test_time_never_goes_back() -> None:
    ledger = opened(REF)
    fold(ledger, Leave(1, 1), at_us=5_000_000)
    result = fold(ledger, Lease(5, REF, 1000, True, ((0, (OffsetRange(0, 1),)),)), at_us=10).result
    assert isinstance(result, LeaseResult)
    assert result.until_us == 6_000_000
    assert ledger.groups[REF].used_us == 5_000_000


def test_what_is_no_record_is_passed_over() -> None:
    ledger = opened(REF)
    before = ledger.state()
    assert ledger.apply(9, 0, b"hello") is None
    assert ledger.offset == 10
    assert ledger.state() == before._replace(offset=10)
