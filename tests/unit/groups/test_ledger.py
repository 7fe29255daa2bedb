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
    Heartbeat,
    Lease,
    LeasedRanges,
    Leave,
    OffsetRange,
    Open,
    Record,
    Scope,
    Seek,
    Start,
    encoded,
)

SCOPE = Scope("stream", "topic", "group")
OTHER = Scope("stream", "topic", "other")


def fold(ledger: Ledger, record: Record, at_us: int = 0) -> AppliedRecord:
    folded = ledger.apply(ledger.offset, at_us, encoded(record))
    assert folded is not None
    return folded


def opened(*scopes: Scope) -> Ledger:
    ledger = Ledger()
    for scope in scopes:
        fold(ledger, Open(1, scope, (Start(0, 0), Start(1, 0))))
    return ledger


def lease(ledger: Ledger, scope: Scope, partition_id: int, start: int, stop: int) -> int:
    result = fold(ledger, Lease(5, scope, 1000, True, ((partition_id, (OffsetRange(start, stop),)),))).result
    assert isinstance(result, LeaseResult)
    return sum(len(granted) for _, granted in result.granted)


def test_a_group_or_partition_that_was_not_taken_up_gives_nothing() -> None:
    ledger = opened(SCOPE)
    assert lease(ledger, OTHER, 0, 0, 1) == 0
    assert lease(ledger, SCOPE, 2, 0, 1) == 0
    result = fold(
        ledger, Acknowledge(6, SCOPE, AckKind.ACK, 0, (LeasedRanges(2, 5, (OffsetRange(0, 2),)),))
    ).result
    assert isinstance(result, AckResult)
    assert set(result.outcomes.values()) == {AckOutcome.EXPIRED}
    assert len(result.outcomes) == 2
    fold(ledger, Seek(7, SCOPE, (Start(2, 5),)))
    fold(ledger, Advance(8, OTHER, (Start(0, 5),)))
    assert set(ledger.groups) == {SCOPE}


def test_a_partition_is_taken_up_once() -> None:
    ledger = opened(SCOPE)
    assert lease(ledger, SCOPE, 0, 0, 3) == 3
    fold(ledger, Open(9, SCOPE, (Start(0, 100), Start(2, 7))))
    assert ledger.groups[SCOPE].partitions[0].frontier == 3
    assert ledger.groups[SCOPE].partitions[2].frontier == 7


def test_there_are_no_more_groups_and_partitions_than_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUPS_MAX", 1)
    monkeypatch.setattr(limits, "GROUP_PARTITIONS_MAX", 3)
    ledger = opened(SCOPE, OTHER)
    assert set(ledger.groups) == {SCOPE}
    fold(ledger, Open(9, SCOPE, (Start(2, 0), Start(3, 0))))
    assert set(ledger.groups[SCOPE].partitions) == {0, 1, 2}
    fold(ledger, DeleteGroup(10, SCOPE))
    fold(ledger, DeleteGroup(11, SCOPE))
    fold(ledger, Open(12, OTHER, (Start(0, 0),)))
    assert set(ledger.groups) == {OTHER}


def test_a_group_ends_as_unused_only_if_it_was_not_used_meanwhile() -> None:
    ledger = opened(SCOPE, OTHER)
    lease(ledger, SCOPE, 0, 0, 3)
    used_us = ledger.groups[SCOPE].used_us
    fold(ledger, Advance(2, SCOPE, (Start(1, 5),)), used_us + 7)
    # Whoever said so did not know of that.
    fold(ledger, ExpireGroup(3, SCOPE, used_us))
    assert SCOPE in ledger.groups
    fold(ledger, ExpireGroup(4, SCOPE, used_us + 7))
    fold(ledger, ExpireGroup(5, SCOPE, used_us + 7))
    assert set(ledger.groups) == {OTHER}
    assert ledger.held_count == 0
    assert Ledger(ledger.state()).state() == ledger.state()


def test_all_groups_together_hold_no_more_than_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUPS_UNACKED_MAX", 5)
    ledger = opened(SCOPE, OTHER)
    assert lease(ledger, SCOPE, 0, 0, 3) == 3
    assert lease(ledger, OTHER, 1, 0, 3) == 2
    fold(ledger, Seek(9, SCOPE, (Start(0, 0),)))
    assert ledger.held_count == 2
    assert lease(ledger, OTHER, 0, 0, 9) == 3
    fold(ledger, Advance(9, OTHER, (Start(0, 2),)))
    assert ledger.held_count == 3
    fold(ledger, DeleteGroup(10, OTHER))
    assert ledger.held_count == 0
    assert Ledger(ledger.state()).state() == ledger.state()


def test_members_live_until_their_time_is_up_and_no_more_than_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "GROUP_MEMBERS_MAX", 2)
    ledger = Ledger()
    fold(ledger, Heartbeat(1, 10, 1, (SCOPE,)), at_us=0)
    fold(ledger, Heartbeat(1, 20, 5, ()), at_us=0)
    fold(ledger, Heartbeat(1, 30, 5, (SCOPE,)), at_us=500)
    assert ledger.members(now_us=500) == (10, 20)
    assert ledger.members(SCOPE, now_us=500) == (10,)
    assert ledger.members(now_us=1_000) == (20,)
    fold(ledger, Heartbeat(1, 30, 5, (SCOPE,)), at_us=1_000)
    assert ledger.members(now_us=1_000) == (20, 30)
    fold(ledger, Leave(1, 20))
    fold(ledger, Leave(1, 20))
    assert ledger.members(now_us=1_000) == (30,)


def test_time_never_goes_back() -> None:
    ledger = opened(SCOPE)
    fold(ledger, Leave(1, 1), at_us=5_000_000)
    result = fold(ledger, Lease(5, SCOPE, 1000, True, ((0, (OffsetRange(0, 1),)),)), at_us=10).result
    assert isinstance(result, LeaseResult)
    assert result.until_us == 6_000_000
    assert ledger.groups[SCOPE].used_us == 5_000_000


def test_what_is_no_record_is_counted_and_passed_over() -> None:
    ledger = opened(SCOPE)
    before = ledger.state()
    assert ledger.apply(9, 0, b"hello") is None
    assert ledger.skipped == 1
    assert ledger.offset == 10
    assert ledger.state() == before._replace(offset=10)
