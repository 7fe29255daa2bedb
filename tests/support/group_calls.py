"""A consumer of a group, as it calls a bridge over HTTP."""

from typing import Any

from bridge.messagelog import NewMessage, ToPartition
from tests.support.bridge_app import Answer, BridgeApp

__all__ = ("fill", "places", "receive", "receive_all", "tokens")


async def fill(bridge: BridgeApp, *counts: int) -> None:
    """So many messages in each partition."""
    for partition_id, count in enumerate(counts):
        if count:
            batch = [NewMessage(b'{"number":%d}' % number) for number in range(count)]
            await bridge.log.append(
                bridge.topic, ToPartition(partition_id), batch, deadline=bridge.deadline()
            )


def places(answer: Answer) -> list[tuple[int, int]]:
    return [(message["partition_id"], message["offset"]) for message in answer.json["messages"]]


def tokens(answer: Answer) -> list[str]:
    return [message["token"] for message in answer.json["messages"]]


async def receive(bridge: BridgeApp, base: str, **order: Any) -> Answer:
    answer = await bridge.call("POST", f"{base}/receive", order)
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["messages"])
    return answer


async def receive_all(bridge: BridgeApp, base: str) -> list[str]:
    """The tokens of everything there is, in the order it was given."""
    found: list[str] = []
    while more := tokens(await receive(bridge, base, count=100)):
        found += more
    return found
