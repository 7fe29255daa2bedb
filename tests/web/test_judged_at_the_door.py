"""What was checked on its way in needs no judging on its way out, and nothing else is taken for it."""

import json

import pytest

from bridge.locallog import LocalMessageLog
from bridge.messagelog import FromOffset, Records
from tests.support.bridge_app import Answer, BridgeApp
from tests.support.events import generic_event, order_event, user_event

NO_EVENT = b'{"id":"no event"}'


async def _known(bridge: BridgeApp, partition_id: int) -> bool:
    page = await bridge.log.read(
        bridge.topic, partition_id, FromOffset(0), count=10, deadline=bridge.deadline()
    )
    assert isinstance(page.messages, Records)
    assert len(page.messages) > 0
    return page.messages.events


async def _send(bridge: BridgeApp, path: str, body: bytes, kind: str = "application/json") -> Answer:
    answer = await bridge.call("POST", path, body, headers={"Content-Type": kind})
    assert answer.status == 201, answer.body
    return answer


@pytest.mark.parametrize("where", ["local"], indirect=True)
async def test_the_embedded_log_remembers_what_was_checked_and_only_that(bridge: BridgeApp) -> None:
    assert isinstance(bridge.bare_log, LocalMessageLog)
    plain = {"event": order_event(), "partition_key": "a"}
    # A field nobody knows: looked at by itself, not among the plain ones.
    odd = {"event": {**user_event(), "more": 1}, "partition_key": "a"}
    batch = {"events": [generic_event([1]), odd["event"]], "partition_key": "a"}
    partition_id = (await _send(bridge, "/messages", json.dumps(plain).encode())).json["partition_id"]
    assert await _known(bridge, partition_id)
    for path, sent in (("/messages", odd), ("/messages/batch", batch)):
        await _send(bridge, path, json.dumps(sent).encode())
        assert await _known(bridge, partition_id)
    for kind in ("application/x-ndjson", "application/octet-stream", "text/plain"):
        # Even an event, where nobody looked whether it is one.
        for body in (NO_EVENT, json.dumps(user_event()).encode()):
            await _send(bridge, f"/messages?partition_id={partition_id}", body, kind)
            assert not await _known(bridge, partition_id)
    shown = (await bridge.call("GET", f"/messages?partition_id={partition_id}&offset=0&count=20")).json
    assert [message["event"] is not None for message in shown["messages"]] == [True] * 4 + [False, True] * 3
