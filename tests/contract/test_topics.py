import asyncio

import pytest

from bridge.errors import AlreadyExists, BadRequest, StreamNotFound, TopicNotFound
from bridge.messagelog import (
    Durability,
    First,
    NewMessage,
    PartitionInfo,
    Retention,
    ToPartition,
    TopicRef,
    ensure_topic,
)
from tests.support.log_backends import AnyLog, Backend, soon


async def test_a_new_topic_has_its_partitions_and_nothing_in_them(log: AnyLog, stream: str) -> None:
    ref = TopicRef(stream, "orders")
    created = await log.create_topic(ref, partitions_count=2, deadline=soon())
    assert (created.name, created.partitions_count, created.messages_count, created.size_bytes) == (
        "orders",
        2,
        0,
        0,
    )
    found = await log.topic(ref, deadline=soon())
    assert found.id == created.id
    assert found.stream_id == (await log.stream(stream, deadline=soon())).id
    assert found.partitions == tuple(
        PartitionInfo(id=number, end_offset=0, size_bytes=0, messages_count=0) for number in range(2)
    )
    assert await log.partitions_count(ref, deadline=soon()) == 2


async def test_a_topic_says_that_it_is_persisted_and_keeps_everything(log: AnyLog, topic: TopicRef) -> None:
    found = await log.topic(topic, deadline=soon())
    assert found.durability is Durability.PERSISTED
    assert found.retention == Retention()


async def test_a_topic_tells_its_retention_also_after_reopening(
    backend: Backend, log: AnyLog, stream: str
) -> None:
    ref = TopicRef(stream, "short")
    retention = Retention(age_s=3600, size_bytes=2 * 1024**3)
    await log.create_topic(ref, partitions_count=1, retention=retention, deadline=soon())
    assert (await log.topic(ref, deadline=soon())).retention == retention
    await backend.close()
    log = await backend.open()
    assert (await log.topic(ref, deadline=soon())).retention == retention


async def test_topics_are_listed_by_name(log: AnyLog, stream: str) -> None:
    for name in ("b", "a", "c"):
        await log.create_topic(TopicRef(stream, name), partitions_count=1, deadline=soon())
    assert [topic.name for topic in await log.topics(stream, deadline=soon())] == ["a", "b", "c"]


async def test_an_existing_topic_is_not_made_again(log: AnyLog, topic: TopicRef) -> None:
    with pytest.raises(AlreadyExists):
        await log.create_topic(topic, partitions_count=1, deadline=soon())
    assert await log.partitions_count(topic, deadline=soon()) == 3


async def test_a_topic_of_a_missing_stream_is_not_made(log: AnyLog, name: str) -> None:
    with pytest.raises(StreamNotFound):
        await log.create_topic(TopicRef(name, "topic"), partitions_count=1, deadline=soon())


async def test_topics_of_one_name_in_two_streams_are_two(log: AnyLog, topic: TopicRef) -> None:
    other = TopicRef(topic.stream + "-2", topic.topic)
    await log.create_stream(other.stream, deadline=soon())
    await log.create_topic(other, partitions_count=1, deadline=soon())
    await log.append(topic, ToPartition(0), [NewMessage(payload=b"here")], deadline=soon())
    page = await log.read(other, 0, First(), count=10, deadline=soon())
    assert page.messages == ()


async def test_a_deleted_topic_is_gone_and_its_successor_is_empty(log: AnyLog, topic: TopicRef) -> None:
    await log.append(topic, ToPartition(0), [NewMessage(payload=b"old")], deadline=soon())
    await log.store_offset(topic, 0, 1, 0, deadline=soon())
    await log.delete_topic(topic, deadline=soon())
    with pytest.raises(TopicNotFound):
        await log.topic(topic, deadline=soon())
    await log.create_topic(topic, partitions_count=3, deadline=soon())
    assert (await log.read(topic, 0, First(), count=10, deadline=soon())).messages == ()
    assert await log.stored_offset(topic, 0, 1, deadline=soon()) is None
    assert (
        await log.append(topic, ToPartition(0), [NewMessage(payload=b"new")], deadline=soon())
    ).offset == 0


async def test_a_topic_has_up_to_a_thousand_partitions(log: AnyLog, stream: str) -> None:
    ref = TopicRef(stream, "wide")
    # A real server makes a thousand files of each kind, and answers little meanwhile.
    await log.create_topic(ref, partitions_count=1000, deadline=soon(200))
    receipt = await log.append(ref, ToPartition(999), [NewMessage(payload=b"last")], deadline=soon(200))
    assert (receipt.partition_id, receipt.offset) == (999, 0)
    found = await log.topic(ref, deadline=soon())
    assert [partition.id for partition in found.partitions] == list(range(1000))
    assert found.partitions[999].messages_count == found.messages_count == 1


@pytest.mark.parametrize("partitions_count", [0, 1001])
async def test_other_numbers_of_partitions_are_refused(
    log: AnyLog, stream: str, partitions_count: int
) -> None:
    with pytest.raises(BadRequest):
        await log.create_topic(TopicRef(stream, "odd"), partitions_count=partitions_count, deadline=soon())


async def test_a_topic_counts_by_partition(log: AnyLog, topic: TopicRef) -> None:
    await log.append(topic, ToPartition(1), [NewMessage(payload=b"x" * 100)] * 5, deadline=soon())
    found = await log.topic(topic, deadline=soon())
    assert [partition.messages_count for partition in found.partitions] == [0, 5, 0]
    assert found.partitions[1].end_offset == 5
    assert found.partitions[1].size_bytes >= 500
    assert found.messages_count == 5


async def test_a_topic_is_made_once_however_many_see_to_it(log: AnyLog, stream: str) -> None:
    for name, with_stream in ((stream, False), (f"{stream}-own", True)):
        ref, kept = TopicRef(name, "seen-to"), Retention(age_s=3600)
        await asyncio.gather(
            *(
                ensure_topic(log, ref, retention=kept, with_stream=with_stream, deadline=soon())
                for _ in range(4)
            )
        )
        await log.append(ref, ToPartition(0), [NewMessage(b"x")], deadline=soon())
        await ensure_topic(log, ref, with_stream=with_stream, deadline=soon())
        found = await log.topic(ref, deadline=soon())
        assert (found.messages_count, found.partitions_count, found.retention) == (1, 1, kept)


async def test_a_topic_is_not_seen_to_without_its_stream_unless_that_is_asked_for(
    log: AnyLog, stream: str
) -> None:
    ref = TopicRef(f"{stream}-none", "x")
    with pytest.raises(StreamNotFound):
        await ensure_topic(log, ref, with_stream=False, deadline=soon())
    with pytest.raises(StreamNotFound):
        await log.stream(ref.stream, deadline=soon())
