"""Who shares a request, who may not, and what becomes of those whose request fails."""

import asyncio
from typing import cast

import pytest

from bridge import limits
from bridge.clock import Deadline, SystemClock
from bridge.errors import DeadlineExceeded, Overloaded, PollError
from bridge.iggy.shared_reads import SharedReads
from tests.support.virtual_time import LoopClock, VirtualTimeLoop, pass_s, run_in_virtual_time


class Log:
    """Answers each request when told; the answer is the number of what was stored when the request was made."""

    def __init__(self) -> None:
        self.stored = 0
        self.asked: list[asyncio.Future[None]] = []

    async def ask(self) -> int:
        seen = self.stored
        self.asked.append(asyncio.get_running_loop().create_future())
        await self.asked[-1]
        return seen


def soon(seconds: float = 60) -> Deadline:
    return Deadline.after(seconds, SystemClock())


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Readers:
    def __init__(self) -> None:
        self.log = Log()
        self.shared: SharedReads[int] = SharedReads()

    def read(self, page: str = "page", deadline: Deadline | None = None) -> "asyncio.Task[int]":
        return asyncio.create_task(self.shared.read(page, self.log.ask, deadline=deadline or soon()))


async def test_those_who_come_while_a_request_is_on_its_way_share_the_next() -> None:
    readers = Readers()
    first = readers.read()
    await settled()
    readers.log.stored = 1
    others = [readers.read() for _ in range(7)]
    await settled()
    assert len(readers.log.asked) == 1
    readers.log.asked[0].set_result(None)
    await settled()
    assert await first == 0
    assert len(readers.log.asked) == 2
    readers.log.asked[1].set_result(None)
    assert await asyncio.gather(*others) == [1] * 7, "what was acknowledged before they asked is seen"


async def test_other_pages_wait_for_nobody() -> None:
    readers = Readers()
    reads = [readers.read("one"), readers.read("two")]
    await settled()
    assert len(readers.log.asked) == 2
    for request in readers.log.asked:
        request.set_result(None)
    assert await asyncio.gather(*reads) == [0, 0]


async def test_a_request_that_fails_fails_for_one_caller_only() -> None:
    readers = Readers()
    first = readers.read()
    await settled()
    others = [readers.read() for _ in range(3)]
    await settled()
    readers.log.asked[0].set_exception(PollError())
    await settled()
    with pytest.raises(PollError):
        await first
    readers.log.asked[1].set_exception(PollError())
    await settled()
    with pytest.raises(PollError):
        await others[0]
    readers.log.asked[2].set_result(None)
    assert await asyncio.gather(*others[1:]) == [0, 0]


async def test_a_caller_that_is_cancelled_takes_nobody_along() -> None:
    readers = Readers()
    first = readers.read()
    await settled()
    second, third, fourth = readers.read(), readers.read(), readers.read()
    await settled()
    third.cancel()
    first.cancel()
    await settled()
    assert len(readers.log.asked) == 2
    second.cancel()
    await settled()
    readers.log.asked[2].set_result(None)
    assert await fourth == 0
    assert [task.cancelled() for task in (first, second, third)] == [True] * 3


async def test_a_caller_that_is_cancelled_as_its_turn_comes_gives_it_on() -> None:
    readers = Readers()
    first = readers.read()
    await settled()
    second, third = readers.read(), readers.read()
    await settled()
    readers.log.asked[0].set_result(None)
    # Runs between the first caller, which gives the turn away, and the second, which has not taken it up.
    asyncio.get_running_loop().call_soon(second.cancel)
    await settled()
    assert await first == 0
    assert len(readers.log.asked) == 2
    assert second.cancelled()
    readers.log.asked[-1].set_result(None)
    assert await third == 0


async def test_who_waits_waits_until_the_deadline_at_most() -> None:
    readers = Readers()
    first = readers.read()
    await settled()
    with pytest.raises(DeadlineExceeded):
        await readers.read(deadline=soon(0))
    readers.log.asked[0].set_result(None)
    assert await first == 0
    again = readers.read()
    await settled()
    readers.log.asked[1].set_result(None)
    assert await again == 0


async def test_too_many_who_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.iggy.shared_reads.IGGY_READS_SHARING_MAX", 2)
    assert limits.IGGY_READS_SHARING_MAX > 2
    readers = Readers()
    reads = [readers.read() for _ in range(3)]
    await settled()
    with pytest.raises(Overloaded):
        await readers.read()
    readers.log.asked[0].set_result(None)
    await settled()
    readers.log.asked[1].set_result(None)
    assert await asyncio.gather(*reads) == [0, 0, 0]


def test_each_who_waits_has_a_deadline_of_its_own() -> None:
    async def main() -> None:
        loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
        clock, readers = LoopClock(loop), Readers()
        first = readers.read(deadline=Deadline.after(60, clock))
        await settled()
        begun_s, ends = loop.now_s, dict[float, float]()

        async def wait(seconds: float) -> None:
            with pytest.raises(DeadlineExceeded):
                await readers.read(deadline=Deadline.after(seconds, clock))
            ends[seconds] = loop.now_s - begun_s

        late = [asyncio.create_task(wait(seconds)) for seconds in (0.7, 0.3, 1.4)]
        stays = readers.read(deadline=Deadline.after(9, clock))
        cancelled = readers.read(deadline=Deadline.after(0.5, clock))
        await pass_s(loop, 0.1, step_s=0.01)
        cancelled.cancel()
        await pass_s(loop, 2, step_s=0.01)
        assert all(task.done() for task in late)
        assert all(seconds <= end_s < seconds + 0.02 for seconds, end_s in ends.items())
        assert cancelled.cancelled()
        readers.log.asked[0].set_result(None)
        await settled()
        readers.log.asked[1].set_result(None)
        assert (await first, await stays) == (0, 0)

    run_in_virtual_time(main())
