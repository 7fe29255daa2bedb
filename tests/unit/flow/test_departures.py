"""Claims of what waits until the log can hand it over: who goes away meanwhile was not written."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from bridge.clock import Deadline
from bridge.errors import (
    DeadlineExceeded,
    Disconnected,
    Outcome,
    SendError,
)
from bridge.flow.appending.gathering import GatheredAppender
from bridge.messagelog import (
    Durability,
    MessageLog,
    Messages,
    Placement,
    Receipt,
    TopicRef,
)
from tests.support.append_recorder import Recorder, send, turns


class Departing(Recorder):
    """A log that takes messages only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_leave = asyncio.Event()
        self.errors: list[Exception] = []
        self.asked: list[Messages] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        self.asked.append(messages)
        await self.may_leave.wait()
        if self.errors:
            raise self.errors.pop(0)
        return await super().append(topic, placement, messages, deadline=deadline)


@pytest.fixture
def departing() -> Departing:
    return Departing()


@pytest.fixture
async def behind(departing: Departing) -> AsyncIterator[GatheredAppender]:
    appender = GatheredAppender(cast("MessageLog", departing), probe=departing)
    yield appender
    async with asyncio.timeout(60):
        await appender.close()
    assert (appender._lanes, appender._held, appender._held_bytes) == ({}, 0, 0)


async def test_what_the_log_has_not_taken_when_the_time_is_up_was_not_written(
    behind: GatheredAppender, departing: Departing
) -> None:
    departing.detail = "The log is away."
    patient = send(behind, "patient")
    with pytest.raises(Disconnected) as caught:
        await send(behind, "hasty", seconds=0.05)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    departing.may_leave.set()
    assert await departing.answer() == ["patient"]
    assert (await patient).messages_count == 1


async def test_who_comes_while_the_log_waits_for_its_turn_goes_along(
    behind: GatheredAppender, departing: Departing
) -> None:
    tasks = [send(behind, "a")]
    await turns()
    tasks += [send(behind, "b"), send(behind, "gone")]
    await turns()
    tasks.pop().cancel()
    departing.may_leave.set()
    assert await departing.answer() == ["a", "b"]
    assert [(await task).offset for task in tasks] == [0, 1]
    assert len(departing.asked) == 1


async def test_an_error_before_anything_left_is_for_those_whose_time_it_was(
    behind: GatheredAppender, departing: Departing
) -> None:
    departing.errors.append(Disconnected())
    early = send(behind, "early", seconds=5)
    await turns()
    late = send(behind, "late", seconds=50)
    await turns()
    departing.may_leave.set()
    with pytest.raises(Disconnected) as caught:
        await early
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert await departing.answer() == ["late"]
    assert (await late).messages_count == 1


async def test_a_log_that_acknowledges_what_it_never_took_is_not_believed(
    behind: GatheredAppender, departing: Departing
) -> None:
    async def lie(*_: object, deadline: Deadline) -> Receipt:
        return Receipt(0, 0, 1, Durability.PERSISTED)

    departing.append = lie  # type: ignore[method-assign, assignment]
    with pytest.raises(SendError) as caught:
        await send(behind, "a")
    assert caught.value.outcome is Outcome.NOT_WRITTEN


async def test_what_stays_waits_again_before_all_others(
    behind: GatheredAppender, departing: Departing
) -> None:
    first, hasty = send(behind, "first"), send(behind, "hasty", seconds=0.05)
    await turns()
    outgoing = departing.asked[0]
    assert not isinstance(outgoing, Sequence)
    assert [each.payload for each in outgoing.leave()] == [b"first", b"hasty"]
    with pytest.raises(DeadlineExceeded) as caught:
        await hasty
    # It had left when its time was up.
    assert caught.value.outcome is Outcome.UNKNOWN
    second = send(behind, "second")
    outgoing.stay()
    departing.may_leave.set()
    assert await departing.answer() == ["first", "second"]
    assert [(await task).offset for task in (first, second)] == [0, 1]


@pytest.mark.parametrize("turns_before", range(6))
async def test_a_lane_whose_only_caller_goes_away_at_any_moment_ends_quietly(
    behind: GatheredAppender, departing: Departing, turns_before: int
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    only = send(behind, "only")
    for _ in range(turns_before):
        await asyncio.sleep(0)
    only.cancel()
    await turns()
    departing.may_leave.set()
    await turns()
    gc.collect()
    assert faults == []
