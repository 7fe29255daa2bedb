"""A send on Iggy that is cancelled wherever it waits is stored whole or not at all, once, and gives its lane back."""

import asyncio

import pytest

from bridge.errors import LogError
from bridge.flow.appending.batching import BatchingAppender
from bridge.iggy.message_log import IggyMessageLog
from bridge.messagelog import Balanced, ByKey, First, NewMessage, Placement, ToPartition, TopicRef
from tests.support.iggy_log import IggyLogs, soon
from tests.support.iggy_server import IggyServer
from tests.support.suspensions import CancelledAt
from tests.support.turns import until

pytestmark = pytest.mark.iggy

PARTITIONS = 3
#: More than any send waits; the last of them waits less often, and is not cancelled.
WAITS_MAX = 100


async def payloads(log: IggyMessageLog, topic: TopicRef) -> list[bytes]:
    found: list[bytes] = []
    for partition_id in range(PARTITIONS):
        page = await log.read(topic, partition_id, First(), count=1_000, deadline=soon())
        found += [message.payload for message in page.messages]
    return found


def lanes_are_free(log: IggyMessageLog) -> bool:
    lanes = (*log._session.send_lanes, log._session.read_lane, log._session.admin_lane)
    return all(len(lane._free) == len(lane.slots) and not lane._waiters for lane in lanes)


@pytest.mark.parametrize("placement", [ToPartition(1), ByKey(b"key"), Balanced()], ids=repr)
@pytest.mark.parametrize("gathered", [True, False], ids=["gathered", "alone"])
@pytest.mark.parametrize("known", [True, False], ids=["of a known topic", "of one to be looked up"])
async def test_a_send_cancelled_at_any_wait_is_stored_whole_or_not_at_all(
    server: IggyServer, logs: IggyLogs, placement: Placement, gathered: bool, known: bool
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log, partitions=PARTITIONS)
    appender = BatchingAppender(log, probe=log)
    cancelled_at = 0
    for at in range(1, WAITS_MAX):
        if not known:
            log._catalogue._topics.drop(topic)
        texts = [b"%d:%d" % (at, number) for number in range(3)]
        messages = [NewMessage(text) for text in texts]
        append = (appender if gathered else log).append(topic, placement, messages, deadline=soon())
        task = asyncio.create_task(_awaited(CancelledAt(append, at)))
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, LogError), error
        # What was handed over is stored all the same; once its lane is free again it is known whether it was.
        await until(lambda: appender._queues == {} and lanes_are_free(log))
        assert (appender._backlog.appends_count, appender._backlog.size_bytes) == (0, 0)
        stored = [text for text in await payloads(log, topic) if text in texts]
        assert stored in ([], texts)
        if not task.cancelled():
            assert stored == texts
            break
        cancelled_at = at
    assert 0 < cancelled_at < WAITS_MAX - 1
    await appender.close()


async def _awaited(cancelled: CancelledAt[object]) -> None:
    await cancelled
