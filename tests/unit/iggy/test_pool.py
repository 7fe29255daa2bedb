"""Claims of the places for clients: who waits gets one in order, and who goes away leaves nothing behind."""

import asyncio

import pytest

from bridge.errors import Outcome, Overloaded
from bridge.iggy.pool import Lane


async def waiting(lane: Lane[object]) -> "asyncio.Task[object]":
    """A caller that waits for a slot by now."""
    task: asyncio.Task[object] = asyncio.create_task(lane.acquire(write=True))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_slots_are_given_in_the_order_of_asking() -> None:
    lane: Lane[object] = Lane(1, 2)
    slot = await lane.acquire(write=True)
    first, second = await waiting(lane), await waiting(lane)
    lane.release(slot)
    assert await first is slot
    assert not second.done()
    lane.release(slot)
    assert await second is slot


async def test_more_than_may_wait_is_refused_as_not_written() -> None:
    lane: Lane[object] = Lane(1, 0)
    await lane.acquire(write=True)
    with pytest.raises(Overloaded) as caught:
        await lane.acquire(write=True)
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_a_slot_freed_in_the_moment_its_next_caller_is_cancelled_goes_to_the_one_after() -> None:
    lane: Lane[object] = Lane(1, 2)
    slot = await lane.acquire(write=True)
    leaving, staying = await waiting(lane), await waiting(lane)
    leaving.cancel()
    lane.release(slot)
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying is slot


async def test_a_caller_cancelled_in_the_moment_it_gets_its_slot_gives_it_back() -> None:
    lane: Lane[object] = Lane(1, 1)
    slot = await lane.acquire(write=True)
    leaving = await waiting(lane)
    lane.release(slot)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await lane.acquire(write=True) is slot


async def test_a_caller_cancelled_while_it_waits_frees_its_place_in_the_queue() -> None:
    lane: Lane[object] = Lane(1, 1)
    slot = await lane.acquire(write=True)
    leaving = await waiting(lane)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = await waiting(lane)
    lane.release(slot)
    assert await staying is slot


async def test_a_caller_whose_time_is_up_frees_its_place_in_the_queue() -> None:
    lane: Lane[object] = Lane(1, 1)
    slot = await lane.acquire(write=False, timeout_s=0)
    with pytest.raises(TimeoutError):
        await lane.acquire(write=False, timeout_s=0)
    staying = await waiting(lane)
    lane.release(slot)
    assert await staying is slot


async def test_a_slot_freed_in_the_moment_the_time_is_up_goes_to_somebody() -> None:
    lane: Lane[object] = Lane(1, 1)
    slot = await lane.acquire(write=False)
    leaving = asyncio.create_task(lane.acquire(write=False, timeout_s=0))
    await asyncio.sleep(0)
    # The timer, set in this turn of the loop, is due in the next one, and before this goes on.
    asyncio.get_running_loop().call_later(0, lane.release, slot)
    with pytest.raises(TimeoutError):
        await leaving
    assert await lane.acquire(write=False) is slot


async def test_a_lane_knows_whether_it_was_answered_since() -> None:
    lane: Lane[object] = Lane(2, 0)
    lane.slots[1].used_at_s = 5.0
    assert lane.answered_since(4.0)
    assert not lane.answered_since(5.0)
