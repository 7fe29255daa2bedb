"""The table of limits that several processes share: here two storages over one memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter

from bridge.limits import SHARED_TABLE_WAYS
from bridge.policy.api_keys import Lockout
from bridge.policy.limit_storage import BoundedMemoryStorage, SharedStorage, table_bytes
from bridge.policy.rate_limits import RateLimit
from tests.support.clock import FakeClock

SECRET = b"0123456789abcdef"
OF_THREE = RateLimit("limit", 0.5, 3)


def of(burst: int) -> RateLimit:
    return RateLimit("limit", 1.0, burst)


class Locks:
    """Counts; `free` False is another process that stopped while it held one."""

    def __init__(self, *, free: bool = True) -> None:
        self.free = free
        self.held: set[int] = set()

    def take(self, number: int) -> bool:
        assert number not in self.held
        if self.free:
            self.held.add(number)
        return self.free

    def release(self, number: int) -> None:
        self.held.remove(number)


def shared(clock: FakeClock, memory: memoryview, locks: Locks | None = None) -> SharedStorage:
    return SharedStorage(clock, memory=memory, locks=locks or Locks(), secret=SECRET)


def memory(keys_max: int = 1000) -> memoryview:
    return memoryview(bytearray(table_bytes(keys_max)))


def test_a_burst_over_two_workers_is_one_burst() -> None:
    clock, table = FakeClock(), memory()
    workers = [shared(clock, table) for _ in range(2)]
    allowed = [workers[number % 2].acquire_tokens(of(10), "10.0.0.1").allowed for number in range(40)]
    assert allowed == [True] * 10 + [False] * 30
    clock.advance(1)
    assert [worker.acquire_tokens(of(10), "10.0.0.1").allowed for worker in workers] == [True, False]


def test_wrong_keys_at_two_workers_count_together() -> None:
    clock, table = FakeClock(), memory()
    doors = [Lockout(shared(clock, table), clock) for _ in range(2)]
    waits_ms = [doors[number % 2].failed("10.0.0.1") for number in range(6)]
    assert waits_ms[:5] == [0] * 5
    assert waits_ms[5] > 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "look", "incr", "get", "clear", "wait"])),
        max_size=60,
    )
)
def test_it_answers_as_the_table_of_one_process_does(steps: list[tuple[str, str]]) -> None:
    clock = FakeClock()
    # Buckets and windows have tables of their own, as in the bridge: a row is either.
    pairs = [(shared(clock, memory()), BoundedMemoryStorage(clock, keys_max=100)) for _ in range(2)]
    (bucket, plain_bucket), (window, plain_window) = pairs
    for key, step in steps:
        if step in ("take", "look"):
            cost = int(step == "take")
            assert bucket.acquire_tokens(OF_THREE, key, cost) == plain_bucket.acquire_tokens(
                OF_THREE, key, cost
            )
        elif step == "incr":
            assert window.incr(key, 2) == plain_window.incr(key, 2)
        elif step == "get":
            assert window.get(key) == plain_window.get(key)
            assert window.get_expiry(key) == plain_window.get_expiry(key)
        elif step == "clear":
            for storage in (bucket, plain_bucket, window, plain_window):
                storage.clear(key)
        else:
            clock.advance(0.7)


def test_a_full_set_forgets_the_one_that_is_nearest_to_a_full_bucket() -> None:
    clock = FakeClock()
    storage = shared(clock, memory(SHARED_TABLE_WAYS))
    for number in range(SHARED_TABLE_WAYS):
        for _ in range(number + 1):
            storage.acquire_tokens(of(20), f"k{number}")
    storage.acquire_tokens(of(20), "new")
    assert storage.acquire_tokens(of(20), "k0", 0).remaining == 20
    assert storage.acquire_tokens(of(20), f"k{SHARED_TABLE_WAYS - 1}", 0).remaining == 12
    assert storage.reset() == SHARED_TABLE_WAYS
    assert storage.acquire_tokens(of(20), "new", 0).remaining == 20


def test_it_never_takes_more_memory_than_it_was_given() -> None:
    table = memory(100)
    storage = shared(FakeClock(), table)
    for number in range(5000):
        storage.acquire_tokens(of(5), f"k{number}")
        storage.incr(f"c{number}", 60)
    assert storage.reset() <= len(table) // 24


def test_looking_takes_no_lock_and_leaves_nothing() -> None:
    locks = Locks(free=False)
    storage = shared(FakeClock(), memory(), locks)
    assert storage.acquire_tokens(of(5), "a", 0).remaining == 5
    assert storage.get("a") == 0
    assert storage.reset() == 0


def test_it_counts_on_without_a_lock_that_cannot_be_had() -> None:
    storage = shared(FakeClock(), memory(), Locks(free=False))
    assert [storage.acquire_tokens(of(2), "a").allowed for _ in range(3)] == [True, True, False]


def test_a_lock_is_given_back_also_where_counting_fails() -> None:
    locks = Locks()
    storage = shared(FakeClock(), memory(), locks)
    with pytest.raises(OverflowError):
        storage.acquire_tokens(of(1), "a", 10**400)
    assert not locks.held


def test_without_the_secret_nobody_can_tell_which_addresses_share_a_set() -> None:
    @contextmanager
    def other() -> Iterator[SharedStorage]:
        yield SharedStorage(FakeClock(), memory=table, locks=Locks(), secret=b"another secret..")

    table = memory()
    shared(FakeClock(), table).incr("a", 60)
    with other() as storage:
        assert storage.get("a") == 0


def test_the_strategies_of_the_library_run_over_it() -> None:
    storage = shared(FakeClock(), memory())
    assert storage.check()
    assert storage.base_exceptions is MemoryError
    window = FixedWindowRateLimiter(storage)
    item = RateLimitItemPerSecond(2)
    assert [window.hit(item, "a") for _ in range(3)] == [True, True, False]
