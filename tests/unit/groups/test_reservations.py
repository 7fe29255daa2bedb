import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.groups.assignment import Reservations
from bridge.groups.partition import Partition
from bridge.groups.records import AckKind, OffsetRange, offset_ranges

NOW_US = 100


def has_any(reserved: Reservations, state: Partition, *, end: int, now_us: int) -> bool:
    return any(True for _ in reserved.free(state, end=end, now_us=now_us))


def partition(frontier: int, *, free: tuple[int, ...] = (), back: tuple[int, ...] = ()) -> Partition:
    """One that everything was given out of before *frontier*, and acked but *free* and *back*."""
    found = Partition.starting(0)
    given = [each for each in range(frontier) if each not in free]
    found.lease(offset_ranges(given), 1, now_us=0, until_us=NOW_US, counted=True, room=1_000)
    found.acknowledge(
        offset_ranges([each for each in given if each not in back]), 1, kind=AckKind.ACK, until_us=0
    )
    return found


def test_what_came_back_and_what_was_passed_over_comes_before_what_is_new() -> None:
    reserved, state = Reservations(), partition(10, free=(4, 5), back=(7,))
    assert reserved.reserve(state, end=20, now_us=NOW_US, count=2) == (4, 7)
    assert reserved.reserve(state, end=20, now_us=NOW_US, count=3) == (5, 10, 11)
    assert reserved.reserve(state, end=13, now_us=NOW_US, count=5) == (12,)
    assert not has_any(reserved, state, end=13, now_us=NOW_US)
    assert has_any(reserved, state, end=14, now_us=NOW_US)
    assert reserved.next_offset(state) == 13
    assert reserved.reserve(state, end=13, now_us=NOW_US, count=5) == ()


def test_no_more_is_picked_than_asked_for() -> None:
    state = partition(10, free=(2, 5), back=(7,))
    for count in range(1, 8):
        picked = Reservations().reserve(state, end=99, now_us=NOW_US, count=count)
        assert picked == tuple(sorted((7, 2, 5, 10, 11, 12, 13)[:count]))


def test_what_is_out_is_not_asked_for_before_its_time() -> None:
    reserved, state = Reservations(), partition(3, back=(1,))
    assert not has_any(reserved, state, end=3, now_us=NOW_US - 1)
    assert reserved.reserve(state, end=3, now_us=NOW_US - 1, count=5) == ()
    assert has_any(reserved, state, end=3, now_us=NOW_US)
    assert reserved.reserve(state, end=3, now_us=NOW_US, count=5) == (1,)
    assert not has_any(reserved, state, end=3, now_us=NOW_US)


def test_what_was_given_up_is_asked_for_again_once_nobody_asks() -> None:
    reserved, state = Reservations(), partition(0)
    first = reserved.reserve(state, end=9, now_us=NOW_US, count=3)
    second = reserved.reserve(state, end=9, now_us=NOW_US, count=3)
    assert (first, second) == ((0, 1, 2), (3, 4, 5))
    reserved.release(first)
    # Not yet: the others may tell the ledger of what lies beyond, and then it is known to be free.
    assert reserved.reserve(state, end=9, now_us=NOW_US, count=1) == (6,)
    reserved.release(second)
    reserved.release((6,))
    assert reserved.reserve(state, end=9, now_us=NOW_US, count=1) == (0,)


def test_what_was_passed_over_is_asked_for_once_the_ledger_knows() -> None:
    reserved, state = Reservations(), partition(0)
    first = reserved.reserve(state, end=9, now_us=NOW_US, count=3)
    second = reserved.reserve(state, end=9, now_us=NOW_US, count=3)
    state.lease(offset_ranges(second), 1, now_us=0, until_us=NOW_US * 2, counted=True, room=100)
    reserved.release(first)
    assert has_any(reserved, state, end=6, now_us=NOW_US)
    assert reserved.reserve(state, end=9, now_us=NOW_US, count=4) == (0, 1, 2, 6)


def test_a_full_partition_gives_only_what_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    state = partition(4, free=(0,), back=(2, 3))
    monkeypatch.setattr(limits, "GROUP_UNACKED_MAX", 2)
    reserved = Reservations()
    assert has_any(reserved, state, end=9, now_us=NOW_US)
    assert reserved.reserve(state, end=9, now_us=NOW_US, count=9) == (2, 3)
    assert not has_any(reserved, state, end=9, now_us=NOW_US)


@given(st.sets(st.integers(0, 30)))
def test_runs_hold_the_offsets_and_are_as_few_as_can_be(offsets: set[int]) -> None:
    ranges = offset_ranges(sorted(offsets))
    assert [each for start, stop in ranges for each in range(start, stop)] == sorted(offsets)
    assert all(one.stop < two.start for one, two in itertools.pairwise(ranges))


def test_no_offsets_are_no_runs() -> None:
    assert offset_ranges(()) == ()
    assert offset_ranges((0,)) == (OffsetRange(0, 1),)
