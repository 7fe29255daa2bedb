"""Claims of the places for clients: who waits gets one in order, and who goes away leaves nothing behind."""

import asyncio

import pytest

from bridge.errors import Outcome, Overloaded
from bridge.iggy.pool import Lane, Slot


async def waiting(lane: Lane) -> "asyncio.Task[Slot]":
    """A caller that waits for a slot by now."""
    task: asyncio.Task[Slot] = asyncio.create_task(lane.acquire(write=True))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_slots_are_given_in_the_order_of_asking() -> None:
    lane: Lane = Lane(1, 2)
    slot = await lane.acquire(write=True)
    first, second = await waiting(lane), await waiting(lane)
    lane.release(slot)
    assert await first is slot
    assert not second.done()
    lane.release(slot)
    assert await second is slot


async def test_more_than_may_wait_is_refused_as_not_written() -> None:
    lane: Lane = Lane(1, 0)
    await lane.acquire(write=True)
    with pytest.raises(Overloaded) as caught:
        await lane.acquire(write=True)
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_a_slot_freed_in_the_moment_its_next_caller_is_cancelled_goes_to_the_one_after() -> None:
    lane: Lane = Lane(1, 2)
    slot = await lane.acquire(write=True)
    leaving, staying = await waiting(lane), await waiting(lane)
    leaving.cancel()
    lane.release(slot)
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await staying is slot


async def test_a_caller_cancelled_in_the_moment_it_gets_its_slot_gives_it_back() -> None:
    lane: Lane = Lane(1, 1)
    slot = await lane.acquire(write=True)
    leaving = await waiting(lane)
    lane.release(slot)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await lane.acquire(write=True) is slot


async def test_a_caller_cancelled_while_it_waits_frees_its_place_in_the_queue() -> None:
    lane: Lane = Lane(1, 1)
    slot = await lane.acquire(write=True)
    leaving = await waiting(lane)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = await waiting(lane)
    lane.release(slot)
    assert await staying is slot


async def test_a_lane_knows_whether_it_was_answered_since() -> None:
    lane: Lane = Lane(2, 0)
    lane.slots[1].used_at_s = 5.0
    assert lane.answered_since(4.0)
    assert not lane.answered_since(5.0)


async def test_a_slot_given_back_twice_fails_loudly_and_is_nobodys_second_time() -> None:
    lane = Lane(1, 1)
    slot = await lane.acquire(write=True)
    lane.release(slot)
    with pytest.raises(RuntimeError, match="twice"):
        lane.release(slot)
    assert await lane.acquire(write=True) is slot
    with pytest.raises(Overloaded):
        await Lane(0, 0).acquire(write=True)
    staying = await waiting(lane)
    assert not staying.done()
    lane.release(slot)
    assert await staying is slot
