"""Many who ask what is known of a topic at the same moment cost one look, and what they hear is their own."""

import asyncio

import pytest

from bridge import limits
from bridge.clock import Deadline, SystemClock
from bridge.config import IggyConfig
from bridge.errors import Disconnected, Outcome, TopicNotFound
from bridge.iggy.message_log import IggyMessageLog
from bridge.messagelog import Durability, Retention, TopicInfo, TopicRef
from bridge.telemetry.metrics import LogMetrics
from tests.support.timers import settled

TOPIC = TopicRef("s", "t")


class Log(IggyMessageLog):
    """Answers a look when told."""

    def __init__(self) -> None:
        super().__init__(
            IggyConfig(connection_string="iggy://user:pass@host"),
            durability=Durability.PERSISTED,
            clock=SystemClock(),
            observer=LogMetrics(),
        )
        self.looks: list[asyncio.Future[TopicInfo]] = []

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:  # noqa: ARG002 (the port's)
        self.looks.append(asyncio.get_running_loop().create_future())
        return await self.looks[-1]

    def ask(self, seconds: float = 10.0) -> "asyncio.Task[object]":
        deadline = Deadline.after(seconds, SystemClock())
        return asyncio.create_task(self.known(TOPIC, deadline=deadline, write=True))


INFO = TopicInfo(
    id=0,
    stream_id=0,
    name="t",
    created_at_us=0,
    partitions_count=3,
    size_bytes=0,
    messages_count=0,
    durability=Durability.PERSISTED,
    retention=Retention(),
)


async def test_all_who_miss_a_topic_share_one_look() -> None:
    log = Log()
    asking = [log.ask() for _ in range(1000)]
    await settled()
    log.looks[0].set_result(INFO)
    found = await asyncio.gather(*asking)
    assert len(log.looks) == 1
    assert len(set(map(id, found))) == 1


async def test_that_a_topic_is_missing_is_told_to_all_who_share_the_look() -> None:
    log = Log()
    asking = [log.ask() for _ in range(1000)]
    for look in range(2):
        await settled()
        log.looks[look].set_exception(TopicNotFound())
    errors = await asyncio.gather(*asking, return_exceptions=True)
    # The first asked alone; who came meanwhile asked once more, since it may have been made meanwhile.
    assert len(log.looks) == 2
    assert {type(error) for error in errors} == {TopicNotFound}
    assert len(set(map(id, errors))) == 1000


async def test_who_shares_a_look_that_gets_no_answer_hears_that_the_log_is_away() -> None:
    log = Log()
    first = log.ask()
    await settled()
    with pytest.raises(Disconnected) as caught:
        await log.ask(0.01)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_as_many_places_may_be_written_as_are_gathered() -> None:
    log = Log()
    (lane, *_) = log._connection.send_lanes
    slot = await lane.acquire(write=True)
    waiting = [asyncio.create_task(lane.acquire(write=True)) for _ in range(limits.PARTITIONS_MAX)]
    await settled()
    assert not any(turn.done() for turn in waiting)
    for turn in waiting:
        turn.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    lane.release(slot)
