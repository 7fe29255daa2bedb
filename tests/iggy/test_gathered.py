"""Gathered appends keep what appends promise: order, outcome, and one copy."""

import asyncio

import pytest

from bridge import limits
from bridge.errors import DeadlineExceeded, LogError, Outcome, TopicNotFound
from bridge.flow.appending.batching import BatchingAppender
from bridge.iggy.message_log import IggyMessageLog
from bridge.messagelog import (
    Balanced,
    ByKey,
    FromOffset,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
)
from tests.support.iggy_log import IggyLogs, iggy_logs, soon
from tests.support.iggy_server import IggyServer
from tests.support.tcp_proxy import fault_proxy

pytestmark = pytest.mark.iggy

FIRST = ToPartition(0)


def _gathered(log: IggyMessageLog) -> BatchingAppender:
    return BatchingAppender(log, probe=log)


async def _send(
    appender: BatchingAppender,
    topic: TopicRef,
    payload: bytes,
    seconds: float,
    to: Placement = FIRST,
) -> Receipt:
    return await appender.append(topic, to, [NewMessage(payload)], deadline=soon(seconds))


async def _all(log: IggyMessageLog, topic: TopicRef, partition_id: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while page := (
        await log.read(topic, partition_id, FromOffset(len(found)), count=1000, deadline=soon())
    ).messages:
        found += [message.payload for message in page]
    return found


async def test_messages_without_a_place_go_round(server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log, partitions=8)
    appender = _gathered(log)
    receipts = [await _send(appender, topic, b"%d" % number, 5, to=Balanced()) for number in range(16)]
    assert [receipt.partition_id for receipt in receipts] == [*range(8), *range(8)]


async def test_each_caller_finds_its_messages_in_its_order_and_once(
    server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log, partitions=3)
    appender = _gathered(log)
    sent: dict[tuple[int, int], bytes] = {}

    async def caller(name: int) -> None:
        placements: tuple[Placement, ...] = (ByKey(b"%d" % name), Balanced(), ToPartition(name % 3))
        placement = placements[name % len(placements)]
        for number in range(40):
            receipt = await _send(appender, topic, b"%d-%d" % (name, number), 20, placement)
            assert receipt.offset is not None
            sent[receipt.partition_id, receipt.offset] = b"%d-%d" % (name, number)

    await asyncio.gather(*(caller(name) for name in range(32)))
    await appender.close()
    stored = {
        (partition_id, offset): payload
        for partition_id in range(3)
        for offset, payload in enumerate(await _all(log, topic, partition_id))
    }
    assert stored == sent
    assert len(sent) == 32 * 40


@pytest.mark.parametrize("ending", ["silence", "cut"])
async def test_a_send_of_which_nothing_is_heard_is_unknown_and_stored_once(
    server: IggyServer, logs: IggyLogs, ending: str
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    async with fault_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        appender = _gathered(behind)
        await _send(appender, topic, b"first", 5)
        proxy.lose_reply_to = b"second"
        sending = asyncio.create_task(_send(appender, topic, b"second", 2 if ending == "silence" else 20))
        await proxy.swallowed.wait()
        if ending == "cut":
            proxy.lose_reply_to = None
            proxy.cut()
        with pytest.raises(LogError) as caught:
            await sending
        assert caught.value.outcome is Outcome.UNKNOWN
        assert isinstance(caught.value, DeadlineExceeded) == (ending == "silence")
        proxy.lose_reply_to = None
        assert (await _send(appender, topic, b"third", 5)).offset == 2
        await appender.close()
        await logs.close()
    async with iggy_logs() as again:
        log = await again.open(server.connection_string)
        assert await _all(log, topic) == [b"first", b"second", b"third"]


async def test_a_topic_that_has_gone_is_named(server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    appender = _gathered(log)
    await _send(appender, topic, b"first", 5)
    other = await logs.open(server.connection_string)
    await other.delete_topic(topic, deadline=soon())
    ends = await asyncio.gather(
        *(_send(appender, topic, b"late", 5) for _ in range(3)), return_exceptions=True
    )
    assert [type(end) for end in ends] == [TopicNotFound] * 3
    await appender.close()


async def test_silence_counts_for_the_breaker(own_server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(own_server.connection_string, breaker_failures=1, breaker_open_s=60)
    topic = await logs.topic(log)
    appender = _gathered(log)
    await _send(appender, topic, b"first", 5)
    own_server.pause()
    try:
        with pytest.raises(LogError) as caught:
            await _send(appender, topic, b"second", 0.3)
        assert caught.value.outcome in (Outcome.NOT_WRITTEN, Outcome.UNKNOWN)
        assert not log.health().ready
    finally:
        own_server.resume()
    await appender.close()


async def test_more_callers_than_one_client_may_queue_share_what_is_known_of_their_topic(
    server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log, partitions=4)
    appender = _gathered(log)
    callers = 2 * limits.IGGY_CALLS_WAITING_MAX
    log._catalogue.forget(topic)
    receipts = await asyncio.gather(
        *(_send(appender, topic, b"%d" % name, 20, ByKey(b"%d" % name)) for name in range(callers))
    )
    assert len({(receipt.partition_id, receipt.offset) for receipt in receipts}) == callers
    await appender.close()
