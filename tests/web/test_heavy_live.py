"""Heavy messages, live: what they are is found out in turns before readers are told, not where a thousand are served."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.limits import PAGE_LIGHT_BYTES
from bridge.messagelog import NewMessage, ToPartition
from bridge.web.wire.payload_forms import Form, PayloadForms
from tests.support.bridge_app import BridgeApp
from tests.support.event_reader import EventReader, datas
from tests.support.events import generic_event

TEXT = b"x" * (PAGE_LIGHT_BYTES + 1)
LISTS = b"[" + b"[]," * (PAGE_LIGHT_BYTES // 3) + b"1]"
EVENT = json.dumps(generic_event("y" * PAGE_LIGHT_BYTES)).encode()


@pytest.fixture
def in_one_go(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was judged in one go."""
    judged: list[int] = []
    forms_of = PayloadForms.forms_of

    def watched(self: PayloadForms, payloads: Sequence[bytes], **options: Any) -> list[Form]:
        judged.append(sum(map(len, payloads)))
        return forms_of(self, payloads, **options)

    monkeypatch.setattr(PayloadForms, "forms_of", watched)
    return judged


async def _store(bridge: BridgeApp, *payloads: bytes) -> None:
    for payload in payloads:
        await bridge.log.append(
            bridge.topic, ToPartition(0), [NewMessage(payload=payload)], deadline=bridge.deadline()
        )


@pytest.mark.parametrize("query", ["from=first", "from=last", "from=last&event_type=anything"])
async def test_a_live_reader_gets_heavy_messages_that_were_judged_in_turns(
    bridge: BridgeApp, query: str, in_one_go: list[int]
) -> None:
    payloads = [TEXT, LISTS, EVENT]
    if query == "from=first":
        await _store(bridge, *payloads)
    async with EventReader(bridge.session, f"{bridge.base}/messages/stream?{query}") as reader:
        if query != "from=first":
            await _store(bridge, *payloads)
        told = datas(await reader.events(1 if "event_type" in query else 3))
    if "event_type" not in query:
        assert told[0]["text"] == TEXT.decode()
        assert len(told[1]["payload"]) == PAGE_LIGHT_BYTES // 3 + 1
    assert told[-1]["event"] == json.loads(EVENT)
    assert max(in_one_go, default=0) <= PAGE_LIGHT_BYTES


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_heavy_message_is_never_judged_in_one_go(
    bridge: BridgeApp, accept: str, in_one_go: list[int]
) -> None:
    await _store(bridge, LISTS)
    for query in ("offset=0", "cursor=first"):
        answer = await bridge.call("GET", f"/messages?{query}", headers={"Accept": accept})
        assert answer.status == 200
        assert len(answer.body) > len(LISTS)
    received = await bridge.call(
        "POST", f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/groups/g/receive"
    )
    assert received.json["messages"][0]["size"] == len(LISTS)
    assert max(in_one_go, default=0) <= PAGE_LIGHT_BYTES
