"""A least rate, with some of it in advance."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.slow_clients import MinimumRate


def _pace() -> MinimumRate:
    return MinimumRate(patience_s=30.0, bytes_per_s_min=1000.0)


def test_a_pause_is_nobodys_fault_until_patience_ends() -> None:
    pace = _pace()
    assert pace.spend(29.0, 0)
    assert not pace.spend(1.0, 0)


def test_a_byte_now_and_then_gains_nothing() -> None:
    pace = _pace()
    kept = [pace.spend(5.0, 1) for _ in range(6)]
    assert all(kept)
    assert not pace.spend(5.0, 1)


def test_the_least_rate_can_be_kept_for_ever() -> None:
    pace = _pace()
    assert all(pace.spend(5.0, 5000) for _ in range(10_000))


def test_what_comes_at_once_earns_no_more_than_the_patience_there_was() -> None:
    pace = _pace()
    assert pace.spend(1.0, 10**9)
    assert not pace.spend(30.0, 0)


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(0, 100_000)), max_size=60))
def test_who_is_let_go_on_has_moved_the_least_rate_but_for_the_patience(
    steps: list[tuple[float, int]],
) -> None:
    pace = _pace()
    waited_s, moved_bytes = 0.0, 0
    for seconds, count in steps:
        waited_s += seconds
        moved_bytes += count
        if not pace.spend(seconds, count):
            break
        assert moved_bytes >= (waited_s - 30.0) * 1000.0 - 1e-3
