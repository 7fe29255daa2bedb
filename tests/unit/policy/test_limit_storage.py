"""The bounded table under the limits."""

from limits import RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter

from bridge.policy.limit_storage import BoundedMemoryStorage
from bridge.policy.rate_limits import RateLimit
from tests.support.clock import FakeClock

OF_ONE, OF_FIVE = (RateLimit("limit", 1.0, burst) for burst in (1, 5))
IN_DEBT = RateLimit("limit", 1.0, 5, debt_s_max=8.0)


def test_it_never_holds_more_keys_than_allowed_and_forgets_the_idle_ones() -> None:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=3)
    for n in range(100):
        storage.incr(f"k{n}", 60)
        storage.incr("busy", 60)
        storage.acquire_tokens(OF_FIVE, f"k{n}")
        storage.acquire_tokens(OF_FIVE, "busy")
    assert storage.reset() == 6


def test_what_is_spent_afterwards_keeps_the_bound_and_who_spends_is_not_forgotten() -> None:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=3)
    for n in range(10):
        storage.spend_tokens(IN_DEBT, f"k{n}", 1)
        storage.spend_tokens(IN_DEBT, "busy", 1)
    assert storage.acquire_tokens(IN_DEBT, "busy", 0).reset_s == 8
    assert storage.reset() == 3


def test_whoever_keeps_trying_while_refused_is_not_forgotten() -> None:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=3)
    storage.acquire_tokens(OF_ONE, "guilty")
    for n in range(10):
        storage.acquire_tokens(OF_FIVE, f"k{n}")
        assert not storage.acquire_tokens(OF_ONE, "guilty").allowed


def test_looking_remembers_nobody() -> None:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=3)
    assert storage.acquire_tokens(OF_FIVE, "a", 0).remaining == 5
    assert storage.reset() == 0


def test_a_window_begins_with_its_first_count_and_ends_by_the_clock() -> None:
    clock = FakeClock()
    storage = BoundedMemoryStorage(clock, keys_max=3)
    assert storage.incr("k", 10) == 1
    clock.advance(9)
    assert storage.incr("k", 10, amount=2) == 3
    assert storage.get_expiry("k") == clock.monotonic_s() + 1
    clock.advance(1)
    assert storage.get("k") == 0
    assert storage.get_expiry("k") == clock.monotonic_s()
    assert storage.incr("k", 10) == 1


def test_the_librarys_own_strategies_run_over_it() -> None:
    clock = FakeClock()
    storage = BoundedMemoryStorage(clock, keys_max=3)
    windows, item = FixedWindowRateLimiter(storage), RateLimitItemPerSecond(2)
    assert [windows.hit(item, "a") for _ in range(3)] == [True, True, False]
    windows.clear(item, "a")
    assert windows.hit(item, "a")
    assert storage.check()
    assert storage.base_exceptions is MemoryError
