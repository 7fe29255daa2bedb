import asyncio

import pytest

from bridge import limits
from bridge.errors import DeadlineExceeded
from bridge.messagelog import (
    NO_RECORDS,
    First,
    FromOffset,
    FromTimestamp,
    Last,
    Message,
    NewMessage,
    Next,
    Page,
    Position,
    ToPartition,
    TopicRef,
)
from tests.support.log_backends import AnyLog, soon


async def fill(log: AnyLog, topic: TopicRef, count: int, *, each: int = 1) -> None:
    """*count* messages "0", "1", … into partition 0, *each* at a time."""
    for start in range(0, count, each):
        batch = [
            NewMessage(payload=str(number).encode()) for number in range(start, min(start + each, count))
        ]
        await log.append(topic, ToPartition(0), batch, deadline=soon())


async def numbers(log: AnyLog, topic: TopicRef, position: Position, count: int) -> list[int]:
    page = await log.read(topic, 0, position, count=count, deadline=soon())
    assert [message.offset for message in page.messages] == [
        int(message.payload) for message in page.messages
    ]
    return [message.offset for message in page.messages]


async def test_an_empty_partition_gives_an_empty_page_from_everywhere(log: AnyLog, topic: TopicRef) -> None:
    for position in (First(), Last(), FromOffset(0), FromOffset(7), FromTimestamp(0), Next(1), Next("name")):
        assert await log.read(topic, 1, position, count=10, deadline=soon()) == Page(1, 0, NO_RECORDS)


@pytest.mark.parametrize("each", [1, 7, 30])
async def test_a_read_gives_what_its_position_says(log: AnyLog, topic: TopicRef, each: int) -> None:
    await fill(log, topic, 30, each=each)
    assert await numbers(log, topic, First(), 5) == [0, 1, 2, 3, 4]
    assert await numbers(log, topic, First(), 100) == list(range(30))
    assert await numbers(log, topic, FromOffset(10), 3) == [10, 11, 12]
    assert await numbers(log, topic, FromOffset(28), 10) == [28, 29]
    assert await numbers(log, topic, FromOffset(30), 10) == []
    assert await numbers(log, topic, FromOffset(2**62), 10) == []
    assert await numbers(log, topic, Last(), 4) == [26, 27, 28, 29]
    assert await numbers(log, topic, Last(), 100) == list(range(30))
    assert await numbers(log, topic, Next(1), 2) == [0, 1]


async def test_every_offset_and_count_gives_just_that_range(log: AnyLog, topic: TopicRef) -> None:
    await fill(log, topic, 12, each=5)
    for start in range(13):
        for count in range(1, 14):
            expected = list(range(start, min(start + count, 12)))
            assert await numbers(log, topic, FromOffset(start), count) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_every_page_and_the_topic_tell_where_the_partition_ends(
    log: AnyLog, topic: TopicRef, count: int
) -> None:
    await fill(log, topic, count)
    if count:
        await log.store_offset(topic, 0, 1, count - 1, deadline=soon())
    positions: list[Position] = [First(), Last(), Next(1), Next(2), FromTimestamp(0), FromTimestamp(2**62)]
    for position in (*positions, *map(FromOffset, range(count + 2)), FromOffset(2**62)):
        page = await log.read(topic, 0, position, count=1, deadline=soon())
        assert (page.partition_id, page.end_offset) == (0, count)
    assert [each.end_offset for each in (await log.topic(topic, deadline=soon())).partitions] == [count, 0, 0]


async def test_a_partition_that_was_purged_ends_where_a_new_one_does(log: AnyLog, topic: TopicRef) -> None:
    for count in (1, 5):
        await fill(log, topic, count)
        await log.purge_topic(topic, deadline=soon())
        for offset in (0, 1, 5):
            page = await log.read(topic, 0, FromOffset(offset), count=1, deadline=soon())
            assert page.end_offset == 0
        assert (await log.topic(topic, deadline=soon())).partitions[0].end_offset == 0


async def test_a_page_never_ends_behind_a_message_that_belongs_to_it(log: AnyLog, topic: TopicRef) -> None:
    for _ in range(20):
        filling = asyncio.create_task(fill(log, topic, 2))
        while not filling.done():
            for position in (FromTimestamp(0), Next(1), FromOffset(1)):
                page = await log.read(topic, 0, position, count=1, deadline=soon())
                assert page.messages or page.end_offset <= isinstance(position, FromOffset)
        await filling
        await log.purge_topic(topic, deadline=soon())


async def test_a_read_by_time_begins_at_the_first_message_taken_at_or_after_it(
    log: AnyLog, topic: TopicRef
) -> None:
    for number in range(8):
        await fill_one(log, topic, number)
    page = await log.read(topic, 0, First(), count=10, deadline=soon())
    times = [message.timestamp_us for message in page.messages]
    assert times == sorted(times)
    for time_us in {*times, times[0] - 1, times[-1] + 1, *(time_us + 1 for time_us in times)}:
        expected = [offset for offset, taken_us in enumerate(times) if taken_us >= time_us]
        assert await numbers(log, topic, FromTimestamp(time_us), 10) == expected
    assert await numbers(log, topic, FromTimestamp(0), 2) == [0, 1]


async def fill_one(log: AnyLog, topic: TopicRef, number: int) -> None:
    await log.append(topic, ToPartition(0), [NewMessage(payload=str(number).encode())], deadline=soon())


async def test_next_begins_after_the_stored_offset_and_moves_nothing(log: AnyLog, topic: TopicRef) -> None:
    await fill(log, topic, 10)
    await log.store_offset(topic, 0, 7, 3, deadline=soon())
    await log.store_offset(topic, 0, "name", 8, deadline=soon())
    for _ in range(2):
        assert await numbers(log, topic, Next(7), 3) == [4, 5, 6]
        assert await numbers(log, topic, Next("name"), 3) == [9]
    await log.store_offset(topic, 0, 7, 9, deadline=soon())
    assert await numbers(log, topic, Next(7), 3) == []


async def test_partitions_are_read_apart(log: AnyLog, topic: TopicRef) -> None:
    for partition_id in range(3):
        await log.append(
            topic, ToPartition(partition_id), [NewMessage(payload=b"%d" % partition_id)] * 2, deadline=soon()
        )
    for partition_id in range(3):
        page = await log.read(topic, partition_id, First(), count=10, deadline=soon())
        assert [message.payload for message in page.messages] == [b"%d" % partition_id] * 2


async def test_a_page_ends_before_it_grows_past_its_bound_but_is_never_stuck(
    log: AnyLog, topic: TopicRef
) -> None:
    large = bytes(limits.PAGE_BYTES_MAX // 2 - 1000)
    for payload in (large, large, b"small", bytes(limits.PAGE_BYTES_MAX + 1), b"end"):
        await log.append(topic, ToPartition(0), [NewMessage(payload=payload)], deadline=soon())
    sizes = []
    seen: list[Message] = []
    while len(seen) < 5:
        page = await log.read(topic, 0, FromOffset(len(seen)), count=10, deadline=soon())
        sizes.append(sum(len(message.payload) for message in page.messages))
        seen.extend(page.messages)
        assert len(page.messages) == 1 or sizes[-1] <= limits.PAGE_BYTES_MAX
    assert [message.offset for message in seen] == list(range(5))
    assert len(sizes) >= 3


async def test_a_read_beside_writers_sees_a_prefix_that_only_grows(log: AnyLog, topic: TopicRef) -> None:
    async def read() -> None:
        seen = 0
        while seen < 100:
            page = await log.read(topic, 0, First(), count=1000, deadline=soon())
            assert [int(message.payload) for message in page.messages] == list(range(len(page.messages)))
            assert len(page.messages) >= seen
            assert not page.messages or page.end_offset > page.messages[-1].offset
            seen = len(page.messages)

    await asyncio.gather(fill(log, topic, 100), read(), read())


async def test_an_acknowledged_message_is_read_at_once(log: AnyLog, topic: TopicRef) -> None:
    for number in range(50):
        await fill_one(log, topic, number)
        assert await numbers(log, topic, Last(), 1) == [number]


async def test_nothing_is_read_once_the_time_is_up(log: AnyLog, topic: TopicRef) -> None:
    with pytest.raises(DeadlineExceeded):
        await log.read(topic, 0, First(), count=1, deadline=soon(-1))
    with pytest.raises(DeadlineExceeded):
        await log.topic(topic, deadline=soon(-1))


async def test_whoever_reads_after_an_acknowledgement_sees_it_however_many_read_the_same(
    log: AnyLog, topic: TopicRef
) -> None:
    async def read() -> int:
        page = await log.read(topic, 0, FromOffset(0), count=100, deadline=soon())
        return len(page.messages)

    async def poll() -> None:
        # So many and no more: pollers that never wait would keep the interpreter from the thread that writes.
        for _ in range(30):
            await read()
            await asyncio.sleep(0)

    for number in range(20):
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(poll())
            await fill(log, topic, 1)
            assert await read() == number + 1


async def test_a_topic_made_anew_never_shows_a_page_of_the_old_one(log: AnyLog, topic: TopicRef) -> None:
    for payload in (b"one", b"two", b"six"):
        await log.append(topic, ToPartition(0), [NewMessage(payload=payload, id=7)] * 3, deadline=soon())
        for _ in range(4):
            page = await log.read(topic, 0, FromOffset(0), count=3, deadline=soon())
            assert [message.payload for message in page.messages] == [payload] * 3
        await log.delete_topic(topic, deadline=soon())
        await log.create_topic(topic, partitions_count=2, deadline=soon())
