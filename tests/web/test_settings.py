"""What the configuration changes in the routes; the log behind them does not matter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import HttpConfig, LogConfig, ObserveConfig
from bridge.errors import PollError
from bridge.messagelog import Page, StoredOffset
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import generic_event, user_event


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[BridgeApp]:
    http = HttpConfig(
        rate_limit_rps=0, batch_messages_max=2, poll_messages_max=3, request_body_bytes_max=1024
    )
    defaults = LogConfig(stream="other", topic="place", partitions=1)
    observe = ObserveConfig(metrics_port=0)
    async with bridge_app(tmp_path, http=http, defaults=defaults, observe=observe) as app:
        yield app


async def test_the_default_stream_and_topic_are_the_configured_ones(small: BridgeApp) -> None:
    sent = await small.call("POST", "/messages", {"event": user_event()})
    assert (sent.json["stream"], sent.json["topic"], sent.json["partition_id"]) == ("other", "place", 0)


async def test_a_batch_has_the_configured_limit(small: BridgeApp) -> None:
    batch = {"events": [generic_event(index) for index in range(3)]}
    answer = await small.call("POST", "/messages/batch", batch)
    assert (answer.status, answer.json["limit"]) == (400, 2)
    batch["events"].pop()
    assert (await small.call("POST", "/messages/batch", batch)).status == 201


async def test_a_page_has_the_configured_limit(small: BridgeApp) -> None:
    for _ in range(4):
        await small.call("POST", "/messages", {"event": user_event()})
    assert (await small.call("GET", "/messages")).json["count"] == 3
    assert (await small.call("GET", "/messages?count=99")).json["count"] == 3


async def test_a_body_has_the_configured_limit(small: BridgeApp) -> None:
    answer = await small.call("POST", "/messages", {"event": generic_event("x" * 1024)})
    assert (answer.status, answer.json["error"], answer.json["limit"]) == (413, "payload_too_large", 1024)


async def test_metrics_that_moved_are_not_found_here(small: BridgeApp) -> None:
    answer = await small.call("GET", "/metrics")
    assert (answer.status, answer.json["error"]) == (404, "not_found")


async def test_a_page_that_cannot_be_built_commits_nothing(
    small: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await small.call("POST", "/messages", {"event": user_event()})

    def fail(page: Page) -> bytes:
        raise PollError

    with monkeypatch.context() as patch:
        patch.setattr("bridge.web.wire.pages.PageEncoder.page_json", fail)
        assert (await small.call("GET", "/messages?auto_commit=true")).status == 500
    assert await small.log.stored_offset(small.topic, 0, 1, deadline=small.deadline()) is None
    assert (await small.call("GET", "/messages?auto_commit=true")).json["count"] == 1
    assert await small.log.stored_offset(small.topic, 0, 1, deadline=small.deadline()) == StoredOffset(0, 1)


async def test_the_offset_stored_is_that_of_the_last_message_told(small: BridgeApp) -> None:
    for _ in range(5):
        await small.call("POST", "/messages", {"event": user_event()})
    page = (await small.call("GET", "/messages?auto_commit=true&count=2&offset=1")).json
    stored = await small.log.stored_offset(small.topic, 0, 1, deadline=small.deadline())
    assert stored == StoredOffset(page["messages"][-1]["offset"], 5) == StoredOffset(2, 5)
