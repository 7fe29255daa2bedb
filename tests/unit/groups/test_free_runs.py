import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.groups.free_runs import FreeRuns
from bridge.groups.records import Run

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
    runs, model, end = FreeRuns(), set[int](), 0
    for what, one, two in operations:
        if what == "append":
            runs.append(Run(end + one, end + one + two))
            model |= set(range(end + one, end + one + two))
            end += one + two
        elif what == "take":
            assert runs.take(one) is (one in model)
            model.discard(one)
        else:
            runs.drop_below(one)
            model = {each for each in model if each >= one}
        found = [each for start, stop in runs for each in range(start, stop)]
        assert found == sorted(model)
        assert runs.messages_count == len(model)
        assert runs.first == min(model, default=None)
        assert len(runs) == len(list(runs))
        assert all((each in runs) is (each in model) for each in range(60))
        assert list(FreeRuns(runs)) == list(runs)
        assert all(one.stop < two.start for one, two in zip(runs, list(runs)[1:], strict=False))


def test_what_is_not_in_a_run_is_not_taken() -> None:
    runs = FreeRuns([Run(2, 4), Run(6, 8)])
    assert [each for each in range(10) if FreeRuns(runs).take(each)] == [2, 3, 6, 7]
    runs.drop_below(3)
    assert list(runs) == [Run(3, 4), Run(6, 8)]
    runs.drop_below(5)
    assert list(runs) == [Run(6, 8)]
    assert [runs.take(each) for each in (7, 6, 6)] == [True, True, False]
    assert list(runs) == []
    runs.drop_below(9)
    assert list(runs) == []


def test_a_run_is_parted_by_what_is_taken_out_of_its_middle() -> None:
    runs = FreeRuns([Run(0, 10)])
    assert runs.take(5)
    assert list(runs) == [Run(0, 5), Run(6, 10)]


def test_no_run_is_parted_once_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_FREE_RUNS_MAX", 1)
    runs = FreeRuns([Run(0, 10)])
    assert not runs.take(5)
    assert runs.take(0)
    assert runs.take(9)
    assert list(runs) == [Run(1, 9)]
