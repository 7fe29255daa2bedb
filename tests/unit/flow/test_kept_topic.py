"""Who meets a default topic that is missing waits until it is there, in his turn and in his time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from bridge.clock import Deadline, SystemClock
from bridge.errors import BridgeError, Outcome, StreamNotFound, TopicNotFound, TopicNotReady
from bridge.flow.appending.batching import BatchingAppender
from bridge.flow.kept_topic import KeptLog, KeptTopic
from bridge.limits import DEFAULT_TOPIC_TRIES_MAX
from bridge.messagelog import (
    Balanced,
    Durability,
    First,
    HealthProbe,
    MessageLog,
    Messages,
    NewMessage,
    Placement,
    Receipt,
    Retention,
    TopicRef,
)
from bridge.messagelog.port import sealed
from tests.support.clock import FakeClock

TOPIC = TopicRef("s", "t")
OTHER = TopicRef("s", "other")
CLOCK = SystemClock()


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, CLOCK)


class FakeLog:
    """
    Answers each call with its name, or raises `missing`.

    Attributes:
        calls: every call's name, refused ones too.
        stored: payloads that were appended, in order.
    """

    def __init__(self, missing: BridgeError | None = None) -> None:
        self.missing = missing
        self.calls: list[str] = []
        self.stored: list[bytes] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*_: Any, **__: Any) -> str:
            self.calls.append(name)
            await asyncio.sleep(0)
            if self.missing is not None:
                raise self.missing
            return name

        return call

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        del topic, placement, deadline
        self.calls.append("append")
        missing, first = self.missing, len(self.stored)
        if missing is None:
            self.stored += sealed(messages).payloads
        await asyncio.sleep(0)
        if missing is not None:
            raise missing
        return Receipt(0, first, len(self.stored) - first, Durability.PERSISTED)


def appending_to(log: FakeLog, kept: KeptTopic | None) -> BatchingAppender:
    return BatchingAppender(cast("MessageLog", log), probe=cast("HealthProbe", log), kept=kept)


async def append(appender: BatchingAppender, payload: bytes, deadline: Deadline | None = None) -> Receipt:
    return await appender.append(TOPIC, Balanced(), (NewMessage(payload),), deadline=deadline or soon())


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def every_call(log: KeptLog) -> dict[str, Callable[[TopicRef], Awaitable[Any]]]:
    return {
        "stream": lambda topic: log.stream(topic.stream, deadline=soon()),
        "topics": lambda topic: log.topics(topic.stream, deadline=soon()),
        "create_topic": lambda topic: log.create_topic(
            TopicRef(topic.stream, "new"), partitions_count=1, deadline=soon()
        ),
        "topic": lambda topic: log.topic(topic, deadline=soon()),
        "purge_topic": lambda topic: log.purge_topic(topic, deadline=soon()),
        "update_retention": lambda topic: log.update_retention(topic, Retention(), deadline=soon()),
        "add_partitions": lambda topic: log.add_partitions(topic, 1, deadline=soon()),
        "partitions_count": lambda topic: log.partitions_count(topic, deadline=soon()),
        "append": lambda topic: log.append(topic, Balanced(), (NewMessage(b"x"),), deadline=soon()),
        "read": lambda topic: log.read(topic, 0, First(), count=1, deadline=soon()),
        "stored_offset": lambda topic: log.stored_offset(topic, 0, 1, deadline=soon()),
        "store_offset": lambda topic: log.store_offset(topic, 0, 1, 0, deadline=soon()),
        "delete_offset": lambda topic: log.delete_offset(topic, 0, 1, deadline=soon()),
    }


@pytest.mark.parametrize("name", every_call(cast("KeptLog", None)))
async def test_whatever_is_asked_of_a_missing_default_topic_is_answered_once_it_was_made(name: str) -> None:
    bare, kept = FakeLog(StreamNotFound()), KeptTopic(TOPIC)
    asking = asyncio.ensure_future(every_call(KeptLog(cast("MessageLog", bare), kept))[name](TOPIC))
    await turns()
    assert not asking.done()
    bare.missing = None
    kept.made()
    assert await asking in (name, None, Receipt(0, 0, 1, Durability.PERSISTED))
    assert bare.calls == [name, name]
    assert kept.waiting == 0


@pytest.mark.parametrize("name", every_call(cast("KeptLog", None)))
async def test_other_topics_that_are_missing_are_told_so_at_once(name: str) -> None:
    bare, kept = FakeLog(StreamNotFound()), KeptTopic(TOPIC)
    kept.made()
    with pytest.raises(StreamNotFound):
        await every_call(KeptLog(cast("MessageLog", bare), kept))[name](TopicRef("no", "such"))
    assert kept.is_there
    assert bare.calls == [name]


async def test_a_topic_beside_the_default_one_is_missing_to_whom_asks_for_it() -> None:
    bare, kept = FakeLog(TopicNotFound()), KeptTopic(TOPIC)
    kept.made()
    with pytest.raises(TopicNotFound):
        await KeptLog(cast("MessageLog", bare), kept).read(OTHER, 0, First(), count=1, deadline=soon())
    assert kept.is_there


async def test_a_write_whose_time_is_up_before_was_not_written_and_says_when_to_come_again() -> None:
    bare, clock = FakeLog(TopicNotFound()), FakeClock()
    asking = asyncio.ensure_future(
        append(appending_to(bare, KeptTopic(TOPIC)), b"1", Deadline.after(60.0, clock))
    )
    await turns(1)
    clock.advance(60.0)
    with pytest.raises(TopicNotReady) as caught:
        await asking
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert caught.value.retry_after_ms
    assert caught.value.retryable
    log = KeptLog(cast("MessageLog", bare), KeptTopic(TOPIC))
    with pytest.raises(TopicNotReady) as caught:
        await log.read(TOPIC, 0, First(), count=1, deadline=soon(0.0))
    assert caught.value.outcome is None


async def test_what_was_sent_while_it_was_missing_is_stored_in_the_order_of_sending() -> None:
    bare, kept = FakeLog(TopicNotFound()), KeptTopic(TOPIC)
    appender = appending_to(bare, kept)
    sent = [asyncio.ensure_future(append(appender, b"%d" % number)) for number in range(3)]
    await turns()
    bare.missing = None
    # Comes when the topic is there already, but those before have not been told.
    sent.append(asyncio.ensure_future(append(appender, b"3")))
    await turns()
    assert bare.stored == []
    kept.made()
    sent.append(asyncio.ensure_future(append(appender, b"4")))
    late = append(appender, b"5")
    await asyncio.gather(*sent, late)
    assert bare.stored == [b"0", b"1", b"2", b"3", b"4", b"5"]
    await append(appender, b"6")
    assert kept.waiting == 0


async def test_a_topic_that_is_missing_again_and_again_is_asked_for_so_often_and_no_more() -> None:
    bare, kept = FakeLog(TopicNotFound()), KeptTopic(TOPIC)

    async def make_in_vain() -> None:
        while True:
            kept.made()
            await asyncio.sleep(0)

    making = asyncio.create_task(make_in_vain())
    with pytest.raises(TopicNotReady):
        await append(appending_to(bare, kept), b"1")
    making.cancel()
    assert bare.calls == ["append"] * (1 + DEFAULT_TOPIC_TRIES_MAX)


async def test_who_deletes_it_is_not_kept_waiting_and_wakes_who_makes_it() -> None:
    bare, kept = FakeLog(), KeptTopic(TOPIC)
    log = KeptLog(cast("MessageLog", bare), kept)
    kept.made()
    woken = asyncio.create_task(kept.until_missed(60.0))
    await log.delete_topic(TOPIC, deadline=soon())
    await woken
    assert not kept.is_there
    kept.made()
    woken = asyncio.create_task(kept.until_missed(60.0))
    await log.delete_stream(TOPIC.stream, deadline=soon())
    await woken
    assert not kept.is_there
    bare.missing = TopicNotFound()
    with pytest.raises(TopicNotFound):
        await log.delete_topic(TOPIC, deadline=soon())


async def test_only_the_first_who_misses_it_wakes_who_makes_it() -> None:
    kept = KeptTopic(TOPIC)
    kept.made()
    kept.missed()
    await kept.until_missed(60.0)
    kept.made()
    waiting = asyncio.create_task(kept.until_missed(0.0))
    await waiting
    assert kept.is_there
    # Never there yet: it is being made, and asking does not hurry that.
    fresh = KeptTopic(TOPIC)
    fresh.missed()
    await fresh.until_missed(0.0)


async def test_a_waiter_who_leaves_is_counted_no_more() -> None:
    kept = KeptTopic(TOPIC)
    asking = asyncio.create_task(append(appending_to(FakeLog(TopicNotFound()), kept), b"1"))
    await turns()
    assert kept.waiting == 1
    asking.cancel()
    await asyncio.wait({asking})
    assert kept.waiting == 0
