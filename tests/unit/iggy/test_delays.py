import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.iggy.connection import delays_s


@given(
    base_ms=st.integers(1, 600_000),
    ceiling_ms=st.integers(1, 3_600_000),
    seed=st.integers(),
    attempts=st.integers(1, 60),
)
def test_each_delay_stays_in_its_doubling_range(
    base_ms: int, ceiling_ms: int, seed: int, attempts: int
) -> None:
    delays = delays_s(base_ms=base_ms, ceiling_ms=ceiling_ms, attempts_max=0, rng=random.Random(seed))
    for number, delay_s in enumerate(itertools.islice(delays, attempts)):
        assert 0 <= delay_s <= min(ceiling_ms, base_ms * 2**number) / 1000 + 1e-9


def test_so_many_attempts_have_one_delay_less() -> None:
    for attempts in (1, 2, 5):
        found = list(delays_s(base_ms=10, ceiling_ms=100, attempts_max=attempts, rng=random.Random(1)))
        assert len(found) == attempts - 1


def test_without_end_goes_past_any_power_of_two() -> None:
    delays = delays_s(base_ms=1, ceiling_ms=1000, attempts_max=0, rng=random.Random(1))
    assert max(itertools.islice(delays, 5000)) <= 1.0


def test_two_bridges_do_not_come_back_together() -> None:
    one, two = (
        list(
            itertools.islice(
                delays_s(base_ms=100, ceiling_ms=1000, attempts_max=0, rng=random.Random(seed)), 8
            )
        )
        for seed in (1, 2)
    )
    assert not set(one) & set(two)
