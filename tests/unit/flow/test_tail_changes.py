"""Claims of the tails: what happens to a partition, and who hears of it."""

import asyncio

import pytest

from bridge import limits
from bridge.errors import (
    InternalError,
    Overloaded,
    PartitionNotFound,
    TopicNotFound,
)
from bridge.flow.following import tails as tails_module
from bridge.flow.following.batches import Gap
from bridge.messagelog import FromOffset, Last
from tests.support.memory_log import TOPIC
from tests.support.tail_bench import Bench, Ear
from tests.support.timers import settled

MIN_S = limits.TAIL_POLL_MS_MIN / 1000
MAX_S = limits.TAIL_POLL_MS_MAX / 1000


async def test_purged_partitions_begin_anew_for_listeners_and_wake_waiters(bench: Bench) -> None:
    ear = Ear()
    bench.log.append(0, 10)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(ear)
        waiting = asyncio.create_task(watch.beyond(10, bench.in_s(100)))
        await bench.timers.pass_s(1)
        bench.log.purge()
        bench.log.append(0, 2)
        await bench.timers.pass_s(MAX_S + MIN_S)
        assert await waiting
        assert ear.told == [Gap(0, 10, 0), b"10", b"11"]


async def test_one_message_is_no_purge(bench: Bench) -> None:
    ear = Ear()
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(ear)
        bench.log.append(0)
        await bench.timers.pass_s(60)
        assert ear.told == [b"0"]


@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.parametrize("refilled", [True, False])
async def test_a_purge_of_a_single_message_is_noticed(
    bench: Bench, *, listening: bool, refilled: bool
) -> None:
    ear = Ear()
    bench.log.append(0)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        if listening:
            watch.listen(ear)
        waiting = asyncio.create_task(watch.beyond(1, bench.in_s(100)))
        await bench.timers.pass_s(5)
        bench.log.purge()
        if refilled:
            bench.log.append(0)
        await bench.timers.pass_s(limits.TAIL_SINGLE_LOOK_S + MAX_S)
        assert await waiting
        assert watch.end_offset == int(refilled)
        if listening:
            assert ear.told == [Gap(0, 1, 0), b"1"][: 1 + refilled]


async def test_a_purge_that_is_told_is_seen_at_once(bench: Bench) -> None:
    ear = Ear()
    bench.log.append(0)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(ear)
        await bench.timers.pass_s(5)
        bench.log.purge()
        bench.tails.suspect(TOPIC)
        await bench.timers.pass_s(MIN_S)
        assert ear.told == [Gap(0, 1, 0)]


async def test_messages_that_went_before_they_were_read_are_a_gap(bench: Bench) -> None:
    ear = Ear()
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(ear)
        bench.log.append(0, 5)
        bench.log.trim(0, 3)
        await bench.timers.pass_s(1)
        assert ear.told == [Gap(0, 0, 3), b"3", b"4"]


@pytest.mark.parametrize("error", [TopicNotFound, PartitionNotFound])
async def test_who_waits_hears_that_the_place_is_gone(
    bench: Bench, error: type[TopicNotFound | PartitionNotFound]
) -> None:
    ear = Ear()
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(ear)
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(100)))
        await settled()
        bench.log.fault = error()
        await bench.timers.pass_s(1)
        with pytest.raises(error):
            await waiting
        with pytest.raises(error):
            await watch.beyond(0, bench.in_s(100))
        assert [type(each) for each in ear.told] == [error]
        bench.log.fault = None
        # Made again under its name: whoever comes now begins anew.
        with bench.tails.watch(TOPIC, 0) as other:
            assert await other.opened(bench.in_s(1)) == 0


async def test_a_place_that_is_not_there_cannot_be_opened(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 7) as watch, pytest.raises(PartitionNotFound):
        await watch.opened(bench.in_s(1))


async def test_what_nobody_expected_ends_the_waits_instead_of_leaving_them(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(100)))
        await settled()
        bench.log.fault = RuntimeError()  # type: ignore[assignment]
        await bench.timers.pass_s(1)
        with pytest.raises(InternalError):
            await waiting


async def test_listeners_that_come_and_go_are_told_everything_from_where_they_were_told_it_begins(
    bench: Bench,
) -> None:
    first, second, third = Ear(), Ear(), Ear()
    with bench.tails.watch(TOPIC, 0) as keeper:
        await keeper.opened(bench.in_s(1))
        with bench.tails.watch(TOPIC, 0) as watch:
            assert watch.listen(first) == 0
            bench.log.append(0)
            await bench.timers.pass_s(1)
            assert keeper.listen(second) == 1
            bench.log.append(0)
            await bench.timers.pass_s(1)
            watch.unlisten(first)
        bench.log.append(0)
        await bench.timers.pass_s(1)
        with bench.tails.watch(TOPIC, 0) as watch:
            assert watch.listen(third) == 3
            bench.log.append(0)
            await bench.timers.pass_s(1)
    assert [first.told, second.told, third.told] == [[b"0", b"1"], [b"1", b"2", b"3"], [b"3"]]


async def test_a_listener_that_comes_while_another_s_read_is_on_its_way_hears_nothing_twice(
    bench: Bench,
) -> None:
    first, second = Ear(), Ear()
    with bench.tails.watch(TOPIC, 0) as keeper:
        await keeper.opened(bench.in_s(1))
        with bench.tails.watch(TOPIC, 0) as watch:
            watch.listen(first)
            await bench.timers.pass_s(1)
            bench.log.gate.clear()
            await bench.timers.pass_s(1)
            bench.tails.stored(TOPIC, 0, bench.log.append(0, 2))
            watch.unlisten(first)
        assert keeper.listen(second) == 2
        bench.log.gate.set()
        bench.log.append(0)
        await bench.timers.pass_s(1)
    assert first.told == []
    assert second.told == [b"2"]


async def test_at_the_end_of_the_process_nobody_waits(bench: Bench) -> None:
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        waiting = asyncio.create_task(watch.beyond(0, bench.in_s(100)))
        await settled()
        bench.tails.end_waits()
        assert not await waiting
        assert not await watch.beyond(0, bench.in_s(100))


async def test_closing_waits_for_a_read_but_not_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails_module, "_CLOSE_TIMEOUT_S", 0)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        bench.log.gate.clear()
        await bench.timers.pass_s(1)
        await bench.tails.close()
        assert bench.tails.tails_count == 0


async def test_there_is_a_bound_on_what_is_watched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails_module, "TAILS_MAX", 1)
    with bench.tails.watch(TOPIC, 0):
        with bench.tails.watch(TOPIC, 0):
            pass
        with pytest.raises(Overloaded), bench.tails.watch(TOPIC, 1):
            pass


async def test_polls_ask_for_what_comes_after_what_is_known(bench: Bench) -> None:
    bench.log.append(0, 5)
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        await bench.timers.pass_s(1)
        assert bench.log.reads[0] == (0, Last(), 1)
        assert {position for _, position, _ in bench.log.reads[1:]} == {FromOffset(5)}
