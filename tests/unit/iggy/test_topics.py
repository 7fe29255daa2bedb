import asyncio
from datetime import timedelta
from typing import Any

import pytest
from apache_iggy import IggyExpiry, MaxTopicSize

from bridge import limits
from bridge.errors import Outcome, Overloaded
from bridge.iggy.pool import Lane
from bridge.iggy.reader import MessageSizes
from bridge.iggy.topics import TopicCache, durability_of, topic_options
from bridge.messagelog import Durability, Retention, TopicInfo, TopicRef

TOPIC = TopicRef("s", "t")


def _info(partitions_count: int = 3) -> TopicInfo:
    return TopicInfo(
        id=0,
        stream_id=0,
        name="t",
        created_at_us=0,
        partitions_count=partitions_count,
        size_bytes=0,
        messages_count=0,
        durability=Durability.PERSISTED,
        retention=Retention(),
    )


@pytest.mark.parametrize(
    "options, persisted",
    [
        ({"enforce_fsync": True, "messages_required_to_save": 1}, True),
        ({"enforce_fsync": "true", "messages_required_to_save": "1"}, True),
        ({"durability": "persisted", "messages_required_to_save": 1}, True),
        ({"durability": "replicated", "messages_required_to_save": 1}, False),
        ({"enforce_fsync": False, "messages_required_to_save": 1}, False),
        ({"enforce_fsync": True, "messages_required_to_save": 1024}, False),
        ({"enforce_fsync": True}, False),
        ({}, False),
    ],
)
def test_persisted_needs_both_the_sync_and_a_save_for_each_message(
    options: dict[str, Any], persisted: bool
) -> None:
    assert (durability_of(options) is Durability.PERSISTED) is persisted


def test_a_topic_that_keeps_everything_keeps_the_servers_segments() -> None:
    assert topic_options(Durability.REPLICATED, Retention(), 3) == {}
    assert topic_options(Durability.PERSISTED, Retention(), 3)["messages_required_to_save"] == 1


@pytest.mark.parametrize("size", [1, 1024 * 1024, 10_000_000, 10**9, 10**13])
@pytest.mark.parametrize("partitions", [1, 3, 1000])
def test_segments_fit_the_size_that_a_topic_may_have(size: int, partitions: int) -> None:
    options = topic_options(Durability.REPLICATED, Retention(size_bytes=size), partitions)
    segment = options["segment_size"]
    assert limits.IGGY_SEGMENT_BYTES_MIN <= segment <= limits.IGGY_SEGMENT_BYTES_MAX
    assert segment % 512 == 0
    allowed = options["max_topic_size"]
    assert isinstance(allowed, MaxTopicSize.Custom)
    assert allowed.bytes >= max(size, segment)


def test_age_alone_also_gets_small_segments() -> None:
    options = topic_options(Durability.REPLICATED, Retention(age_s=60), 3)
    assert options["segment_size"] == limits.IGGY_SEGMENT_BYTES_MAX
    expiry = options["message_expiry"]
    assert isinstance(expiry, IggyExpiry.ExpireDuration)
    assert expiry.duration == timedelta(seconds=60)
    assert "max_topic_size" not in options


def test_a_topic_is_believed_for_a_while_and_the_turn_goes_on() -> None:
    cache = TopicCache()
    known = cache.put(TOPIC, _info(), 0.0)
    assert [known.next_partition() for _ in range(4)] == [0, 1, 2, 0]
    assert cache.get(TOPIC, limits.TOPIC_CACHE_TTL_S - 0.1) is known
    assert cache.get(TOPIC, limits.TOPIC_CACHE_TTL_S) is None
    assert cache.put(TOPIC, _info(), 9.0).next_partition() == 1
    cache.drop(TOPIC)
    assert cache.get(TOPIC, 9.0) is None


def test_a_stream_takes_its_topics_along() -> None:
    cache = TopicCache()
    cache.put(TOPIC, _info(), 0.0)
    kept = cache.put(TopicRef("other", "t"), _info(), 0.0)
    cache.drop_stream("s")
    assert cache.get(TOPIC, 0.0) is None
    assert cache.get(TopicRef("other", "t"), 0.0) is kept


def test_the_cache_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOPIC_CACHE_ENTRIES_MAX", 2)
    cache = TopicCache()
    for name in "abc":
        cache.put(TopicRef("s", name), _info(), 0.0)
    assert [cache.get(TopicRef("s", name), 0.0) is None for name in "abc"] == [True, False, False]


def test_the_step_of_a_read_follows_what_messages_weigh() -> None:
    sizes = MessageSizes()
    assert sizes.step(TOPIC, 0, wanted=100, page_bytes=0) == limits.IGGY_FIRST_READ_MESSAGES
    sizes.learn(TOPIC, 0, messages=0, record_bytes=0)
    sizes.learn(TOPIC, 0, messages=10, record_bytes=10 * 1024 * 1024)
    assert sizes.step(TOPIC, 0, wanted=100, page_bytes=0) == limits.PAGE_BYTES_MAX // (1024 * 1024)
    assert sizes.step(TOPIC, 0, wanted=100, page_bytes=limits.PAGE_BYTES_MAX) == 1
    for _ in range(40):
        sizes.learn(TOPIC, 0, messages=10, record_bytes=1000)
    assert sizes.step(TOPIC, 0, wanted=100, page_bytes=0) == 100
    # However light they were: those that come now may be a thousand times as heavy.
    assert sizes.step(TOPIC, 0, wanted=10_000, page_bytes=0) == limits.IGGY_POLL_MESSAGES_MAX


async def test_a_lane_serves_in_order_and_bounds_who_waits() -> None:
    lane: Lane = Lane(1, 2)
    slot = await lane.acquire(write=True)
    order: list[int] = []

    async def caller(number: int) -> None:
        got = await lane.acquire(write=True)
        order.append(number)
        lane.release(got)

    callers = [asyncio.create_task(caller(number)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await lane.acquire(write=True)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    lane.release(slot)
    await asyncio.gather(*callers)
    assert order == [0, 1]


async def test_a_cancelled_caller_leaves_the_slot_to_the_next() -> None:
    lane: Lane = Lane(1, 5)
    slot = await lane.acquire(write=False)
    gone_early, gone_late, patient = (asyncio.create_task(lane.acquire(write=False)) for _ in range(3))
    await asyncio.sleep(0)
    gone_early.cancel()
    await asyncio.sleep(0)
    lane.release(slot)
    gone_late.cancel()
    assert await patient is slot
    lane.release(slot)
    assert await lane.acquire(write=False) is slot
