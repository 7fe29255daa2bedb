import pytest

from bridge import limits
from bridge.groups.partition import AckOutcome, Granted, Partition
from bridge.groups.records import AckKind, OffsetRange

ROOM = 1_000_000


def lease(partition: Partition, start: int, stop: int, *, lease_id: int = 1, at_us: int = 0) -> list[int]:
    granted = partition.lease(
        [OffsetRange(start, stop)], lease_id, now_us=at_us, until_us=at_us + 10, counted=True, room=ROOM
    )
    return [each.offset for each in granted]


def ack(partition: Partition, start: int, stop: int, *, lease_id: int = 1) -> list[AckOutcome]:
    return [
        found
        for _, found in partition.acknowledge(
            [OffsetRange(start, stop)], lease_id, kind=AckKind.ACK, until_us=0
        )
    ]


def test_no_more_are_held_than_there_is_room_for() -> None:
    partition = Partition.starting(0)
    granted = partition.lease([OffsetRange(0, 9)], 1, now_us=0, until_us=10, counted=True, room=3)
    assert granted == (Granted(0, 1), Granted(1, 1), Granted(2, 1))
    # What is held already needs none.
    assert partition.lease([OffsetRange(0, 9)], 2, now_us=10, until_us=20, counted=True, room=0) == (
        Granted(0, 2),
        Granted(1, 2),
        Granted(2, 2),
    )


def test_a_partition_holds_no_more_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_UNACKED_MAX", 2)
    partition = Partition.starting(0)
    assert lease(partition, 0, 9) == [0, 1]
    assert ack(partition, 0, 1) == [AckOutcome.DONE]
    assert lease(partition, 2, 9) == [2]
    assert partition.held_count == 2


def test_what_would_leave_too_many_gaps_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_FREE_RANGES_MAX", 2)
    partition = Partition.starting(0)
    assert lease(partition, 1, 2) == [1]
    assert lease(partition, 3, 4) == [3]
    assert lease(partition, 5, 6) == []
    assert lease(partition, 4, 5) == [4]
    assert partition.frontier == 5
    assert list(partition.free) == [OffsetRange(0, 1), OffsetRange(2, 3)]
    assert partition.low == 0


def test_one_stuck_message_keeps_no_others_in_memory() -> None:
    partition = Partition.starting(0)
    assert lease(partition, 0, 1, lease_id=7) == [0]
    for offset in range(1, 2_000):
        assert lease(partition, offset, offset + 1) == [offset]
        assert ack(partition, offset, offset + 1) == [AckOutcome.DONE]
    assert partition.low == 0
    assert len(partition._ends) < 100
    for at_us in range(0, 2_000, 10):
        partition.acknowledge([OffsetRange(0, 1)], 7, kind=AckKind.EXTEND, until_us=at_us)
    assert len(partition._ends) < 100
    assert list(partition.came_back(5_000)) == [0]
    assert ack(partition, 0, 1, lease_id=7) == [AckOutcome.DONE]
    assert partition.low == 2_000


def test_the_next_end_is_that_of_the_first_lease_that_still_stands() -> None:
    partition = Partition.starting(0)
    assert partition.next_end_us() is None
    lease(partition, 0, 1, at_us=5)
    lease(partition, 1, 2, lease_id=2, at_us=20)
    assert partition.next_end_us() == 15
    ack(partition, 0, 1)
    assert partition.next_end_us() == 30
    assert partition.in_flight(29) == 1
    assert partition.in_flight(30) == 0
    partition.acknowledge([OffsetRange(1, 2)], 2, kind=AckKind.NACK, until_us=50)
    assert partition.next_end_us() == 50
    assert partition.in_flight(29) == 0
    assert list(partition.came_back(49)) == []
    assert list(partition.came_back(50)) == [1]
    assert partition.next_end_us() is None


def test_what_came_back_is_forgotten_when_it_goes_out_again_is_acked_or_leaves_the_log() -> None:
    partition = Partition.starting(0)
    lease(partition, 0, 3)
    assert list(partition.came_back(10)) == [0, 1, 2]
    assert lease(partition, 0, 1, lease_id=2, at_us=10) == [0]
    assert ack(partition, 1, 2) == [AckOutcome.DONE]
    assert list(partition.came_back(10)) == [2]
    partition.advance(3)
    assert list(partition.came_back(100)) == []
    assert partition.low == 3
    assert partition.deliveries(2) == 0


def test_a_late_ack_counts_as_long_as_nobody_else_got_the_message() -> None:
    partition = Partition.starting(0)
    lease(partition, 0, 2)
    assert list(partition.came_back(50)) == [0, 1]
    assert ack(partition, 0, 1) == [AckOutcome.DONE]
    assert lease(partition, 1, 2, lease_id=2, at_us=50) == [1]
    assert ack(partition, 1, 2) == [AckOutcome.EXPIRED]
    assert ack(partition, 5, 6) == [AckOutcome.EXPIRED]


def test_what_is_settled_is_not_given_again() -> None:
    partition = Partition.starting(3)
    assert lease(partition, 0, 5) == [3, 4]
    assert ack(partition, 3, 5) == [AckOutcome.DONE, AckOutcome.DONE]
    assert lease(partition, 0, 6) == [5]


def test_what_was_passed_over_is_not_settled() -> None:
    partition = Partition.starting(0)
    lease(partition, 3, 4)
    assert ack(partition, 2, 3) == [AckOutcome.EXPIRED]
    assert partition.unacked_count == 4
