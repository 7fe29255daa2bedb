"""Topics that are emptied, kept for longer or shorter, and given more partitions, while others use them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from bridge.errors import BadRequest, DeadlineExceeded, Outcome
from bridge.messagelog import (
    Balanced,
    ByKey,
    First,
    FromOffset,
    Last,
    NewMessage,
    Next,
    PartitionInfo,
    Retention,
    StoredOffset,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from tests.support.log_backends import AnyLog, Backend, soon

GIB = 1024**3


def messages(*payloads: bytes) -> list[NewMessage]:
    return [NewMessage(payload=payload) for payload in payloads]


async def payloads(log: AnyLog, topic: TopicRef, partition_id: int) -> list[bytes]:
    page = await log.read(topic, partition_id, First(), count=10_000, deadline=soon())
    assert [message.offset for message in page.messages] == list(range(len(page.messages)))
    return [message.payload for message in page.messages]


async def fill(log: AnyLog, topic: TopicRef, *, partition_id: int = 0, count: int = 10) -> None:
    batch = messages(*(b"old-%d" % number for number in range(count)))
    await log.append(topic, ToPartition(partition_id), batch, deadline=soon())


# --- purge ------------------------------------------------------------------------------------------------------


async def test_a_purged_topic_is_as_it_was_when_it_was_made(log: AnyLog, topic: TopicRef) -> None:
    made = await log.topic(topic, deadline=soon())
    await fill(log, topic)
    await log.store_offset(topic, 0, 1, 4, deadline=soon())
    await log.store_offset(topic, 0, "billing", 9, deadline=soon())
    await log.purge_topic(topic, deadline=soon())
    assert await log.topic(topic, deadline=soon()) == made
    for position in (First(), Last(), FromOffset(0), FromOffset(7), Next(1)):
        page = await log.read(topic, 0, position, count=10, deadline=soon())
        assert (page.end_offset, list(page.messages)) == (0, [])
    for consumer in (1, "billing"):
        assert await log.stored_offset(topic, 0, consumer, deadline=soon()) is None
    with pytest.raises(BadRequest):
        await log.store_offset(topic, 0, 1, 0, deadline=soon())


async def test_other_topics_are_left_alone_by_a_purge(log: AnyLog, topic: TopicRef) -> None:
    other = TopicRef(topic.stream, "other")
    await log.create_topic(other, partitions_count=1, deadline=soon())
    await fill(log, other)
    await log.store_offset(other, 0, 1, 4, deadline=soon())
    await fill(log, topic)
    await log.purge_topic(topic, deadline=soon())
    assert len(await payloads(log, other, 0)) == 10
    assert await log.stored_offset(other, 0, 1, deadline=soon()) == StoredOffset(4, 10)


async def test_what_is_appended_after_a_purge_stays_and_counts_from_0(log: AnyLog, topic: TopicRef) -> None:
    for number in range(12):
        await fill(log, topic, count=number + 1)
        await fill(log, topic, partition_id=1)
        await log.purge_topic(topic, deadline=soon())
        after = [b"after-%d-%d" % (number, index) for index in range(3)]
        for partition_id in range(3):
            receipts = [
                await log.append(topic, ToPartition(partition_id), messages(payload), deadline=soon())
                for payload in after
            ]
            assert [receipt.offset for receipt in receipts] == [0, 1, 2]
        await log.store_offset(topic, 0, 1, 1, deadline=soon())
        for partition_id in range(3):
            assert await payloads(log, topic, partition_id) == after
        assert await log.stored_offset(topic, 0, 1, deadline=soon()) == StoredOffset(1, 3)


async def test_topics_purged_at_the_same_time_lose_nothing_that_comes_after(log: AnyLog, stream: str) -> None:
    topics = [TopicRef(stream, f"topic-{number}") for number in range(8)]
    for topic in topics:
        await log.create_topic(topic, partitions_count=4, deadline=soon())

    async def purge(topic: TopicRef) -> None:
        await log.purge_topic(topic, deadline=soon())
        for partition_id in range(4):
            await log.append(topic, ToPartition(partition_id), messages(b"after"), deadline=soon())

    for _ in range(3):
        for topic in topics:
            await fill(log, topic)
            await fill(log, topic, partition_id=1)
        await asyncio.gather(*map(purge, topics))
        await asyncio.gather(
            *(log.append(topic, ToPartition(0), messages(b"end"), deadline=soon()) for topic in topics)
        )
        for topic in topics:
            assert [await payloads(log, topic, number) for number in range(4)] == [
                [b"after", b"end"], [b"after"], [b"after"], [b"after"],
            ]  # fmt: skip
            await log.purge_topic(topic, deadline=soon())


async def test_a_purge_lasts_also_after_reopening(backend: Backend, log: AnyLog, topic: TopicRef) -> None:
    await fill(log, topic)
    await fill(log, topic, partition_id=1)
    await log.store_offset(topic, 1, 1, 4, deadline=soon())
    await log.purge_topic(topic, deadline=soon())
    await log.append(topic, ToPartition(1), messages(b"after"), deadline=soon())
    await backend.close()
    log = await backend.open()
    assert await payloads(log, topic, 0) == []
    assert await payloads(log, topic, 1) == [b"after"]
    assert await log.stored_offset(topic, 1, 1, deadline=soon()) is None
    found = await log.topic(topic, deadline=soon())
    assert (found.messages_count, found.partitions[0].size_bytes) == (1, 0)


async def test_a_topic_may_be_purged_twice_and_when_it_is_empty(log: AnyLog, topic: TopicRef) -> None:
    for _ in range(2):
        await log.purge_topic(topic, deadline=soon())
    await fill(log, topic)
    for _ in range(2):
        await log.purge_topic(topic, deadline=soon())
    assert await payloads(log, topic, 0) == []


class Traffic:
    """
    Four who write batches of two and read after each, until told; none of them may fail.

    Attributes:
        acknowledged: payloads in order of acknowledgement, each with the era it was begun in.
        era: for the test to count up.
    """

    def __init__(self, log: AnyLog, topic: TopicRef) -> None:
        self.acknowledged: list[tuple[bytes, int]] = []
        self.era = 0
        self._log = log
        self._topic = topic
        self._over = False
        self._more = asyncio.Event()

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.acknowledged]

    async def more(self, count: int) -> None:
        """Wait until *count* more are acknowledged."""
        until = len(self.acknowledged) + count
        while len(self.acknowledged) < until:
            self._more.clear()
            await self._more.wait()

    async def _work(self, writer: int) -> None:
        number = 0
        while not self._over:
            payload, era = b"%d-%d" % (writer, number), self.era
            await self._log.append(self._topic, ToPartition(0), messages(payload, payload), deadline=soon())
            self.acknowledged.append((payload, era))
            self._more.set()
            number += 1
            page = await self._log.read(self._topic, 0, First(), count=20, deadline=soon())
            seen = [message.payload for message in page.messages]
            assert [message.offset for message in page.messages] == list(range(len(seen)))
            assert seen[::2] == seen[1::2]
            assert not seen or page.end_offset >= len(seen)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._work(writer)) for writer in range(4)]
        try:
            yield
        finally:
            self._over = True
            await asyncio.gather(*tasks)


async def test_appends_and_reads_go_on_through_purges(log: AnyLog, topic: TopicRef) -> None:
    traffic = Traffic(log, topic)
    removed: set[bytes] = set()
    async with traffic.running():
        for _ in range(5):
            await traffic.more(20)
            removed = set(traffic.payloads)
            await log.purge_topic(topic, deadline=soon())
            traffic.era += 1
        await traffic.more(20)
    stored = await payloads(log, topic, 0)
    assert stored[::2] == stored[1::2]
    assert len(set(stored)) == len(stored) // 2
    assert not removed & set(stored)
    begun_after = {payload for payload, era in traffic.acknowledged if era == traffic.era}
    assert begun_after
    assert begun_after <= set(stored)


async def test_an_append_beside_a_purge_is_there_whole_or_not_at_all(log: AnyLog, topic: TopicRef) -> None:
    for number in range(10):
        batch = messages(*(b"%d" % number for _ in range(5)))
        await asyncio.gather(
            log.append(topic, ToPartition(0), batch, deadline=soon()),
            log.purge_topic(topic, deadline=soon()),
            log.append(topic, ToPartition(0), batch, deadline=soon()),
        )
        assert len(await payloads(log, topic, 0)) in (0, 5, 10)


# --- retention --------------------------------------------------------------------------------------------------


async def test_retention_is_replaced_as_a_whole_and_told(
    backend: Backend, log: AnyLog, topic: TopicRef
) -> None:
    await fill(log, topic)
    made = await log.topic(topic, deadline=soon())
    for retention in (
        Retention(age_s=3600, size_bytes=2 * GIB),
        Retention(size_bytes=3 * GIB),
        Retention(age_s=60),
        Retention(),
        Retention(age_s=7200),
    ):
        told = await log.update_retention(topic, retention, deadline=soon())
        assert told.retention == retention
        assert (await log.topic(topic, deadline=soon())).retention == retention
        assert (told.id, told.created_at_us, told.durability) == (
            made.id,
            made.created_at_us,
            made.durability,
        )
        assert told.partitions == made.partitions
    await backend.close()
    log = await backend.open()
    assert (await log.topic(topic, deadline=soon())).retention == Retention(age_s=7200)
    assert len(await payloads(log, topic, 0)) == 10


async def test_a_size_below_what_the_log_can_keep_is_told_as_what_it_keeps(
    log: AnyLog, topic: TopicRef
) -> None:
    told = (await log.update_retention(topic, Retention(size_bytes=1000), deadline=soon())).retention
    assert told.size_bytes is not None
    # Iggy keeps a segment at least.
    assert told.size_bytes == (1000 if log.health().kind == "local" else GIB)


# --- partitions -------------------------------------------------------------------------------------------------


async def test_added_partitions_are_empty_follow_the_others_and_work_at_once(
    log: AnyLog, topic: TopicRef
) -> None:
    await fill(log, topic, partition_id=2)
    await log.store_offset(topic, 2, 1, 4, deadline=soon())
    before = await log.topic(topic, deadline=soon())
    for added in (2, 1):
        first = await log.partitions_count(topic, deadline=soon())
        told = await log.add_partitions(topic, added, deadline=soon())
        assert told.partitions_count == first + added
        assert await log.partitions_count(topic, deadline=soon()) == first + added
        for partition_id in range(first, first + added):
            page = await log.read(topic, partition_id, First(), count=1, deadline=soon())
            assert (page.partition_id, page.end_offset, list(page.messages)) == (partition_id, 0, [])
            assert await log.stored_offset(topic, partition_id, 1, deadline=soon()) is None
            receipt = await log.append(topic, ToPartition(partition_id), messages(b"new"), deadline=soon())
            assert (receipt.partition_id, receipt.offset) == (partition_id, 0)
            await log.store_offset(topic, partition_id, 1, 0, deadline=soon())
    found = await log.topic(topic, deadline=soon())
    assert found.partitions[:3] == before.partitions
    assert [part.messages_count for part in found.partitions] == [0, 0, 10, 1, 1, 1]
    assert await log.stored_offset(topic, 2, 1, deadline=soon()) == StoredOffset(4, 10)
    assert len(await payloads(log, topic, 2)) == 10


async def test_added_partitions_and_what_is_in_them_are_there_after_reopening(
    backend: Backend, log: AnyLog, topic: TopicRef
) -> None:
    other = TopicRef(topic.stream, "other")
    await log.create_topic(other, partitions_count=1, deadline=soon())
    for ref in (topic, other, topic):
        await log.add_partitions(ref, 2, deadline=soon())
    for ref, partition_id in ((topic, 3), (topic, 6), (other, 2)):
        place = b"%s-%d" % (ref.topic.encode(), partition_id)
        await log.append(ref, ToPartition(partition_id), messages(place), deadline=soon())
        await log.store_offset(ref, partition_id, 1, 0, deadline=soon())
    await backend.close()
    log = await backend.open()
    assert await log.partitions_count(topic, deadline=soon()) == 7
    found = {
        (ref, partition_id): await payloads(log, ref, partition_id)
        for ref, count in ((topic, 7), (other, 3))
        for partition_id in range(count)
    }
    assert {place: there for place, there in found.items() if there} == {
        (topic, 3): [b"topic-3"],
        (topic, 6): [b"topic-6"],
        (other, 2): [b"other-2"],
    }
    assert await log.stored_offset(topic, 6, 1, deadline=soon()) == StoredOffset(0, 1)


async def test_keys_and_turns_take_added_partitions_at_once(log: AnyLog, topic: TopicRef) -> None:
    await log.append(topic, Balanced(), messages(b"x"), deadline=soon())
    await log.add_partitions(topic, 4, deadline=soon())
    for number in range(10):
        key = b"key-%d" % number
        receipt = await log.append(topic, ByKey(key), messages(key), deadline=soon())
        assert receipt.partition_id == partition_of_key(key, 7)
    taken = [
        (await log.append(topic, Balanced(), messages(b"x"), deadline=soon())).partition_id for _ in range(7)
    ]
    assert sorted(taken) == list(range(7))


async def test_appends_and_reads_go_on_while_partitions_are_added(log: AnyLog, topic: TopicRef) -> None:
    traffic = Traffic(log, topic)
    async with traffic.running():
        for _ in range(5):
            await log.add_partitions(topic, 1, deadline=soon())
            await traffic.more(3)
    stored = await payloads(log, topic, 0)
    assert sorted(stored[::2]) == sorted(traffic.payloads)
    assert await log.partitions_count(topic, deadline=soon()) == 8


async def test_a_topic_grows_to_a_thousand_partitions_and_no_further(log: AnyLog, topic: TopicRef) -> None:
    for count in (998, 10_000, 2**40, 0, -1):
        with pytest.raises(BadRequest):
            await log.add_partitions(topic, count, deadline=soon())
    assert await log.partitions_count(topic, deadline=soon()) == 3
    told = await log.add_partitions(topic, 997, deadline=soon())
    assert [part.id for part in told.partitions] == list(range(1000))
    with pytest.raises(BadRequest) as caught:
        await log.add_partitions(topic, 1, deadline=soon())
    assert caught.value.limit == 0
    receipt = await log.append(topic, ToPartition(999), messages(b"last"), deadline=soon())
    assert receipt.offset == 0


async def test_a_topic_with_added_partitions_is_purged_and_deleted_whole(
    backend: Backend, log: AnyLog, topic: TopicRef
) -> None:
    await log.add_partitions(topic, 2, deadline=soon())
    for partition_id in range(5):
        await fill(log, topic, partition_id=partition_id)
    await log.purge_topic(topic, deadline=soon())
    await log.append(topic, ToPartition(4), messages(b"after"), deadline=soon())
    await log.add_partitions(topic, 1, deadline=soon())
    await backend.close()
    log = await backend.open()
    assert [await payloads(log, topic, partition_id) for partition_id in range(6)] == [
        [], [], [], [], [b"after"], [],
    ]  # fmt: skip
    await log.delete_topic(topic, deadline=soon())
    await log.create_topic(topic, partitions_count=6, deadline=soon())
    found = await log.topic(topic, deadline=soon())
    assert found.partitions == tuple(
        PartitionInfo(id=number, end_offset=0, size_bytes=0, messages_count=0) for number in range(6)
    )


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["purge", "retention", "partitions"])
async def test_nothing_is_changed_once_the_time_is_up(log: AnyLog, topic: TopicRef, change: str) -> None:
    await fill(log, topic)
    before = await log.topic(topic, deadline=soon())
    works: dict[str, Awaitable[object]] = {
        "purge": log.purge_topic(topic, deadline=soon(-1)),
        "retention": log.update_retention(topic, Retention(age_s=1), deadline=soon(-1)),
        "partitions": log.add_partitions(topic, 1, deadline=soon(-1)),
    }
    with pytest.raises(DeadlineExceeded) as caught:
        await works.pop(change)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    for work in works.values():
        work.close()  # type: ignore[attr-defined]
    assert await log.topic(topic, deadline=soon()) == before
