"""
Nothing in memory grows with names that callers choose: of each kind, a hundred times its bound of names leaves the bound.

Kinds whose bound is a refusal (streams, partitions, groups, lanes, tails, feeds, subscriptions, connections of an address)
are claimed where they are refused. Consumers of stored offsets are rows on the disk, and none of them is held in memory.
"""

import functools
import gc
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import bridge
from bridge import limits
from bridge.iggy import reader
from bridge.iggy.reader import MessageSizes
from bridge.iggy.topics import TopicCache
from bridge.messagelog import Durability, Retention, TopicInfo, TopicRef
from bridge.messagelog.hot_pages import HotPages
from bridge.policy.limit_storage import BoundedMemoryStorage
from bridge.policy.rate_limits import RateLimit
from bridge.policy.requests import Reminders
from bridge.telemetry.group_metrics import GroupMetrics, GroupStats
from bridge.telemetry.metrics import LogMetrics
from bridge.telemetry.process_metrics import KeyMetrics
from tests.support.clock import FakeClock

BOUND = 40
NAMES = [f"name-{number}" for number in range(100 * BOUND)]


def series(families: Iterable[Any]) -> int:
    """Of the family with the most."""
    return max(len(family.series) for family in families)


def addresses_that_ask() -> int:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=BOUND)
    for name in NAMES:
        storage.acquire_tokens(RateLimit("limit", 1.0, 5), name)
    return len(storage._full_at_s)


def addresses_with_wrong_keys() -> int:
    storage = BoundedMemoryStorage(FakeClock(), keys_max=BOUND)
    for name in NAMES:
        storage.incr(name, 60)
    return len(storage._counters)


def peers_that_are_told_of() -> int:
    reminders = Reminders(interval_s=60, keys_max=BOUND)
    for name in NAMES:
        reminders.is_due(name, 1.0)
    return len(reminders._again_s)


def topics_that_are_known() -> int:
    cache = TopicCache()
    for name in NAMES:
        info = TopicInfo(
            id=1,
            stream_id=1,
            name=name,
            created_at_us=1,
            durability=Durability.PERSISTED,
            retention=Retention(),
            partitions_count=3,
            messages_count=0,
            size_bytes=0,
            partitions=(),
        )
        cache.put(TopicRef("stream", name), info, 1.0)
    return len(cache._topics)


def partitions_whose_sizes_are_known() -> int:
    sizes = MessageSizes()
    for name in NAMES:
        sizes.learn(TopicRef("stream", name), 0, messages=1, record_bytes=100)
    return len(sizes._mean_bytes)


def pages_seen_once() -> int:
    pages: HotPages[str, bytes] = HotPages(1_000_000)
    for name in NAMES:
        pages.offer(name, b"", size_bytes=1)
    return len(pages._seen)


def topics_in_figures() -> int:
    figures = LogMetrics(topics_max=BOUND - 1)
    for name in NAMES:
        figures.appended("stream", name, messages=1, payload_bytes=1, seconds=0.1)
        figures.read("stream", name, messages=1, payload_bytes=1, seconds=0.1)
    assert len(figures._rounds) <= BOUND
    return series((figures.messages_in, figures.bytes_in, figures.messages_out, figures.bytes_out))


def groups_in_figures() -> int:
    figures = GroupMetrics(groups_max=BOUND - 1)
    for name in NAMES:
        figures.group_delivered("stream", "topic", name, messages=1, redelivered=1)
        figures.group_dead_lettered("stream", "topic", name, messages=1)
    standing = GroupStats(*(1 for _ in GroupStats._fields))
    figures.groups_measured({("stream", "topic", name): standing for name in NAMES})
    return series(
        (figures.delivered, figures.redelivered, figures.dead_lettered, figures.oldest_age_s, *figures.stats)
    )


def keys_in_figures() -> int:
    figures = KeyMetrics(keys_max=BOUND - 1)
    for name in NAMES:
        figures.let_in(name)
        figures.limited(name)
    return series((figures.requests, figures.refused))


@pytest.mark.parametrize(
    "held",
    [
        addresses_that_ask,
        addresses_with_wrong_keys,
        peers_that_are_told_of,
        topics_that_are_known,
        partitions_whose_sizes_are_known,
        pages_seen_once,
        topics_in_figures,
        groups_in_figures,
        keys_in_figures,
    ],
)
def test_a_hundred_times_its_bound_of_names_leaves_the_bound(
    held: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOPIC_CACHE_ENTRIES_MAX", BOUND)
    monkeypatch.setattr(reader, "TOPIC_CACHE_ENTRIES_MAX", BOUND)
    monkeypatch.setattr("bridge.messagelog.hot_pages.HOT_PAGES_SEEN_MAX", BOUND)
    assert held() == BOUND


def test_everything_that_is_remembered_of_arguments_has_a_bound() -> None:
    for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if module.name != "bridge.__main__":
            importlib.import_module(module.name)
    remembering = [
        each
        for each in gc.get_objects()
        if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith("bridge")
    ]
    assert len(remembering) >= 5
    # What takes no argument remembers one thing.
    unbounded = [each for each in remembering if each.cache_parameters()["maxsize"] is None]
    assert [each.__qualname__ for each in unbounded if each.__wrapped__.__code__.co_argcount] == []
