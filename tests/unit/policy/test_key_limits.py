"""What a key may take of its own, over either table."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import Storage

from bridge.limits import KEY_DEBT_S_MAX
from bridge.policy.key_limits import KeyLimiter, KeyVerdictOfLimit
from bridge.policy.limit_storage import BoundedMemoryStorage, SharedStorage, table_bytes
from bridge.policy.rate_limits import with_buckets
from tests.support.clock import FakeClock
from tests.support.keys import owned_key, ring_of

FREE = owned_key(1)
BOUND = owned_key(2, requests_per_s=2, burst=4, bytes_per_s=1000)


class FreeLocks:
    def take(self, _number: int) -> bool:
        return True

    def release(self, _number: int) -> None: ...


def in_memory(clock: FakeClock) -> Storage:
    return BoundedMemoryStorage(clock, keys_max=10)


def shared(clock: FakeClock) -> Storage:
    memory = memoryview(bytearray(table_bytes(10)))
    return SharedStorage(clock, memory=memory, locks=FreeLocks(), secret=b"0123456789abcdef")


Table: TypeAlias = Callable[[FakeClock], Storage]
TABLES = pytest.mark.parametrize("table", [in_memory, shared])


def limiter(clock: FakeClock, storage: Storage) -> KeyLimiter:
    return KeyLimiter(ring_of(FREE, BOUND), with_buckets(storage))


def allowed(found: KeyVerdictOfLimit | None) -> bool:
    assert found is not None
    return found.verdict.allowed


@TABLES
def test_requests_pass_up_to_the_burst_and_then_at_the_rate(table: Table) -> None:
    clock = FakeClock()
    limits = limiter(clock, table(clock))
    key_id = BOUND.stored.id
    assert [allowed(limits.request(key_id)) for _ in range(5)] == [True] * 4 + [False]
    # Acknowledgements have a bucket of their own.
    assert allowed(limits.request(key_id, acknowledges=True))
    clock.advance(0.5)
    assert [allowed(limits.request(key_id)) for _ in range(2)] == [True, False]
    found = limits.request(key_id)
    assert found is not None
    assert (found.name, found.quota, found.window_s, found.verdict.retry_after_ms) == ("key", 4, 2, 500)


@TABLES
def test_a_body_is_taken_whole_and_must_be_caught_up_with(table: Table) -> None:
    clock = FakeClock()
    limits = limiter(clock, table(clock))
    key_id = BOUND.stored.id
    assert allowed(limits.may_send(key_id))
    limits.sent(key_id, 5000)
    found = limits.may_send(key_id)
    assert found is not None
    assert (found.verdict.allowed, found.verdict.retry_after_ms) == (False, 4000)
    clock.advance(4.0)
    assert allowed(limits.may_send(key_id))


@TABLES
def test_nobody_is_behind_for_longer_than_the_bound(table: Table) -> None:
    clock = FakeClock()
    limits = limiter(clock, table(clock))
    limits.sent(BOUND.stored.id, 2**60)
    clock.advance(KEY_DEBT_S_MAX)
    assert allowed(limits.may_send(BOUND.stored.id))


def test_a_key_without_limits_and_one_that_is_gone_have_none() -> None:
    clock = FakeClock()
    limits = limiter(clock, in_memory(clock))
    for key_id in (FREE.stored.id, "gone"):
        limits.sent(key_id, 2**60)
        assert limits.request(key_id) is limits.may_send(key_id) is None


@given(st.lists(st.integers(min_value=1, max_value=100), max_size=20))
def test_what_one_key_takes_another_keeps(sizes: list[int]) -> None:
    clock = FakeClock()
    other = owned_key(3, bytes_per_s=1000)
    limits = KeyLimiter(ring_of(BOUND, other), with_buckets(in_memory(clock)))
    for size in sizes:
        limits.sent(BOUND.stored.id, size)
    found = limits.may_send(other.stored.id)
    assert found is not None
    assert found.verdict.remaining == 1000
