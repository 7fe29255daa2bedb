"""Reads over a line that is there keep what reads promise, and leave the rest to the session."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bridge.errors import ConnectionFailed, DeadlineExceeded, TopicNotFound
from bridge.iggy.message_log import IggyMessageLog
from bridge.iggy.pool import Lane
from bridge.iggy.session import IggySession
from bridge.limits import IGGY_READ_CLIENTS
from bridge.messagelog import FromOffset, NewMessage, ToPartition, TopicRef
from tests.support.iggy_log import IggyLogs, soon
from tests.support.iggy_server import IggyServer
from tests.support.tcp_proxy import fault_proxy

pytestmark = pytest.mark.iggy


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request that passes the session is a write."""
    seen: list[bool] = []
    call: Callable[..., Awaitable[Any]] = IggySession.call

    async def counted(session: IggySession, *arguments: Any, write: bool, **more: Any) -> Any:
        seen.append(write)
        return await call(session, *arguments, write=write, **more)

    monkeypatch.setattr(IggySession, "call", counted)
    return seen


async def _store(log: IggyMessageLog, topic: TopicRef, *payloads: bytes) -> None:
    messages = [NewMessage(payload) for payload in payloads]
    await log.append(topic, ToPartition(0), messages, deadline=soon())


async def _read(log: IggyMessageLog, topic: TopicRef, offset: int = 0, seconds: float = 20) -> list[bytes]:
    page = await log.read(topic, 0, FromOffset(offset), count=1, deadline=soon(seconds))
    return [message.payload for message in page.messages]


async def test_only_the_first_read_of_a_line_passes_the_session(
    server: IggyServer, logs: IggyLogs, asked: list[bool]
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    await _store(log, topic, b"a", b"b")
    asked.clear()
    assert [await _read(log, topic, number % 2) for number in range(10)] == [[b"a"], [b"b"]] * 5
    assert asked == [False]


async def test_readers_that_wait_for_a_line_get_what_they_asked_for(
    server: IggyServer, logs: IggyLogs, asked: list[bool]
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    count = 8 * IGGY_READ_CLIENTS
    await _store(log, topic, *(b"%d" % number for number in range(count)))
    for _ in range(2):
        # In the first round lines are dialled; in the second all are there.
        asked.clear()
        found = await asyncio.gather(*(_read(log, topic, number) for number in range(count)))
        assert found == [[b"%d" % number] for number in range(count)]
    assert asked == []


async def test_a_topic_that_has_gone_is_named(server: IggyServer, logs: IggyLogs) -> None:
    log, other = await logs.open(server.connection_string), await logs.open(server.connection_string)
    topic = await logs.topic(log)
    await _store(log, topic, b"a")
    await _read(log, topic)
    await other.delete_topic(topic, deadline=soon())
    with pytest.raises(TopicNotFound):
        await _read(log, topic)


async def test_a_read_that_was_cut_off_is_made_again(server: IggyServer, logs: IggyLogs) -> None:
    async with fault_proxy(server.address) as proxy:
        log = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        topic = await logs.topic(log)
        await _store(log, topic, b"a")
        assert await _read(log, topic) == [b"a"]
        proxy.lose_reply_to = topic.topic.encode()
        reading = asyncio.create_task(_read(log, topic))
        await proxy.swallowed.wait()
        proxy.lose_reply_to = None
        proxy.cut()
        assert await reading == [b"a"]
        await logs.close()


@pytest.mark.parametrize("ending", ["silence", "cancelled"])
async def test_a_line_that_owes_an_answer_is_not_used_again(
    server: IggyServer, logs: IggyLogs, ending: str
) -> None:
    async with fault_proxy(server.address) as proxy:
        log = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        topic = await logs.topic(log)
        await _store(log, topic, b"a", b"b")
        assert await _read(log, topic) == [b"a"]
        proxy.lose_reply_to = topic.topic.encode()
        reading = asyncio.create_task(_read(log, topic, seconds=2 if ending == "silence" else 20))
        await proxy.swallowed.wait()
        proxy.lose_reply_to = None
        if ending == "cancelled":
            reading.cancel()
        with pytest.raises(DeadlineExceeded if ending == "silence" else asyncio.CancelledError):
            await reading
        assert [await _read(log, topic, number) for number in (0, 1)] == [[b"a"], [b"b"]]
        await logs.close()


@pytest.mark.parametrize("moved", [False, True])
async def test_a_queue_that_does_not_move_counts_as_silence(
    server: IggyServer, logs: IggyLogs, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    async with fault_proxy(server.address) as proxy:
        log = await logs.open(f"iggy://iggy:iggy@{proxy.address}", breaker_failures=1, breaker_open_s=60)
        topic = await logs.topic(log)
        lines = range(IGGY_READ_CLIENTS)
        await _store(log, topic, *(b"%d" % number for number in lines))
        await asyncio.gather(*(_read(log, topic, number) for number in lines))
        proxy.lose_reply_to = topic.topic.encode()
        ahead = [asyncio.create_task(_read(log, topic, number, 60)) for number in lines]
        await asyncio.sleep(0)
        if moved:
            monkeypatch.setattr(Lane, "answered_since", lambda *_: True)
        with pytest.raises(DeadlineExceeded):
            await _read(log, topic, 1000, 0.1)
        assert log.health().ready == moved
        for task in ahead:
            task.cancel()
        await asyncio.wait(ahead)
        await logs.close()


async def test_silence_counts_for_the_breaker(server: IggyServer, logs: IggyLogs) -> None:
    async with fault_proxy(server.address) as proxy:
        log = await logs.open(f"iggy://iggy:iggy@{proxy.address}", breaker_failures=1, breaker_open_s=60)
        topic = await logs.topic(log)
        await _store(log, topic, b"a")
        assert await _read(log, topic) == [b"a"]
        proxy.lose_reply_to = topic.topic.encode()
        with pytest.raises(DeadlineExceeded):
            await _read(log, topic, seconds=0.1)
        assert not log.health().ready
        await logs.close()


async def test_a_closed_log_refuses_at_once(server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    await _store(log, topic, b"a")
    await _read(log, topic)
    await log.close()
    with pytest.raises(ConnectionFailed):
        await _read(log, topic)
