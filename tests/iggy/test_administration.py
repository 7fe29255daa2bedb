"""What only Iggy could get wrong when a topic is emptied or grows: its own memory, and that of other bridges."""

import asyncio
import dataclasses

import pytest

from bridge import limits
from bridge.errors import DeadlineExceeded, NotFound, Outcome, PartitionNotFound
from bridge.messagelog import ByKey, First, NewMessage, Retention, ToPartition, TopicRef, partition_of_key
from tests.support.clock import FakeClock
from tests.support.figures import WatchedLog, by_label
from tests.support.iggy_log import IggyLogs, soon, unique
from tests.support.iggy_server import IggyServer


def messages(*payloads: bytes) -> list[NewMessage]:
    return [NewMessage(payload=payload) for payload in payloads]


async def test_another_bridge_takes_added_partitions_once_its_memory_is_old(
    server: IggyServer, logs: IggyLogs
) -> None:
    one, two = await logs.open(server.connection_string), await logs.open(server.connection_string)
    two._catalogue._clock = clock = FakeClock()
    topic = await logs.topic(one)
    assert await two.partitions_count(topic, deadline=soon()) == 1
    await one.add_partitions(topic, 6, deadline=soon())
    assert await one.partitions_count(topic, deadline=soon()) == 7
    # Until then its messages go to partitions that are there all the same.
    receipt = await two.append(topic, ByKey(b"key-3"), messages(b"x"), deadline=soon())
    assert receipt.partition_id == 0
    receipt = await two.append(topic, ToPartition(6), messages(b"x"), deadline=soon())
    assert receipt.partition_id == 6
    clock.advance(limits.TOPIC_CACHE_TTL_S)
    assert await two.partitions_count(topic, deadline=soon()) == 7
    receipt = await two.append(topic, ByKey(b"key-3"), messages(b"x"), deadline=soon())
    assert receipt.partition_id == partition_of_key(b"key-3", 7) != 0


async def test_changes_and_what_is_appended_after_a_purge_survive_a_killed_server(
    own_server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(own_server.connection_string)
    stream = unique()
    await log.create_stream(stream, deadline=soon())
    topics = [TopicRef(stream, f"topic-{number}") for number in range(6)]
    for topic in topics:
        await log.create_topic(topic, partitions_count=2, deadline=soon())
        await log.append(topic, ToPartition(0), messages(b"old", b"old"), deadline=soon())
        await log.store_offset(topic, 0, 1, 1, deadline=soon())

    async def change(topic: TopicRef) -> None:
        await log.purge_topic(topic, deadline=soon())
        for partition_id in range(2):
            await log.append(topic, ToPartition(partition_id), messages(b"new"), deadline=soon())
        await log.add_partitions(topic, 1, deadline=soon())
        await log.append(topic, ToPartition(2), messages(b"added"), deadline=soon())
        await log.update_retention(topic, Retention(age_s=3600), deadline=soon())

    await asyncio.gather(*map(change, topics))
    own_server.kill()
    own_server.start()
    for topic in topics:
        found = await log.topic(topic, deadline=soon())
        assert (found.partitions_count, found.retention) == (3, Retention(age_s=3600))
        for partition_id, payload in enumerate((b"new", b"new", b"added")):
            page = await log.read(topic, partition_id, First(), count=10, deadline=soon())
            assert [(message.offset, message.payload) for message in page.messages] == [(0, payload)]
        assert await log.stored_offset(topic, 0, 1, deadline=soon()) is None


async def test_a_partition_that_is_empty_by_now_takes_no_mark_and_a_missing_one_is_told(
    server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    info = await log.topic(topic, deadline=soon())
    (partition,) = info.partitions
    full = dataclasses.replace(partition, end_offset=1, messages_count=1)
    assert await log._admin._mark(dataclasses.replace(info, partitions=(full,)), topic, soon()) == []
    missing = dataclasses.replace(full, id=7)
    with pytest.raises(PartitionNotFound):
        await log._admin._mark(dataclasses.replace(info, partitions=(missing,)), topic, soon())


async def test_a_partition_that_is_not_emptied_in_time_leaves_a_doubt(
    server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    await log.append(topic, ToPartition(0), messages(b"x"), deadline=soon())
    assert await log._admin._mark(await log.topic(topic, deadline=soon()), topic, soon()) == [0]
    with pytest.raises(DeadlineExceeded) as caught:
        await log._admin._emptied(topic, 0, soon(0.05))
    assert caught.value.outcome in (None, Outcome.UNKNOWN)
    await log.purge_topic(topic, deadline=soon())
    await log._admin._emptied(topic, 0, soon())


async def test_a_write_to_a_place_that_is_not_there_is_no_refusal_of_the_log(
    server: IggyServer, logs: IggyLogs
) -> None:
    # `bridge_append_failures_total` wakes somebody up (BridgeAppendsFail); a client's wrong name must not.
    observer = WatchedLog()
    log = await logs.open(server.connection_string, observer=observer)
    topic = await logs.topic(log)
    for place, partition_id in ((topic._replace(topic="none"), 0), (topic, 7)):
        with pytest.raises(NotFound):
            await log.append(place, ToPartition(partition_id), messages(b"x"), deadline=soon())
    assert by_label(observer.append_failures) == {}
