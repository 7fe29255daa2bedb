"""Claims about the one timer that ends requests."""

import asyncio

import pytest

from bridge.web.server.backstops import Backstops


async def held(backstops: Backstops, seconds: float, begun: asyncio.Event) -> str:
    task = backstops.guard(seconds)
    begun.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if backstops.release(task):
            return "ended"
        raise
    return "never"


async def test_a_request_whose_time_is_up_is_ended_and_its_task_goes_on() -> None:
    backstops = Backstops()
    assert await held(backstops, 0.0, asyncio.Event()) == "ended"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert len(backstops._ends_at_s) == 0


async def test_all_are_ended_at_once_when_the_process_ends() -> None:
    backstops, begun = Backstops(), [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(held(backstops, 1e6, event)) for event in begun]
    for event in begun:
        await event.wait()
    backstops.cancel_all()
    backstops.cancel_all()
    assert await asyncio.gather(*tasks) == ["ended", "ended"]


async def test_a_cancellation_from_elsewhere_is_not_taken_for_the_end_of_the_time() -> None:
    backstops, begun = Backstops(), asyncio.Event()
    task = asyncio.create_task(held(backstops, 1e6, begun))
    await begun.wait()
    task.cancel()
    backstops.cancel_all()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_request_that_ends_by_itself_leaves_nothing_behind() -> None:
    backstops = Backstops()
    task = backstops.guard(1e6)
    assert not backstops.release(task)
    assert len(backstops._ends_at_s) == 0
    backstops.cancel_all()


async def test_one_that_swallowed_its_end_leaves_its_task_uncancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    backstops = Backstops()
    assert backstops.guard(0.0) is task
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    assert backstops.release(task)
    assert task.cancelling() == 0


async def test_one_whose_time_is_not_up_goes_on_when_another_is_ended() -> None:
    backstops, begun = Backstops(), asyncio.Event()
    patient = asyncio.create_task(held(backstops, 1e6, begun))
    await begun.wait()
    assert await held(backstops, 0.0, asyncio.Event()) == "ended"
    assert not patient.done()
    assert len(backstops._ends_at_s) == 1
    backstops.cancel_all()
    assert await patient == "ended"


def test_only_a_task_can_be_ended() -> None:
    with asyncio.Runner() as runner:
        failures: list[BaseException] = []

        def try_it(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
            try:
                _ = Backstops().guard(1.0)
            except RuntimeError as error:
                failures.append(error)
            loop.call_soon(done.set_result, None)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            loop.call_soon(try_it, loop, done)
            await done

        runner.run(main())
        assert str(failures[0]) == "only a task can be ended"


async def test_a_request_that_bounds_its_steps_itself_is_ended_only_with_all() -> None:
    backstops, begun = Backstops(), asyncio.Event()

    async def stream() -> str:
        task = backstops.guard(0.0)
        backstops.lift()
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert backstops.release(task)
        return "ended"

    streaming = asyncio.create_task(stream())
    await begun.wait()
    # One whose time is up is ended by the same look, which leaves the stream alone.
    assert await held(backstops, 0.0, asyncio.Event()) == "ended"
    assert not streaming.done()
    backstops.cancel_all()
    assert await streaming == "ended"


async def test_a_request_that_nobody_guards_has_nothing_to_lift() -> None:
    backstops = Backstops()
    backstops.lift()
    assert len(backstops._ends_at_s) == 0
