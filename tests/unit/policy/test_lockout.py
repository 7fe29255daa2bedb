"""When wrong keys are answered with "later"."""

from bridge.limits import FAILED_KEYS_BURST, FAILED_KEYS_BURST_S, FAILED_KEYS_PER_MINUTE
from bridge.policy.api_keys import Lockout
from bridge.policy.limit_storage import BoundedMemoryStorage
from tests.support.clock import FakeClock


def lockout() -> tuple[Lockout, FakeClock]:
    clock = FakeClock()
    return Lockout(BoundedMemoryStorage(clock, keys_max=100), clock), clock


def test_five_wrong_keys_at_once_are_answered_and_the_sixth_waits() -> None:
    lock, _ = lockout()
    assert [lock.failed("a") for _ in range(FAILED_KEYS_BURST)] == [0] * FAILED_KEYS_BURST
    assert lock.failed("a") == FAILED_KEYS_BURST_S * 1000


def test_no_address_gets_more_than_ten_answers_a_minute() -> None:
    lock, clock = lockout()
    answered = 0
    for _ in range(590):
        answered += lock.failed("a") == 0
        clock.advance(0.1)
    assert answered == FAILED_KEYS_PER_MINUTE


def test_waiting_as_long_as_told_is_enough_and_trying_meanwhile_does_not_prolong_it() -> None:
    lock, clock = lockout()
    for _ in range(FAILED_KEYS_BURST):
        lock.failed("a")
    wait_ms = lock.failed("a")
    for _ in range(100):
        lock.failed("a")
    clock.advance(wait_ms / 1000)
    assert lock.failed("a") == 0


def test_addresses_are_locked_out_one_by_one() -> None:
    lock, _ = lockout()
    for _ in range(20):
        lock.failed("a")
    assert lock.failed("b") == 0
