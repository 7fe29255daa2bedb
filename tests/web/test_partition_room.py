"""How many partitions all topics have together, over either log."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import LogConfig
from bridge.messagelog import TopicRef
from tests.support.bridge_app import BridgeApp, bridge_app


@pytest.fixture
async def bridge(where: Path | str) -> AsyncIterator[BridgeApp]:
    """With room for ten partitions beyond those that others have, three of them taken."""
    defaults = LogConfig(stream=f"s-{uuid.uuid4()}", partitions_max=10**6)
    async with bridge_app(where, defaults=defaults) as app:
        room = app.services.partition_room
        there = await room._counted(app.deadline())
        room._partitions_max = there + 7
        yield app


def base(bridge: BridgeApp) -> str:
    return f"/streams/{bridge.topic.stream}/topics"


async def test_topics_take_what_room_there_is_and_the_next_one_hears_of_the_bound(bridge: BridgeApp) -> None:
    bound = bridge.services.partition_room._partitions_max
    assert (await bridge.call("POST", base(bridge), {"name": "a", "partitions": 5})).status == 201
    refused = await bridge.call("POST", base(bridge), {"name": "b", "partitions": 3})
    assert (refused.status, refused.json["path"], refused.json["limit"]) == (400, "$.partitions", bound)
    assert f"{bound} partitions (MAX_PARTITIONS), and there are {bound - 2}" in refused.json["detail"]
    assert (await bridge.call("GET", f"{base(bridge)}/b")).status == 404
    grown = await bridge.call("POST", f"{base(bridge)}/a/partitions", {"count": 3})
    assert (grown.status, grown.json["path"], grown.json["limit"]) == (400, "$.count", bound)
    # One of that name takes none.
    assert (await bridge.call("POST", base(bridge), {"name": "a", "partitions": 2})).status == 409
    assert (await bridge.call("POST", f"{base(bridge)}/a/partitions", {"count": 2})).status == 201
    assert (await bridge.call("POST", base(bridge), {"name": "b"})).status == 400


async def test_many_at_once_do_not_pass_the_bound(bridge: BridgeApp) -> None:
    orders = [{"name": f"t{number}", "partitions": 2} for number in range(10)]
    answers = await asyncio.gather(*(bridge.call("POST", base(bridge), order) for order in orders))
    assert sorted(each.status for each in answers) == [201] * 3 + [400] * 7


async def test_what_others_made_counts_and_what_was_deleted_does_not(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.flow.partition_room.PARTITIONS_RECOUNT_S", -1)
    others = TopicRef(bridge.topic.stream, "others")
    await bridge.log.create_topic(others, partitions_count=6, deadline=bridge.deadline())
    assert (await bridge.call("POST", base(bridge), {"name": "a", "partitions": 2})).status == 400
    await bridge.log.delete_topic(others, deadline=bridge.deadline())
    assert (await bridge.call("POST", base(bridge), {"name": "a", "partitions": 7})).status == 201
