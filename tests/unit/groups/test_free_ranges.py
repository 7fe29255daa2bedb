import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.groups.free_ranges import FreeRanges
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
def test_runs_are_a_set_of_offsets(operations: list[tuple[str, int, int]]) -> None:
    ranges, model, end = FreeRanges(), set[int](), 0
    for what, one, two in operations:
        if what == "append":
            ranges.append(OffsetRange(end + one, end + one + two))
            model |= set(range(end + one, end + one + two))
            end += one + two
        elif what == "take":
            assert ranges.take(one) is (one in model)
            model.discard(one)
        else:
            ranges.drop_below(one)
            model = {each for each in model if each >= one}
        found = [each for start, stop in ranges for each in range(start, stop)]
        assert found == sorted(model)
        assert ranges.messages_count == len(model)
        assert ranges.first == min(model, default=None)
        assert len(ranges) == len(list(ranges))
        assert all((each in ranges) is (each in model) for each in range(60))
        assert list(FreeRanges(ranges)) == list(ranges)
        assert all(one.stop < two.start for one, two in zip(ranges, list(ranges)[1:], strict=False))


def test_what_is_not_in_a_run_is_not_taken() -> None:
    ranges = FreeRanges([OffsetRange(2, 4), OffsetRange(6, 8)])
    assert [each for each in range(10) if FreeRanges(ranges).take(each)] == [2, 3, 6, 7]
    ranges.drop_below(3)
    assert list(ranges) == [OffsetRange(3, 4), OffsetRange(6, 8)]
    ranges.drop_below(5)
    assert list(ranges) == [OffsetRange(6, 8)]
    assert [ranges.take(each) for each in (7, 6, 6)] == [True, True, False]
    assert list(ranges) == []
    ranges.drop_below(9)
    assert list(ranges) == []


def test_a_run_is_parted_by_what_is_taken_out_of_its_middle() -> None:
    ranges = FreeRanges([OffsetRange(0, 10)])
    assert ranges.take(5)
    assert list(ranges) == [OffsetRange(0, 5), OffsetRange(6, 10)]


def test_no_run_is_parted_once_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_FREE_RANGES_MAX", 1)
    ranges = FreeRanges([OffsetRange(0, 10)])
    assert not ranges.take(5)
    assert ranges.take(0)
    assert ranges.take(9)
    assert list(ranges) == [OffsetRange(1, 9)]
