"""What a key may take of its own, over either table."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import Storage

from bridge.limits import KEY_DEBT_S_MAX
from bridge.policy.limit_storage import BoundedMemoryStorage, SharedStorage, table_bytes
from bridge.policy.rate_limits import RateVerdict, drawn, spent, with_buckets
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


class Caller:
    """Who has the key BOUND."""

    def __init__(self, storage: Storage) -> None:
        self.buckets = with_buckets(storage)
        self.limits = ring_of(FREE, BOUND).limits(BOUND.stored.id)

    def asks(self, *, acknowledges: bool = False) -> RateVerdict:
        (verdict,) = drawn(self.buckets, self.limits.request(acknowledges=acknowledges)[:1])
        return verdict

    def sends(self, bytes_count: int) -> RateVerdict:
        (verdict,) = drawn(self.buckets, self.limits.bytes(bytes_count))
        return verdict


@TABLES
def test_requests_pass_up_to_the_burst_and_then_at_the_rate(table: Table) -> None:
    clock = FakeClock()
    caller = Caller(table(clock))
    assert [caller.asks().allowed for _ in range(5)] == [True] * 4 + [False]
    # Acknowledgements have a bucket of their own.
    assert caller.asks(acknowledges=True).allowed
    clock.advance(0.5)
    assert [caller.asks().allowed for _ in range(2)] == [True, False]
    limit = caller.limits.request()[0].limit
    assert (limit.name, limit.burst, limit.policy, caller.asks().retry_after_ms) == (
        "key",
        4,
        '"key";q=4;w=2',
        500,
    )


@TABLES
def test_a_body_is_taken_whole_and_must_be_caught_up_with(table: Table) -> None:
    clock = FakeClock()
    caller = Caller(table(clock))
    assert caller.sends(5000).allowed
    refused = caller.sends(0)
    assert (refused.allowed, refused.retry_after_ms) == (False, 4000)
    clock.advance(4.0)
    assert caller.sends(0).allowed


@TABLES
def test_of_a_request_that_is_refused_no_bytes_are_taken(table: Table) -> None:
    caller = Caller(table(FakeClock()))
    counts = [len(drawn(caller.buckets, caller.limits.request(100))) for _ in range(5)]
    assert counts == [2] * 4 + [1]
    assert caller.sends(0).remaining == 1000 - 400


@TABLES
def test_what_came_already_counts_also_where_it_was_too_much(table: Table) -> None:
    caller = Caller(table(FakeClock()))
    for _ in range(3):
        spent(caller.buckets, caller.limits.bytes(1000))
    assert caller.sends(1).retry_after_ms == 2000


@TABLES
def test_nobody_is_behind_for_longer_than_the_bound(table: Table) -> None:
    clock = FakeClock()
    caller = Caller(table(clock))
    assert caller.sends(2**60).allowed
    clock.advance(KEY_DEBT_S_MAX)
    assert caller.sends(0).allowed


def test_a_key_without_limits_and_one_that_is_gone_have_none() -> None:
    ring = ring_of(FREE, BOUND)
    for limits in map(ring.limits, (FREE.stored.id, "gone")):
        assert limits.request(2**60) == limits.bytes(2**60) == ()


@given(st.lists(st.integers(min_value=1, max_value=100), max_size=20))
def test_what_one_key_takes_another_keeps(sizes: list[int]) -> None:
    other = owned_key(3, bytes_per_s=1000)
    ring, buckets = ring_of(BOUND, other), with_buckets(in_memory(FakeClock()))
    for size in sizes:
        drawn(buckets, ring.limits(BOUND.stored.id).bytes(size))
    (verdict,) = drawn(buckets, ring.limits(other.stored.id).bytes(0))
    assert verdict.remaining == 1000
