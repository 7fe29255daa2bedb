"""One timer for all calls ends each as a timer of its own did: held against `asyncio.timeout`, call by call."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.clock import Deadline
from bridge.iggy.call_times import CallTime, CallTimes
from bridge.limits import IGGY_SILENCE_S
from bridge.messagelog.deadline_alarm import LOOK_PAUSE_MIN_S
from tests.support.virtual_time import LoopClock, VirtualTimeLoop, pass_s, run_in_virtual_time

STEP_S = 0.05
MOMENTS = st.integers(1, 60).map(lambda steps: steps * STEP_S)
#: Seconds to the deadline, to the answer, to a cancellation from outside, and whether the end is put off by one turn.
CALLS = st.tuples(MOMENTS, MOMENTS, st.one_of(st.none(), MOMENTS), st.booleans())


def loop_of_test() -> VirtualTimeLoop:
    return cast("VirtualTimeLoop", asyncio.get_running_loop())


def answered(answer: "asyncio.Future[None]") -> None:
    if not answer.done():
        answer.set_result(None)


class Waiter:
    """A call that waits for its answer, and how and when it ended."""

    def __init__(self, answer_s: float, *, slow: bool) -> None:
        self.answer_s, self._slow = answer_s, slow
        self.loop = loop_of_test()
        self.end: tuple[str, float] | None = None
        self.task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        answer: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_later(self.answer_s, answered, answer)
        try:
            await answer
        finally:
            if self._slow:
                await asyncio.sleep(0)

    def begin(self, run: Any, cancelled_s: float | None) -> None:
        task = self.task = asyncio.create_task(self._until_end(run))
        if cancelled_s is not None:
            self.loop.call_later(cancelled_s, task.cancel)

    async def _until_end(self, run: Any) -> None:
        how = "answered"
        try:
            await run
        except TimeoutError:
            how = "timed out"
        except asyncio.CancelledError:
            how = "cancelled"
        task = asyncio.current_task()
        assert task is not None
        # What asked for the end is taken back where it was the time, and stays where it was the caller.
        self.end = f"{how}, {task.cancelling()} left", self.loop.now_s


async def with_one_timer(span: AbstractContextManager[None], waiter: Waiter) -> None:
    with span:
        await waiter.wait()


async def with_its_own(seconds: float, waiter: Waiter) -> None:
    async with asyncio.timeout(seconds):
        await waiter.wait()


@settings(max_examples=150, deadline=None)
@given(st.lists(CALLS, max_size=12))
def test_a_call_ends_as_and_when_it_would_with_a_timer_of_its_own(
    calls: list[tuple[float, float, float | None, bool]],
) -> None:
    async def main() -> None:
        loop = loop_of_test()
        clock, times = LoopClock(loop), CallTimes(lambda: None)
        pairs: list[tuple[Waiter, Waiter]] = []
        for deadline_s, answer_s, cancelled_s, slow in calls:
            one, own = Waiter(answer_s, slow=slow), Waiter(answer_s, slow=slow)
            span = CallTime(times, Deadline.after(deadline_s, clock))
            one.begin(with_one_timer(span, one), cancelled_s)
            own.begin(with_its_own(deadline_s, own), cancelled_s)
            pairs.append((one, own))
        await pass_s(loop, 4, step_s=STEP_S / 5)
        for (one, own), (deadline_s, answer_s, cancelled_s, _) in zip(pairs, calls, strict=True):
            assert one.end is not None
            assert own.end is not None
            (how, at_s), (own_how, own_at_s) = one.end, own.end
            assert at_s <= own_at_s + STEP_S / 5 + LOOK_PAUSE_MIN_S
            # Where two come in one moment either may be the first.
            if len({deadline_s, answer_s, cancelled_s}) == 3:
                assert how == own_how
        assert times.calls == set()

    run_in_virtual_time(main())


def test_a_call_whose_time_is_up_as_it_is_cancelled_is_cancelled() -> None:
    async def main() -> None:
        loop = loop_of_test()
        times, waiter = CallTimes(lambda: None), Waiter(9.0, slow=False)
        span = CallTime(times, Deadline.after(1.0, LoopClock(loop)))
        waiter.begin(with_one_timer(span, waiter), 1.0)
        await pass_s(loop, 1.0, step_s=1.0)
        assert waiter.end == ("cancelled, 1 left", loop.now_s)

    run_in_virtual_time(main())


def test_a_call_that_ended_in_time_is_not_cancelled_by_the_next_look() -> None:
    async def main() -> None:
        loop = loop_of_test()
        times, waiter = CallTimes(lambda: None), Waiter(0.5, slow=False)
        span = CallTime(times, Deadline.after(1.0, LoopClock(loop)))

        async def then_goes_on() -> None:
            await with_one_timer(span, waiter)
            await asyncio.sleep(5.0)

        waiter.begin(then_goes_on(), None)
        await pass_s(loop, 6.0)
        assert waiter.end is not None
        assert waiter.end[0] == "answered, 0 left"

    run_in_virtual_time(main())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=8))
def test_silence_is_told_once_for_each_call_that_is_without_an_answer_so_long(
    calls: list[tuple[float, float]],
) -> None:
    async def main() -> None:
        loop = loop_of_test()
        clock, told = LoopClock(loop), list[float]()
        times = CallTimes(lambda: told.append(loop.now_s))

        async def ask(deadline_s: float, answer_s: float) -> None:
            span, waiter = CallTime(times, Deadline.after(deadline_s, clock)), Waiter(answer_s, slow=False)
            with span:
                span.ask(clock.monotonic_s())
                try:
                    await waiter.wait()
                finally:
                    span.silent_at = None

        begun_s = loop.now_s
        asked = [asyncio.create_task(ask(*each)) for each in calls]
        await pass_s(loop, 4, step_s=STEP_S / 5)
        await asyncio.gather(*asked, return_exceptions=True)
        # One that ends in the very moment may be told of or not.
        silent = [min(each) - IGGY_SILENCE_S for each in calls]
        surely, perhaps = (
            sum(over > STEP_S / 2 for over in silent),
            sum(over > -STEP_S / 2 for over in silent),
        )
        assert surely <= len(told) <= perhaps
        assert all(begun_s + IGGY_SILENCE_S <= at_s <= begun_s + IGGY_SILENCE_S + STEP_S for at_s in told)

    run_in_virtual_time(main())


def test_calls_are_made_by_tasks() -> None:
    loop = VirtualTimeLoop()
    span = CallTime(CallTimes(lambda: None), Deadline.after(1.0, LoopClock(loop)))
    raised: list[BaseException] = []

    def outside() -> None:
        with pytest.raises(RuntimeError) as caught:
            span.__enter__()
        raised.append(caught.value)
        loop.stop()

    loop.call_soon(outside)
    loop.run_forever()
    loop.close()
    assert len(raised) == 1
