"""How many requests one address may make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import MemoryStorage

from bridge.policy.limit_storage import BoundedMemoryStorage
from bridge.policy.rate_limits import BucketDraw, RateLimit, RateVerdict, drawn, with_buckets
from tests.support.clock import FakeClock

STEPS = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3)), max_size=60)


@given(st.integers(1, 1000), st.integers(1, 50), STEPS)
def test_in_any_stretch_of_time_no_more_passes_than_burst_and_refill(
    rate: int, burst: int, steps: list[tuple[float, int]]
) -> None:
    limit, full_at_s, now_s = RateLimit("limit", 1 / rate, burst), 0.0, 1000.0
    passed: list[tuple[float, int]] = []
    for wait_s, cost in steps:
        now_s += wait_s
        full_at_s, verdict = limit.take(full_at_s, now_s, cost)
        if verdict.allowed:
            passed.append((now_s, cost))
    for first, (start_s, _) in enumerate(passed):
        for last in range(first, len(passed)):
            tokens = sum(cost for _, cost in passed[first : last + 1])
            assert tokens <= burst + rate * (passed[last][0] - start_s) + 0.02


@given(st.integers(1, 1000), st.integers(1, 200), st.floats(0, 1e8))
def test_a_full_bucket_lets_exactly_its_burst_through_at_once(rate: int, burst: int, now_s: float) -> None:
    limit, full_at_s = RateLimit("limit", 1 / rate, burst), 0.0
    left = []
    for _ in range(burst):
        full_at_s, verdict = limit.take(full_at_s, now_s)
        assert verdict.allowed
        left.append(verdict.remaining)
    _, verdict = limit.take(full_at_s, now_s)
    assert not verdict.allowed
    assert left == sorted(left, reverse=True)


@given(st.integers(1, 1000), st.integers(1, 50))
def test_whoever_waits_as_long_as_told_gets_through(rate: int, burst: int) -> None:
    limit, full_at_s, now_s = RateLimit("limit", 1 / rate, burst), 0.0, 1000.0
    for _ in range(burst):
        full_at_s, _ = limit.take(full_at_s, now_s)
    full_at_s, refused = limit.take(full_at_s, now_s)
    assert refused.retry_after_ms >= 1
    _, verdict = limit.take(full_at_s, now_s + refused.retry_after_ms / 1000)
    assert verdict.allowed


def test_a_refusal_takes_nothing_and_a_look_takes_nothing() -> None:
    limit = RateLimit("limit", 1.0, 10)
    full_at_s, refused = limit.take(1010.0, 1000.0)
    assert (full_at_s, refused) == (1010.0, RateVerdict(False, 0, 1000, 10))
    _, looked = limit.take(1004.0, 1000.0, cost=0)
    assert looked == RateVerdict(True, 6, 0, 4)


def test_addresses_have_buckets_of_their_own() -> None:
    buckets = BoundedMemoryStorage(FakeClock(), keys_max=10)
    allowed = [
        buckets.acquire_tokens(RateLimit("limit", 1.0, 1), address).allowed for address in ("a", "a", "b")
    ]
    assert allowed == [True, False, True]


def test_a_storage_that_keeps_no_buckets_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="MemoryStorage"):
        with_buckets(MemoryStorage())


@given(st.integers(1, 1000), st.integers(1, 50), st.lists(st.integers(0, 80), max_size=20), st.booleans())
def test_what_is_said_of_a_bucket_elsewhere_is_what_would_be_said_of_it_here(
    rate: int, burst: int, costs: list[int], owes: bool
) -> None:
    clock = FakeClock()
    buckets = with_buckets(BoundedMemoryStorage(clock, keys_max=10))
    full_at_s = 0.0
    limit = RateLimit("limit", 1 / rate, burst, debt_s_max=60.0 if owes else 0.0)
    for cost in costs:
        now_s = clock.monotonic_s()
        (here,) = drawn(buckets, (BucketDraw(limit, "k", cost),))
        assert limit.take(full_at_s, now_s, cost)[1] == here
        if owes and here.allowed:
            full_at_s = limit.spend(full_at_s, now_s, cost)
        elif not owes:
            full_at_s, _ = limit.take(full_at_s, now_s, cost)
        clock.advance(1 / 16)


def test_a_bucket_that_owes_more_than_it_holds_has_nothing_left() -> None:
    full_at_s = RateLimit("limit", 1.0, 4, debt_s_max=60.0).spend(0.0, 1000.0, 9)
    _, verdict = RateLimit("limit", 1.0, 4).take(full_at_s, 1000.0)
    assert verdict == RateVerdict(allowed=False, remaining=0, retry_after_ms=6000, reset_s=9)


@given(st.integers(1, 1000), st.integers(1, 50), st.integers(0, 60), st.booleans())
def test_what_is_told_of_a_full_bucket_is_what_would_be_said_of_any(
    rate: int, burst: int, behind: int, owes: bool
) -> None:
    limit = RateLimit("limit", 1 / rate, burst, debt_s_max=60.0 if owes else 0.0)
    _, verdict = limit.take(1000.0 + behind / rate, 1000.0)
    left = burst - behind - (0 if owes else 1)
    assert verdict.allowed == (left >= 0)
    if verdict.allowed:
        assert verdict.remaining == left
        assert verdict.reset_s == pytest.approx((burst - left) / rate, abs=1)
        assert limit.told(verdict) == f'"limit";r={left};t={verdict.reset_s}'
