"""What is said once."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.requests import Reminders


def test_a_key_is_told_once_an_interval() -> None:
    reminders = Reminders(interval_s=60, keys_max=10)
    assert [reminders.is_due("a", now_s) for now_s in (0, 1, 59, 60, 61, 120)] == [1, 0, 0, 1, 0, 1]


def test_when_enough_keys_were_told_others_wait_for_the_oldest() -> None:
    reminders = Reminders(interval_s=60, keys_max=2)
    assert reminders.is_due("a", 0)
    assert reminders.is_due("b", 30)
    assert not reminders.is_due("c", 59)
    assert reminders.is_due("c", 60)
    assert not reminders.is_due("a", 89)
    assert reminders.is_due("a", 90)


@given(st.lists(st.tuples(st.text(max_size=2), st.integers(0, 5)), max_size=200))
def test_whoever_writes_the_keys_no_more_is_said_than_the_bound(asked: list[tuple[str, int]]) -> None:
    reminders, now_s, told = Reminders(interval_s=60, keys_max=3), 0, []
    for key, later_s in asked:
        now_s += later_s
        if reminders.is_due(key, now_s):
            told.append(now_s)
    assert all(sum(at - 60 < each <= at for each in told) <= 3 for at in told)
