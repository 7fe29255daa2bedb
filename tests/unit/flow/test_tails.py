"""Claims of the tails: when they read, and who is woken."""

import asyncio

import pytest
import structlog

from bridge import limits
from bridge.errors import (
    DeadlineExceeded,
    Disconnected,
)
from tests.support.memory_log import TOPIC
from tests.support.tail_bench import Bench, Ear
from tests.support.timers import settled

MIN_S = limits.TAIL_POLL_MS_MIN / 1000
MAX_S = limits.TAIL_POLL_MS_MAX / 1000

pushed = pytest.mark.parametrize("bench", [True], indirect=True, ids=["pushed"])


async def test_the_end_is_known_once_it_was_read(bench: Bench) -> None:
    bench.log.append(0, 3)
    with bench.tails.watch(TOPIC, 0) as watch:
        assert watch.end_offset is None
        assert await watch.opened(bench.in_s(1)) == 3
        assert watch.end_offset == 3


async def test_an_empty_partition_ends_at_0(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        assert await watch.opened(bench.in_s(1)) == 0


async def test_what_is_there_is_not_waited_for(bench: Bench) -> None:
    bench.log.append(0, 3)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        assert await watch.beyond(2, bench.in_s(0))


async def test_a_message_that_others_sent_ends_a_wait_within_a_poll(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(10)))
        await bench.timers.pass_s(1)
        assert not waiting.done()
        bench.log.append(0)
        await bench.timers.pass_s(MAX_S)
        assert await waiting


async def test_a_message_sent_here_ends_a_wait_without_any_poll(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(10)))
        await settled()
        reads = len(bench.log.reads)
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        assert await waiting
        assert len(bench.log.reads) == reads


async def test_a_wait_ends_with_its_deadline_and_leaves_nothing(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(5, bench.in_s(3)))
        bench.log.append(0, 5)
        await bench.timers.pass_s(2.9)
        assert not waiting.done()
        await bench.timers.pass_s(0.1)
        assert not await waiting
        assert 3 not in bench.timers.delays_s


async def test_waiters_for_several_offsets_are_each_woken_at_their_own(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        near, far = (asyncio.create_task(watch.beyond(offset, bench.in_s(60))) for offset in (1, 3))
        await settled()
        bench.tails.stored(TOPIC, 0, bench.log.append(0, 2))
        assert await near
        await bench.timers.pass_s(1)
        assert not far.done()
        bench.tails.stored(TOPIC, 0, bench.log.append(0, 2))
        assert await far


async def test_polls_slow_down_while_nothing_comes_and_are_fast_again_when_something_does(
    bench: Bench,
) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        await settled()
        intervals = []
        for _ in range(9):
            (interval,) = bench.timers.delays_s
            intervals.append(interval)
            await bench.timers.pass_s(interval)
        assert intervals[0] == MIN_S
        assert intervals == sorted(intervals)
        assert intervals[-1] == intervals[-2] == MAX_S
        bench.log.append(0)
        await bench.timers.pass_s(MAX_S)
        assert bench.timers.delays_s == [MIN_S]


@pushed
async def test_a_log_that_tells_of_every_append_is_polled_once_a_second(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        bench.log.reads.clear()
        await bench.timers.pass_s(10)
        assert len(bench.log.reads) == 10


async def test_many_partitions_share_the_polls_there_may_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.flow.following.partition_tail.TAIL_POLLS_PER_S_MAX", 10)
    with bench.tails.watch(TOPIC, 0) as one, bench.tails.watch(TOPIC, 1) as other:
        await one.opened(bench.in_s(1))
        await other.opened(bench.in_s(1))
        await bench.timers.pass_s(1)
        bench.log.reads.clear()
        await bench.timers.pass_s(10)
        assert 98 <= len(bench.log.reads) <= 102


async def test_there_is_never_more_than_one_read_of_a_partition(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as one, bench.tails.watch(TOPIC, 0) as other:
        await one.opened(bench.in_s(1))
        other.listen(Ear())
        bench.log.gate.clear()
        await bench.timers.pass_s(1)
        for _ in range(5):
            bench.tails.stored(TOPIC, 0, bench.log.append(0))
            await bench.timers.pass_s(1)
        bench.log.gate.set()
        await bench.timers.pass_s(1)
        assert bench.log.at_once_max == 1
        assert bench.tails.tails_count == 1


async def test_what_is_stored_while_a_read_is_on_its_way_is_read_next(bench: Bench) -> None:
    async with bench.heard() as (_, ear):
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        await bench.timers.pass_s(MIN_S)
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        await bench.timers.pass_s(MIN_S)
        assert ear.told == [b"0", b"1", b"2"]


@pushed
async def test_what_is_stored_while_the_end_is_looked_for_is_known_at_once(bench: Bench) -> None:
    bench.log.gate.clear()
    with bench.tails.watch(TOPIC, 0) as watch:
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(10)))
        await settled()
        bench.tails.stored(TOPIC, 0, 1)
        bench.log.gate.set()
        await settled()
        # Read by the next look, 2 ms later, and not by the one a second later.
        bench.log.append(0)
        await bench.timers.pass_s(MIN_S)
        assert waiting.done()
        assert await waiting


async def test_a_tail_does_not_bear_the_name_of_who_came_first(bench: Bench) -> None:
    with (
        structlog.contextvars.bound_contextvars(request_id="first"),
        structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines,
        bench.tails.watch(TOPIC, 0) as watch,
    ):
        bench.log.append(0, 3)
        await watch.opened(bench.in_s(1))
        bench.log.purge(0)
        await bench.timers.pass_s(1)
    assert [(line["event"], line.get("request_id")) for line in lines] == [("partition_began_anew", None)]


@pushed
async def test_a_storm_of_appends_makes_a_read_each_2_ms(bench: Bench) -> None:
    async with bench.heard(rest_s=1) as (_, ear):
        bench.log.reads.clear()
        for _ in range(100):
            bench.tails.stored(TOPIC, 0, bench.log.append(0))
            await bench.timers.pass_s(MIN_S / 10)
        await bench.timers.pass_s(MIN_S)
        assert len(ear.told) == 100
        assert len(bench.log.reads) <= 12


async def test_without_listeners_a_poll_reads_one_message(bench: Bench) -> None:
    bench.log.append(0, 500)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        await bench.timers.pass_s(1)
        bench.log.append(0, 500)
        await bench.timers.pass_s(1)
        assert watch.end_offset == 1000
        assert {count for _, _, count in bench.log.reads} == {1}


async def test_a_tail_rests_soon_after_nobody_watches(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
    await bench.timers.pass_s(limits.TAIL_LINGER_S)
    assert bench.tails.tails_count == 0
    reads = len(bench.log.reads)
    await bench.timers.pass_s(60)
    assert len(bench.log.reads) == reads
    assert bench.timers.delays_s == []


async def test_a_tail_is_warm_for_a_client_that_comes_again(bench: Bench) -> None:
    bench.log.append(0, 3)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
    await bench.timers.pass_s(limits.TAIL_LINGER_S / 2)
    with bench.tails.watch(TOPIC, 0) as watch:
        assert watch.end_offset == 3
        await bench.timers.pass_s(limits.TAIL_LINGER_S * 2)
        assert bench.tails.tails_count == 1


async def test_a_tail_that_was_to_rest_goes_on_if_its_last_read_has_not_ended(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        bench.log.gate.clear()
        await bench.timers.pass_s(1)
    await bench.timers.pass_s(limits.TAIL_LINGER_S)
    with bench.tails.watch(TOPIC, 0) as watch:
        bench.log.gate.set()
        bench.log.append(0)
        await bench.timers.pass_s(1)
        assert watch.end_offset == 1
        assert bench.log.at_once_max == 1


async def test_an_outage_is_waited_out(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(100)))
        bench.log.fault = Disconnected()
        await bench.timers.pass_s(30)
        bench.log.append(0)
        bench.log.fault = None
        assert not waiting.done()
        await bench.timers.pass_s(limits.TAIL_RETRY_S_MAX)
        assert await waiting


async def test_an_outage_is_not_hammered_even_by_a_listener_that_is_behind(bench: Bench) -> None:
    async with bench.heard() as (_, ear):
        bench.log.fault = Disconnected()
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        await bench.timers.pass_s(1)
        bench.log.reads.clear()
        await bench.timers.pass_s(60)
        assert len(bench.log.reads) <= 60 / limits.TAIL_RETRY_S_MAX + 2
        bench.log.fault = None
        await bench.timers.pass_s(limits.TAIL_RETRY_S_MAX)
        assert ear.told == [b"0"]


async def test_a_log_that_never_answers_is_a_deadline_for_who_opens(bench: Bench) -> None:
    bench.log.fault = Disconnected()
    with bench.tails.watch(TOPIC, 0) as watch:
        opening = asyncio.create_task(watch.opened(bench.in_s(3)))
        await bench.timers.pass_s(3)
        with pytest.raises(DeadlineExceeded):
            await opening
