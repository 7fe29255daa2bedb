import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.groups.partition import FreeRanges
from bridge.groups.records import OffsetRange

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 60), st.just(0)),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_ranges_are_a_set_of_offsets(operations: list[tuple[str, int, int]]) -> None:
    free, model, end = FreeRanges(), set[int](), 0
    for what, one, two in operations:
        if what == "append":
            free.ranges.append(OffsetRange(end + one, end + one + two))
            model |= set(range(end + one, end + one + two))
            end += one + two
        elif what == "take":
            assert free.take(one) is (one in model)
            model.discard(one)
        else:
            free.drop_below(one)
            model = {each for each in model if each >= one}
        found = [each for start, stop in free.ranges for each in range(start, stop)]
        assert found == sorted(model)
        assert all((each in free) is (each in model) for each in range(60))
        assert all(one.stop < two.start for one, two in itertools.pairwise(free.ranges))


def test_what_is_not_in_a_range_is_not_taken() -> None:
    free = FreeRanges([OffsetRange(2, 4), OffsetRange(6, 8)])
    assert [each for each in range(10) if FreeRanges(free.ranges).take(each)] == [2, 3, 6, 7]
    free.drop_below(3)
    assert free.ranges == [OffsetRange(3, 4), OffsetRange(6, 8)]
    free.drop_below(5)
    assert free.ranges == [OffsetRange(6, 8)]
    assert [free.take(each) for each in (7, 6, 6)] == [True, True, False]
    assert free.ranges == []
    free.drop_below(9)
    assert free.ranges == []


def test_a_range_is_parted_by_what_is_taken_out_of_its_middle() -> None:
    free = FreeRanges([OffsetRange(0, 10)])
    assert free.take(5)
    assert free.ranges == [OffsetRange(0, 5), OffsetRange(6, 10)]


def test_no_range_is_parted_once_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_FREE_RANGES_MAX", 1)
    free = FreeRanges([OffsetRange(0, 10)])
    assert not free.take(5)
    assert free.take(0)
    assert free.take(9)
    assert free.ranges == [OffsetRange(1, 9)]
