"""Claims of `web.shared_limits` over a real Redis: buckets are those of one process, and no answer is none."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bridge.errors import LimitsUnavailable
from bridge.limits import FAILED_KEYS_BURST
from bridge.policy.rate_limits import BucketDraw, RateLimit, RateVerdict
from bridge.telemetry.process_metrics import SharedLimitMetrics
from bridge.web import shared_limits
from bridge.web.shared_limits import SharedLimits
from tests.support.figures import figure
from tests.support.programs import needs
from tests.support.redis_server import RedisServer

pytestmark = needs("redis-server")


def one_of(address: str) -> BucketDraw:
    """One of three, and a token in a minute: none comes back while a test runs."""
    return BucketDraw(RateLimit("address", 60.0, 3), address)


def of_bytes(count: int) -> BucketDraw:
    return BucketDraw(RateLimit("key-bytes", 0.01, 100, debt_s_max=3600.0), "key-bytes k", count)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def metrics() -> SharedLimitMetrics:
    return SharedLimitMetrics()


@pytest.fixture
async def shared(
    redis: RedisServer, metrics: SharedLimitMetrics, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharedLimits]:
    # However busy the machine of the test is.
    monkeypatch.setattr(shared_limits, "SHARED_LIMITS_TIMEOUT_S", 20.0)
    made = SharedLimits(redis.uri, refuses_without=False, metrics=metrics)
    await made.start()
    yield made
    await made.close()


async def taken(shared: SharedLimits, *draws: BucketDraw) -> list[RateVerdict]:
    verdicts = await shared.take(draws)
    assert verdicts is not None
    return verdicts


async def test_a_bucket_gives_its_burst_and_then_says_when_the_next_token_is_there(
    shared: SharedLimits, metrics: SharedLimitMetrics
) -> None:
    verdicts = [await taken(shared, one_of("2001:db8::/64")) for _ in range(5)]
    assert [(each.allowed, each.remaining) for (each,) in verdicts] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    (refused,) = verdicts[-1]
    assert 0 < refused.retry_after_ms <= 60_000
    assert 120 < refused.reset_s <= 180
    assert await taken(shared, one_of("2001:db8:1::/64")) != [refused]
    assert figure(metrics, "bridge_shared_limits_up") == 1


async def test_of_several_buckets_nothing_is_taken_behind_one_that_refuses(shared: SharedLimits) -> None:
    for _ in range(3):
        assert len(await taken(shared, one_of("of a key"), of_bytes(30))) == 2
    assert [each.allowed for each in await taken(shared, one_of("of a key"), of_bytes(2**40))] == [False]
    # 90 of 100 are taken, but for what came back meanwhile.
    (verdict,) = await taken(shared, of_bytes(0))
    assert verdict.remaining >= 10


async def test_a_body_is_taken_whole_and_what_came_counts_also_where_it_is_too_much(
    shared: SharedLimits,
) -> None:
    assert [each.allowed for each in await taken(shared, of_bytes(100_000))] == [True]
    (refused,) = await taken(shared, of_bytes(1))
    assert (refused.allowed, refused.retry_after_ms > 900_000) == (False, True)
    shared.spend((of_bytes(100_000),))
    await shared.close()
    (more,) = await taken(shared, of_bytes(1))
    assert more.retry_after_ms > 1_900_000


async def test_a_ticket_is_used_once_and_is_not_to_be_read_in_redis(
    shared: SharedLimits, redis: RedisServer
) -> None:
    assert [await shared.is_first_use(each) for each in ("one", "one", "two")] == [True, False, True]
    keys = redis.told("KEYS", "bridge:limits:ticket:*")
    assert keys.startswith(b"*2")
    assert b"one" not in keys


async def test_what_it_keeps_ends_by_itself(shared: SharedLimits, redis: RedisServer) -> None:
    await shared.take((one_of("leaves"),))
    assert 0 < int(redis.told("PTTL", "bridge:limits:bucket:leaves").strip(b":\r\n")) <= 61_000


async def test_wrong_keys_are_counted_until_they_are_too_many(shared: SharedLimits) -> None:
    waits = [await shared.key_failed("192.0.2.7") for _ in range(FAILED_KEYS_BURST + 2)]
    assert waits[:FAILED_KEYS_BURST] == [0] * FAILED_KEYS_BURST
    assert all(wait is not None and 0 < wait <= 60_000 for wait in waits[FAILED_KEYS_BURST:])
    assert await shared.key_failed("192.0.2.8") == 0


async def test_where_nobody_answers_there_is_no_verdict_and_nobody_asks_again_before_the_next_look(
    metrics: SharedLimitMetrics,
) -> None:
    with RedisServer() as mortal:
        shared = SharedLimits(mortal.uri, refuses_without=False, metrics=metrics)
        await shared.start()
    for _ in range(3):
        assert await shared.take((one_of("x"),)) is None
    assert await shared.key_failed("x") is None
    assert await shared.is_first_use("x") is None
    shared.spend((of_bytes(1),))
    assert figure(metrics, "bridge_shared_limits_errors_total") == 1
    assert figure(metrics, "bridge_shared_limits_up") == 0
    await shared.close()


async def test_where_that_is_asked_for_what_cannot_be_counted_is_refused(metrics: SharedLimitMetrics) -> None:
    with RedisServer() as mortal:
        shared = SharedLimits(mortal.uri, refuses_without=True, metrics=metrics)
        await shared.start()
    for _ in range(2):
        with pytest.raises(LimitsUnavailable):
            await shared.take((one_of("x"),))
    with pytest.raises(LimitsUnavailable):
        await shared.is_first_use("x")
    assert await shared.key_failed("x") is None
    await shared.close()
