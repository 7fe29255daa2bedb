"""How many requests are begun in one turn of the event loop."""

import asyncio
from typing import cast

from bridge.limits import REQUESTS_PER_TURN
from bridge.web.loop_turns import LoopTurns


class Loop:
    """Reads its clock once a turn, as uvloop does."""

    def __init__(self) -> None:
        self.now_s = 1.0
        self._real = asyncio.get_running_loop()
        self.call_soon = self._real.call_soon
        self.create_future = self._real.create_future

    def time(self) -> float:
        return self.now_s


def turns(loop: Loop) -> LoopTurns:
    return LoopTurns(cast("asyncio.AbstractEventLoop", loop))


async def test_so_many_begin_in_one_turn_and_as_many_in_the_next() -> None:
    loop = Loop()
    door = turns(loop)
    for _ in range(2):
        begun = [door.begin("/messages") for _ in range(REQUESTS_PER_TURN + 1)]
        assert begun == [True] * REQUESTS_PER_TURN + [False]
        loop.now_s += 0.001


async def test_probes_never_wait() -> None:
    door = turns(Loop())
    while door.begin("/messages"):
        pass
    assert door.begin("/health")
    assert door.begin("/ready")
    assert not door.begin("/health?x")


async def test_those_who_wait_begin_in_the_order_in_which_they_came_some_each_turn() -> None:
    loop = Loop()
    door = turns(loop)
    order: list[int] = []

    async def one(number: int) -> None:
        if not door.begin("/messages"):
            await door.wait()
        order.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(REQUESTS_PER_TURN * 3)]
    await asyncio.sleep(0)
    assert order == list(range(REQUESTS_PER_TURN))
    loop.now_s += 0.001
    # Whoever comes now comes after those who wait.
    assert not door.begin("/messages")
    tasks[REQUESTS_PER_TURN].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [number for number in range(REQUESTS_PER_TURN * 3) if number != REQUESTS_PER_TURN]
    loop.now_s += 0.001
    assert door.begin("/messages")
