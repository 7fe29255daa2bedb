"""Claims of those who wait."""

import asyncio
import gc

import pytest

from bridge import limits
from bridge.errors import TopicNotFound
from bridge.flow.following.waiting import Waiting
from bridge.messagelog import FromOffset, FromTimestamp, Page, Position
from tests.support.memory_log import TOPIC
from tests.support.tail_bench import Bench
from tests.support.timers import settled


def _until(
    bench: Bench, positions: dict[int, int], messages_min: int = 1, *, wait_s: float = 60
) -> tuple[Waiting, "asyncio.Task[bool]"]:
    waiting = Waiting(bench.tails, bench.in_s(wait_s))
    return waiting, asyncio.create_task(waiting.until(TOPIC, positions, messages_min))


async def test_messages_of_all_partitions_count_together(bench: Bench) -> None:
    bench.log.append(0, 2)
    _, coming = _until(bench, {0: 1, 1: 0}, 3)
    await bench.timers.pass_s(1)
    bench.log.append(1)
    await bench.timers.pass_s(1)
    assert not coming.done()
    bench.log.append(0)
    await bench.timers.pass_s(1)
    assert await coming


async def test_too_few_by_the_end_of_the_wait_are_not_there(bench: Bench) -> None:
    _, coming = _until(bench, {0: 0}, 2, wait_s=5)
    await bench.timers.pass_s(1)
    bench.log.append(0)
    await bench.timers.pass_s(3.9)
    assert not coming.done()
    await bench.timers.pass_s(0.1)
    assert not await coming


async def test_a_partition_that_begins_anew_ends_the_wait(bench: Bench) -> None:
    bench.log.append(0, 5)
    _, coming = _until(bench, {0: 5, 1: 0})
    await bench.timers.pass_s(1)
    bench.log.purge(0)
    await bench.timers.pass_s(1)
    assert await coming


async def test_a_partition_that_began_anew_before_anybody_watched_it_ends_the_wait(bench: Bench) -> None:
    bench.log.append(0, 5)
    bench.log.purge(0)
    _, coming = _until(bench, {0: 5, 1: 0})
    await bench.timers.pass_s(1)
    assert await coming


async def test_a_place_that_goes_ends_the_wait_by_saying_so(bench: Bench) -> None:
    _, coming = _until(bench, {0: 0, 1: 0})
    await bench.timers.pass_s(1)
    bench.log.fault = TopicNotFound()
    await bench.timers.pass_s(1)
    with pytest.raises(TopicNotFound):
        await coming


async def test_a_place_that_goes_with_several_partitions_at_once_is_told_once(bench: Bench) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    bench.log.fault = TopicNotFound()
    _, coming = _until(bench, {0: 0, 1: 0, 2: 0})
    await bench.timers.pass_s(1)
    with pytest.raises(TopicNotFound):
        await coming
    # With the error, which knows where it was raised, go the futures, which complain of what nobody asked them.
    del coming
    bench.log.fault = None
    gc.collect()
    assert told == []


@pytest.mark.parametrize("before", [True, False])
async def test_who_leaves_waits_no_more(bench: Bench, *, before: bool) -> None:
    waiting, coming = _until(bench, {0: 0})
    if not before:
        await settled()
    waiting.give_up()
    assert not await coming
    assert waiting.is_over
    await bench.timers.pass_s(limits.TAIL_LINGER_S)
    assert bench.tails.tails_count == 0


async def _page(bench: Bench, position: Position, *, wait_s: float = 60) -> "asyncio.Task[Page]":
    async def read() -> Page:
        return await bench.log.read(TOPIC, 0, position, count=10, deadline=bench.in_s(600))

    first = await read()
    bench.log.reads.clear()
    waiting = Waiting(bench.tails, bench.in_s(wait_s))
    return asyncio.create_task(
        waiting.read_on(
            TOPIC,
            first,
            read,
            begin=lambda page: {0: position.offset if isinstance(position, FromOffset) else page.end_offset},
            is_enough=lambda page: bool(page.messages),
            messages_min=1,
        )
    )


async def test_what_is_told_to_be_there_and_is_not_is_not_asked_for_again_and_again(bench: Bench) -> None:
    bench.log.append(0, 5)
    bench.log.trim(0, 5)
    reading = await _page(bench, FromOffset(2), wait_s=10)
    await bench.timers.pass_s(5)
    pages = [read for read in bench.log.reads if read[2] == 10]
    assert len(pages) <= 5 / limits.LONG_POLL_AGAIN_S + 2
    bench.log.append(0)
    await bench.timers.pass_s(1)
    assert [message.offset for message in (await reading).messages] == [5]


async def test_an_offset_to_come_is_waited_for_without_reading_again_and_again(bench: Bench) -> None:
    bench.log.append(0, 5)
    reading = await _page(bench, FromOffset(8), wait_s=10)
    await bench.timers.pass_s(5)
    assert len([read for read in bench.log.reads if read[2] == 10]) <= 1
    bench.log.append(0, 4)
    await bench.timers.pass_s(1)
    assert [message.offset for message in (await reading).messages] == [8]


async def test_a_time_to_come_is_looked_at_only_when_something_has_come(bench: Bench) -> None:
    bench.log.append(0)
    reading = await _page(bench, FromTimestamp(2_000_000_000_000_000), wait_s=10)
    await bench.timers.pass_s(5)
    pages = len([read for read in bench.log.reads if read[2] == 10])
    bench.log.append(0)
    await bench.timers.pass_s(2)
    assert len([read for read in bench.log.reads if read[2] == 10]) <= pages + 3
    await bench.timers.pass_s(5)
    assert not (await reading).messages


async def test_an_end_that_is_not_known_in_time_gives_what_there_was(bench: Bench) -> None:
    reading = await _page(bench, FromTimestamp(2_000_000_000_000_000), wait_s=1)
    bench.log.gate.clear()
    await bench.timers.pass_s(1)
    bench.log.gate.set()
    await bench.timers.pass_s(1)
    assert not (await reading).messages
