"""What callers see while Iggy is killed, paused, cut off, or not there at all."""

import asyncio
import contextlib
import gc
import time
from pathlib import Path

import pytest

from bridge.errors import (
    CircuitOpen,
    ConnectionFailed,
    DeadlineExceeded,
    Disconnected,
    LogError,
    Outcome,
    StartupError,
)
from bridge.flow.appending.batching import BatchingAppender
from bridge.iggy.message_log import IggyMessageLog
from bridge.iggy.pool import Slot
from bridge.messagelog import First, FromOffset, Message, NewMessage, ToPartition, TopicRef
from tests.support.checker import Account, Stored
from tests.support.figures import WatchedLog, total
from tests.support.iggy_log import IggyLogs, iggy_logs, soon
from tests.support.iggy_server import IggyServer
from tests.support.tcp_proxy import fault_proxy

pytestmark = pytest.mark.iggy

#: Longer than any stall of the machine, and far less than what a waiter that nobody ends would take.
LONG_S = 15.0


async def _all(log: IggyMessageLog, topic: TopicRef) -> list[Message]:
    found: list[Message] = []
    while page := (await log.read(topic, 0, FromOffset(len(found)), count=1000, deadline=soon())).messages:
        found.extend(page)
    return found


def _descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def _append(log: IggyMessageLog, topic: TopicRef, payload: bytes, seconds: float) -> None:
    await log.append(topic, ToPartition(0), [NewMessage(payload=payload)], deadline=soon(seconds))


async def test_what_was_acknowledged_survives_kill_9_under_load(
    own_server: IggyServer, logs: IggyLogs
) -> None:
    observer = WatchedLog()
    log = await logs.open(own_server.connection_string, observer=observer)
    topic = await logs.topic(log)
    appender = BatchingAppender(log, probe=log)
    account = Account("none")
    enough, done = asyncio.Event(), asyncio.Event()

    async def producer(name: int) -> None:
        number = 0
        while not done.is_set():
            payload = f"{name}-{number}".encode()
            number += 1
            account.send(payload, payload, writer=name)
            try:
                receipt = await appender.append(
                    topic, ToPartition(0), [NewMessage(payload=payload)], deadline=soon(20)
                )
            except LogError as error:
                (account.refuse if error.outcome is Outcome.NOT_WRITTEN else account.doubt)(payload)
                continue
            assert receipt.offset is not None
            account.acknowledge(payload, 0, receipt.offset)
            if account.acknowledged_count % 500 == 0:
                enough.set()

    producers = [asyncio.create_task(producer(name)) for name in range(32)]
    for _ in range(3):
        enough.clear()
        await enough.wait()
        await asyncio.to_thread(own_server.kill)
        await observer.states.until("reconnecting")
        await asyncio.to_thread(own_server.start)
        await observer.states.until("connected")
    enough.clear()
    await enough.wait()
    done.set()
    await asyncio.gather(*producers)
    await appender.close()

    found = [Stored(each.offset, each.payload, each.payload) for each in await _all(log, topic)]
    account.check({0: found})
    assert total(observer.reconnects) == 3


async def test_nothing_is_left_over_after_an_outage(own_server: IggyServer) -> None:
    async with iggy_logs() as warm:
        await warm.open(own_server.connection_string)
    tasks, descriptors = len(asyncio.all_tasks()), _descriptors()
    async with iggy_logs() as logs:
        observer = WatchedLog()
        log = await logs.open(own_server.connection_string, observer=observer)
        topic = await logs.topic(log)
        await _append(log, topic, b"first", 5)
        own_server.kill()
        waiting = [asyncio.create_task(_append(log, topic, b"x", 20)) for _ in range(50)]
        await observer.states.until("reconnecting")
        await asyncio.to_thread(own_server.start)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        # The first in each lane was handed over to a dead connection; the rest could wait and succeeded.
        assert sum(result is None for result in results) >= 40
    own_server.stop()
    assert len(asyncio.all_tasks()) == tasks
    # Those of a client that was dropped are closed by a thread of the SDK's.
    async with asyncio.timeout(60):
        while _descriptors() > descriptors:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)


async def test_a_request_during_an_outage_waits_until_its_own_deadline(
    own_server: IggyServer, logs: IggyLogs
) -> None:
    observer = WatchedLog()
    log = await logs.open(own_server.connection_string, observer=observer)
    topic = await logs.topic(log)
    # Killed before a partition has its files, server 0.9.0-edge.5 does not start again ("Cannot read file").
    await _append(log, topic, b"first", 5)
    own_server.kill()
    with contextlib.suppress(LogError):
        await log.probe(deadline=soon(1))
    await observer.states.until("reconnecting")
    assert not log.health().ready
    begun_s = time.monotonic()
    with pytest.raises(Disconnected) as caught:
        await _append(log, topic, b"x", 1.5)
    # Not at once, and not only when the server is there again.
    assert 0.3 < time.monotonic() - begun_s < LONG_S
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert caught.value.retry_after_ms is not None
    own_server.start()
    await observer.states.until("connected")
    assert [message.payload for message in await _all(log, topic)] == [b"first"]


async def test_a_paused_server_ends_requests_by_their_deadline_and_opens_the_breaker(
    own_server: IggyServer, logs: IggyLogs
) -> None:
    observer = WatchedLog()
    log = await logs.open(
        own_server.connection_string, observer=observer, breaker_failures=5, breaker_open_s=0.5
    )
    topic = await logs.topic(log)
    await _append(log, topic, b"before", 5)
    tasks = len(asyncio.all_tasks())
    own_server.pause()
    try:
        ends: list[str] = []
        for number in range(60):
            begun_s = time.monotonic()
            # Those that are looked at by their turn have more than a stall of the machine.
            seconds = 1.0 if number < 5 else 0.1
            with pytest.raises(LogError) as caught:
                await _append(log, topic, f"paused-{number}".encode(), seconds)
            assert caught.value.outcome is not None
            assert time.monotonic() - begun_s < LONG_S
            ends.append(caught.value.code)
        # The first may have been handed over; before the next there is a sign of life to wait for.
        assert ends[0] in ("timeout", "disconnected")
        assert ends[1:5] == ["disconnected"] * 4
        assert "circuit_open" in ends
        with pytest.raises(LogError):
            await log.read(topic, 0, First(), count=1, deadline=soon(0.2))
        assert not log.health().ready
        assert len(asyncio.all_tasks()) <= tasks + 1
    finally:
        own_server.resume()
    until_s = time.monotonic() + 60
    while True:
        try:
            await log.read(topic, 0, First(), count=1, deadline=soon(1))
        except CircuitOpen as error:
            await asyncio.sleep((error.retry_after_ms or 1) / 1000)
        except LogError:
            if time.monotonic() > until_s:
                raise
        else:
            if observer.breaker_states.told[-1] == "closed":
                break
    payloads = [message.payload for message in await _all(log, topic)]
    assert payloads[0] == b"before"
    assert len(set(payloads)) == len(payloads)


async def test_a_queue_that_does_not_move_opens_the_breaker_too(
    own_server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(own_server.connection_string, breaker_failures=3, breaker_open_s=60)
    own_server.pause()
    # Holds the only client for administration, and would for as long as its deadline says.
    holding = asyncio.create_task(log.totals(deadline=soon(60)))
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(Disconnected):
            await log.streams(deadline=soon(1))
    with pytest.raises(CircuitOpen):
        await log.streams(deadline=soon(1))
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding


async def test_a_reply_lost_after_a_send_is_an_unknown_outcome_and_one_copy(
    server: IggyServer, logs: IggyLogs
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    async with fault_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        await _append(behind, topic, b"first", 5)
        proxy.lose_reply_to = b"second"
        sending = asyncio.create_task(_append(behind, topic, b"second", 2))
        await proxy.swallowed.wait()
        with pytest.raises(DeadlineExceeded) as caught:
            await sending
        assert caught.value.outcome is Outcome.UNKNOWN
        proxy.lose_reply_to = None
        proxy.cut()
        await _append(behind, topic, b"third", 5)
        await logs.close()
    async with iggy_logs() as again:
        log = await again.open(server.connection_string)
        assert [message.payload for message in await _all(log, topic)] == [b"first", b"second", b"third"]


async def test_a_connection_cut_after_a_send_is_an_unknown_outcome_and_one_copy(
    server: IggyServer, logs: IggyLogs
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    async with fault_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        await _append(behind, topic, b"first", 5)
        proxy.lose_reply_to = b"second"
        sending = asyncio.create_task(_append(behind, topic, b"second", 5))
        await proxy.swallowed.wait()
        proxy.lose_reply_to = None
        proxy.cut()
        with pytest.raises(LogError) as caught:
            await sending
        assert caught.value.outcome is Outcome.UNKNOWN
        assert [message.payload for message in await _all(direct, topic)] == [b"first", b"second"]
        await logs.close()


async def test_connections_reset_again_and_again_lose_and_double_nothing(
    server: IggyServer, logs: IggyLogs
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    account = Account("none")
    async with fault_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        for number in range(200):
            payload = str(number).encode()
            if number % 20 == 10:
                proxy.cut()
            account.send(payload, payload)
            try:
                receipt = await behind.append(
                    topic, ToPartition(0), [NewMessage(payload=payload)], deadline=soon(5)
                )
            except LogError as error:
                (account.refuse if error.outcome is Outcome.NOT_WRITTEN else account.doubt)(payload)
            else:
                assert receipt.offset is not None
                account.acknowledge(payload, 0, receipt.offset)
        found = [Stored(each.offset, each.payload, each.payload) for each in await _all(direct, topic)]
        assert account.acknowledged_count >= 180
        account.check({0: found})
        await logs.close()


def _connections(address: str) -> int:
    """Of this process to the server at *address*, as the kernel has them."""
    gc.collect()
    port = f"{int(address.rpartition(':')[2]):04X}"
    own = {
        link.readlink().name[8:-1]
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port}") and row[9] in own for row in rows)


async def test_a_connection_made_for_one_that_is_gone_is_closed(
    server: IggyServer, logs: IggyLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    connection = log._connection
    dial = connection.dial
    lost = 0

    async def dial_too_late(slot: Slot) -> object:
        nonlocal lost
        made = await dial(slot)
        if lost < 3:
            lost += 1
            connection.lost(connection.generation, "gone meanwhile")
        return made

    monkeypatch.setattr(connection, "dial", dial_too_late)
    await _append(log, topic, b"first", 10)
    assert lost == 3
    # What the tests before left behind goes with its last reference.
    in_use = sum(slot.client is not None for lane in connection.lanes for slot in lane.slots)
    async with asyncio.timeout(60):
        while _connections(server.address) > in_use:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
    assert _connections(server.address) == in_use


async def test_an_iggy_that_is_not_there_is_told_long_before_the_deadline_and_found_later(
    own_server: IggyServer,
) -> None:
    own_server.stop()
    observer = WatchedLog()
    async with iggy_logs() as logs:
        log = await logs.open(own_server.connection_string, observer=observer)
        health = log.health()
        assert (health.state, health.ready) == ("connecting", False)
        assert health.detail == "The Iggy server cannot be reached."
        begun_s = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            await _append(log, TopicRef("s", "t"), b"x", 2 * LONG_S)
        assert time.monotonic() - begun_s < LONG_S
        assert caught.value.outcome is Outcome.NOT_WRITTEN
        await asyncio.to_thread(own_server.start)
        await observer.states.until("connected")
        assert log.health().ready
        assert total(observer.reconnects) == 0


async def test_attempts_that_run_out_end_the_supervised_part(own_server: IggyServer) -> None:
    observer = WatchedLog()
    logs = IggyLogs()
    log = await logs.open(own_server.connection_string, observer=observer, reconnect_attempts_max=3)
    run = logs.running[0]
    own_server.kill()
    with pytest.raises(LogError):
        await log.probe(deadline=soon(2))
    with pytest.raises(StartupError, match="have run out"):
        await run
    assert observer.states.told[-1] == "exhausted"
    with pytest.raises(ConnectionFailed):
        await log.streams(deadline=soon(5))
    await log.close()


async def test_wrong_credentials_are_told_in_words_and_tried_again(
    server: IggyServer, logs: IggyLogs
) -> None:
    log = await logs.open(f"iggy://iggy:not-the-password@{server.address}")
    health = log.health()
    assert not health.ready
    assert health.state == "connecting"
    assert "does not accept the user and password" in health.detail
    assert "not-the-password" not in repr(health)


async def test_a_server_that_hangs_up_at_the_login_is_said_to_speak_another_protocol(logs: IggyLogs) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.close()

    old = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = old.sockets[0].getsockname()[1]
    log = await logs.open(f"iggy://iggy:iggy@127.0.0.1:{port}")
    assert log.health().detail.startswith("server speaks another protocol (server unknown")
    assert not log.health().ready
    old.close()
    await old.wait_closed()


async def test_a_server_of_another_minor_is_told_in_words(
    server: IggyServer, logs: IggyLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.iggy.client._SDK_VERSION", "0.11.2")
    log = await logs.open(server.connection_string)
    assert not log.health().ready
    assert log.health().detail.startswith("server speaks another protocol (server 0.")
    assert log.health().detail.endswith("SDK 0.11.2)")
