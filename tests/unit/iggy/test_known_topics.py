"""Many who ask what is known of a topic at the same moment cost one look, and what they hear is their own."""

import asyncio
import random

import pytest

from bridge import limits
from bridge.clock import Deadline, SystemClock
from bridge.config import IggyConfig
from bridge.errors import Disconnected, Outcome, TopicNotFound
from bridge.iggy.address import IggyAddress
from bridge.iggy.catalogue import TopicCatalogue
from bridge.iggy.connection import IggyConnection
from bridge.iggy.sender import Sender
from bridge.iggy.sent_events import SentEvents
from bridge.iggy.session import IggySession
from bridge.messagelog import Durability, NewMessage, Retention, ToPartition, TopicInfo, TopicRef
from bridge.telemetry.metrics import LogMetrics
from tests.support.timers import settled

TOPIC = TopicRef("s", "t")


class Catalogue(TopicCatalogue):
    """Answers a look when told."""

    def __init__(self) -> None:
        clock, observer = SystemClock(), LogMetrics()
        config = IggyConfig()
        address = IggyAddress(server_addresses=("host:1",))
        connection = IggyConnection(config, address, clock=clock, observer=observer, rng=random.Random(7))
        self.session = IggySession(connection)
        super().__init__(self.session, durability=Durability.PERSISTED, clock=clock)
        self.connection = connection
        self.looks: list[asyncio.Future[TopicInfo]] = []

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:  # noqa: ARG002 (as the catalogue has it)
        self.looks.append(asyncio.get_running_loop().create_future())
        return await self.looks[-1]

    def ask(self, seconds: float = 10.0) -> "asyncio.Task[object]":
        deadline = Deadline.after(seconds, SystemClock())
        return asyncio.create_task(self.known(TOPIC, deadline=deadline))


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
    catalogue = Catalogue()
    asking = [catalogue.ask() for _ in range(1000)]
    await settled()
    catalogue.looks[0].set_result(INFO)
    found = await asyncio.gather(*asking)
    assert len(catalogue.looks) == 1
    assert len(set(map(id, found))) == 1


async def test_that_a_topic_is_missing_is_told_to_all_who_share_the_look() -> None:
    catalogue = Catalogue()
    asking = [catalogue.ask() for _ in range(1000)]
    for look in range(2):
        await settled()
        catalogue.looks[look].set_exception(TopicNotFound())
    errors = await asyncio.gather(*asking, return_exceptions=True)
    # The first asked alone; who came meanwhile asked once more, since it may have been made meanwhile.
    assert len(catalogue.looks) == 2
    assert {type(error) for error in errors} == {TopicNotFound}
    assert len(set(map(id, errors))) == 1000


async def test_who_shares_a_look_that_gets_no_answer_hears_that_the_log_is_away() -> None:
    catalogue = Catalogue()
    first = catalogue.ask()
    await settled()
    sender = Sender(catalogue.session, catalogue, SentEvents(), clock=SystemClock(), observer=LogMetrics())
    deadline = Deadline.after(0.01, SystemClock())
    with pytest.raises(Disconnected) as caught:
        await sender.append(TOPIC, ToPartition(0), [NewMessage(b"x")], deadline=deadline)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_as_many_places_may_be_written_as_are_gathered() -> None:
    catalogue = Catalogue()
    (lane, *_) = catalogue.connection.send_lanes
    slot = await lane.acquire(write=True)
    waiting = [asyncio.create_task(lane.acquire(write=True)) for _ in range(limits.PARTITIONS_MAX)]
    await settled()
    assert not any(turn.done() for turn in waiting)
    for turn in waiting:
        turn.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    lane.release(slot)
