import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.flow.following.follow import Feeds
from tests.support.feed_room import Room
from tests.support.tail_bench import Bench, tail_bench
from tests.support.timers import settled


@pytest.fixture(params=[False], ids=["polled"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with tail_bench(pushes=request.param) as bench:
        yield bench


@pytest.fixture
async def room(bench: Bench) -> AsyncIterator[Room]:
    room = Room(bench, Feeds(bench.tails))
    yield room
    for follower in room.followers:
        follower.close()
    await settled()
    for task in room.tasks:
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
    assert room.feeds.held_bytes == 0
