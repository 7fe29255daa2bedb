"""A send that is cancelled wherever it waits is stored whole or not at all, and leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.errors import BridgeError
from bridge.flow.appending.batching import BatchingAppender
from bridge.locallog import LocalMessageLog
from bridge.messagelog import Balanced, ByKey, First, NewMessage, Placement, ToPartition, TopicRef
from bridge.web.server.routing import RoutedHandler, Router
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import generic_event
from tests.support.local_logs import open_log, soon
from tests.support.suspensions import CancelledAt

TOPIC = TopicRef("stream", "topic")
PARTITIONS = 3
#: More than any send waits; the last of them waits less often, and is not cancelled.
WAITS_MAX = 200


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalMessageLog]:
    log = await open_log(tmp_path)
    yield log
    await log.close()


async def payloads(log: LocalMessageLog, topic: TopicRef, partitions: int = PARTITIONS) -> list[bytes]:
    found: list[bytes] = []
    for partition_id in range(partitions):
        page = await log.read(topic, partition_id, First(), count=1_000, deadline=soon())
        found += [message.payload for message in page.messages]
    return found


def is_idle(log: LocalMessageLog) -> bool:
    return (len(log._writer._waiting), log._writer._waiting_bytes, log._readers._waiting) == (0, 0, 0)


async def ended(coroutine: Coroutine[Any, Any, Any], at: int) -> tuple[bool, int]:
    """Whether it was cancelled at its *at*-th wait, and how often it waited."""
    cancelled = CancelledAt(coroutine, at)

    async def run() -> None:
        await cancelled

    task = asyncio.create_task(run())
    done, _ = await asyncio.wait([task])
    assert done == {task}
    if not task.cancelled() and (error := task.exception()) is not None:
        assert isinstance(error, BridgeError), error
    return task.cancelled(), cancelled.waits


@pytest.mark.parametrize("placement", [ToPartition(1), ByKey(b"key"), Balanced()], ids=repr)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
async def test_an_append_cancelled_at_any_wait_is_stored_whole_or_not_at_all(
    log: LocalMessageLog, placement: Placement, beside: bool
) -> None:
    await log.create_stream(TOPIC.stream, deadline=soon())
    await log.create_topic(TOPIC, partitions_count=PARTITIONS, deadline=soon())
    appender = BatchingAppender(log, probe=log)
    acknowledged: list[bytes] = []
    for at in range(1, WAITS_MAX):
        texts = [b"%d:%d" % (at, number) for number in range(3)]
        other = asyncio.create_task(
            appender.append(TOPIC, placement, [NewMessage(b"beside %d" % at)], deadline=soon())
        )
        if not beside:
            await other
        append = appender.append(TOPIC, placement, [NewMessage(text) for text in texts], deadline=soon())
        cancelled, _ = await ended(append, at)
        await other
        # What comes after it is stored behind it, so that it is known by then whether it was.
        await appender.append(TOPIC, placement, [NewMessage(b"after")], deadline=soon())
        assert (appender._queues, appender._backlog.appends_count, appender._backlog.size_bytes) == ({}, 0, 0)
        assert is_idle(log)
        stored = [text for text in await payloads(log, TOPIC) if text in texts]
        assert stored in ([], texts)
        if not cancelled:
            acknowledged += texts
            assert stored == texts
            break
    assert acknowledged
    await appender.close()


@pytest.fixture
def cancel_at(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The wait at which the next request to each path is cancelled, whatever of the application it is in."""
    at: dict[str, int] = {}

    class Cancelling(Router):
        def add(self, method: str, path: str, handler: RoutedHandler) -> None:
            async def cancelling(request: web.Request, names: Mapping[str, str]) -> web.StreamResponse:
                async def handled() -> web.StreamResponse:
                    return await handler(request, names)

                return await CancelledAt(handled(), at.pop(request.path, 0))

            super().add(method, path, cancelling)

    monkeypatch.setattr("bridge.web.app.Router", Cancelling)
    return at


EVENTS = [generic_event({"n": number}) for number in range(3)]
SENDS: dict[str, tuple[str, str, str]] = {
    "an event": ("/messages", "application/json", json.dumps({"event": EVENTS[0]})),
    "a batch": ("/messages/batch", "application/json", json.dumps({"events": EVENTS})),
    "text": ("/messages", "text/plain", "text"),
    "lines": ("/messages", "application/x-ndjson", "".join(json.dumps(event) + "\n" for event in EVENTS)),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
async def test_a_request_cancelled_at_any_wait_leaves_nothing_in_flight(
    tmp_path: Path, cancel_at: dict[str, int], send: tuple[str, str, str]
) -> None:
    path, kind, body = send
    async with bridge_app(tmp_path) as bridge:
        log = bridge.bare_log
        assert isinstance(log, LocalMessageLog)
        before = len(asyncio.all_tasks())
        for at in range(1, WAITS_MAX):
            cancel_at[path] = at
            count = len(await payloads(log, bridge.topic))
            answered = await _sent(bridge, path, kind, body)
            await _settled(bridge, log, before)
            new = len(await payloads(log, bridge.topic)) - count
            assert new in ((0, len(EVENTS), 1) if not answered else (1, len(EVENTS)))
            if answered:
                break
        assert at > 1


async def _sent(bridge: BridgeApp, path: str, kind: str, body: str) -> bool:
    """Whether it was answered well; on a connection of its own."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            async with session.post(
                bridge.base + path, data=body, headers={"Content-Type": kind}
            ) as response:
                await response.read()
                return response.status in (200, 201)
        except aiohttp.ClientError:
            return False


async def _settled(bridge: BridgeApp, log: LocalMessageLog, tasks_count: int) -> None:
    """Until all that was in flight is gone."""
    appender = bridge.services.appender
    assert isinstance(appender, BatchingAppender)
    async with asyncio.timeout(20):
        while True:
            figures = (await bridge.call("GET", "/metrics")).body.decode()
            idle = appender._queues == {} and is_idle(log) and len(asyncio.all_tasks()) <= tasks_count + 1
            if idle and "bridge_http_requests_in_flight 1.0" in figures:
                return
            await asyncio.sleep(0)
