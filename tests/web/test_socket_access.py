"""What a caller with permissions may do over a WebSocket: asked at each operation, refused as over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import GroupsConfig
from bridge.messagelog import TopicRef
from tests.support.callers import STREAM, TOPIC, CalledBridge, called_bridge, somebody

HERE = {"stream": STREAM, "topic": TOPIC}
BESIDE = {"stream": STREAM, "topic": "other"}
PUBLISH: dict[str, Any] = {"op": "publish", "id": "p", "payload": 1}
SUBSCRIBE: dict[str, Any] = {"op": "subscribe", "id": "s", "permits": 1}


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[CalledBridge]:
    async with called_bridge(tmp_path) as called:
        yield called


async def ends_of(bridge: CalledBridge, topic: str) -> list[int]:
    app = bridge.app
    info = await app.log.topic(TopicRef(STREAM, topic), deadline=app.deadline())
    return [each.end_offset for each in info.partitions]


@pytest.mark.parametrize("place", [{}, HERE], ids=["default topic", "by name"])
@pytest.mark.parametrize(
    "permission, published, subscribed",
    [
        (f"produce:{STREAM}/{TOPIC}", True, 403),
        (f"consume:{STREAM}/{TOPIC}", 403, True),
        (f"admin:{STREAM}/{TOPIC}", 403, 403),
        (f"produce:{STREAM}/other", 404, 404),
        ("consume:elsewhere/*", 404, 404),
        ("metrics", 404, 404),
    ],
)
async def test_each_operation_needs_its_scope_for_its_topic(
    bridge: CalledBridge,
    place: dict[str, str],
    permission: str,
    published: bool | int,
    subscribed: bool | int,
) -> None:
    bridge.caller = somebody(permission)
    async with bridge.socket() as client:
        for operation, scope, outcome in (
            (PUBLISH, "produce", published),
            (SUBSCRIBE, "consume", subscribed),
            ({**SUBSCRIBE, "group": "workers"}, "consume", subscribed),
        ):
            if outcome is not True:
                problem = await client.refused(**operation, **place)
                assert problem["status"] == outcome
                named = (problem["error"], problem.get("scope"))
                assert named == (("insufficient_scope", scope) if outcome == 403 else ("not_found", None))
            elif operation is PUBLISH:
                await client.ask(answer="receipt", **operation, **place)
            else:
                await client.ask(answer="subscribed", **operation, **place)
                await client.ask("unsubscribe", "ended", subscription="s")


async def test_a_topic_that_is_not_seen_is_told_as_one_that_is_not_there(bridge: CalledBridge) -> None:
    refused: list[list[dict[str, Any]]] = []
    for permissions, topic in (
        (("produce", "consume"), "missing"),
        ((f"produce:{STREAM}/x", f"consume:{STREAM}/x"), "other"),
        ((f"produce:{STREAM}/x", f"consume:{STREAM}/x"), "missing"),
    ):
        bridge.caller = somebody(*permissions)
        async with bridge.socket() as client:
            place = {"stream": STREAM, "topic": topic}
            refused.append([await client.refused(**each, **place) for each in (PUBLISH, SUBSCRIBE)])
    for problem in (each for pair in refused for each in pair):
        problem.pop("request_id")
    assert refused[0] == refused[1] == refused[2]
    bridge.caller = somebody("consume:else/*")
    async with bridge.socket() as client:
        assert (await client.refused(**PUBLISH, **HERE))["title"] == "Stream not found"


async def test_what_is_refused_is_not_stored_and_the_next_operation_goes_on(bridge: CalledBridge) -> None:
    bridge.caller = somebody(f"produce:{STREAM}/other")
    async with bridge.socket() as client:
        await client.refused(**PUBLISH, **HERE)
        await client.refused(**PUBLISH)
        await client.ask("publish", "receipt", id="q", payload=2, **BESIDE)
    assert sum(await ends_of(bridge, TOPIC)) == 0
    assert sum(await ends_of(bridge, "other")) == 1


@pytest.mark.parametrize("permission, status", [("produce", 403), ("consume:else/*", 404), (None, 401)])
@pytest.mark.parametrize("op", ["ack", "extend", "permit"])
async def test_rights_that_shrink_hold_for_the_next_operation_of_an_open_socket(
    bridge: CalledBridge, op: str, permission: str | None, status: int
) -> None:
    await bridge.tell(1)
    bridge.caller = somebody("consume")
    group: dict[str, Any] = {"id": "g", "group": "workers", "visibility_ms": 60_000}
    async with bridge.socket() as client:
        await client.ask("subscribe", "subscribed", **group, permits=1)
        token = (await client.hear("message"))["message"]["token"]
        # None: the key is taken out.
        bridge.caller = None if permission is None else somebody(permission)
        await client.say(op, subscription="g", **({"count": 1} if op == "permit" else {"tokens": [token]}))
        told = await client.hear("error", "bye")
        # A look at all keys in use may come first, and end the socket.
        assert told["op"] == "bye" or told["problem"]["status"] == status
    bridge.caller = None
    shown = await bridge.get(f"/streams/{STREAM}/topics/{TOPIC}/groups/workers")
    assert shown.json["lag"] == 1


async def test_a_socket_opens_for_everyone_who_is_let_in(bridge: CalledBridge) -> None:
    bridge.caller = somebody("metrics")
    async with bridge.socket() as client:
        await client.ask("ping", "pong", id="p")


@pytest.mark.parametrize("permission", ["produce", "produce:else/*"])
async def test_a_name_that_none_may_have_and_the_bridges_own_stream_are_refused_as_for_everyone(
    bridge: CalledBridge, permission: str
) -> None:
    bridge.caller = somebody(permission)
    async with bridge.socket() as client:
        problem = await client.refused(**PUBLISH, stream="a..b", topic="t")
        assert (problem["status"], problem["path"]) == (400, "$.stream")
        problem = await client.refused(**PUBLISH, stream=GroupsConfig().stream, topic="t")
        assert problem["error"] == "forbidden"


@pytest.mark.parametrize("pattern", ["*", "shop-*", "s*p-1", f"{STREAM}/*", "Shop-1", "shop-1 "])
async def test_a_name_is_a_name_and_never_a_pattern(bridge: CalledBridge, pattern: str) -> None:
    bridge.caller = somebody(f"produce:{STREAM}/other")
    async with bridge.socket() as client:
        assert (await client.refused(**PUBLISH, stream=pattern, topic="other"))["status"] in (400, 404)
        assert (await client.refused(**PUBLISH, stream=STREAM, topic=pattern))["status"] in (400, 404)
