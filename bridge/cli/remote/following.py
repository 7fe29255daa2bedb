"""A topic read live (shell): from any place on, going on by itself after a cut, nothing lost and nothing twice."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import SeenMessage
from bridge.cli.client.requests import Request
from bridge.cli.remote.rendering import Output

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient


_RETRY_S: Final = 1.0
_RETRY_S_MAX: Final = 15.0


class ServerEvent(NamedTuple):
    """One event.

    Attributes:
        name: empty for a message.
        id: where a reader that has it goes on; empty where it was never told.
    """

    name: str
    id: str
    data: bytes


async def server_events(lines: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """The events that *lines* spell (WHATWG HTML, section 9.2), each as soon as its blank line is there; one that is cut is let go."""
    name, last_id = "", ""
    data: list[bytes] = []
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(name, last_id, b"\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"id":
            last_id = value.decode(errors="replace")


class ReadStart(NamedTuple):
    """Where a reader begins: at `from` (first, last, a time) or at a cursor.

    Attributes:
        event_types: only events of these; all messages if empty.
    """

    parameters: tuple[tuple[str, str], ...]
    event_types: Sequence[str] = ()

    def request(self, path: str, last_id: str) -> Request:
        """The stream, gone on with behind *last_id* where there is one."""
        query = self.parameters + tuple(("event_type", each) for each in self.event_types)
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        return Request("GET", f"{path}/messages/stream", query, None, headers, again=True)


async def follow(client: "BridgeClient", path: str, start: ReadStart, out: Output) -> AsyncGenerator[bytes]:
    """Each message as its JSON, for good; after a cut it goes on by itself, and says so on stderr.

    Raises:
        CommandFailed: if the first connection fails, or a later one is refused for good.
    """
    last_id, wait_s, began, told = "", _RETRY_S, False, False
    while True:
        try:
            async with client.lines(start.request(path, last_id)) as lines:
                if told:
                    out.note("bridge: connected again.")
                began, told, wait_s = True, False, _RETRY_S
                async for event in server_events(lines):
                    last_id = event.id or last_id
                    if not event.name:
                        yield event.data
                    else:
                        wait_s = _told(event, out) or wait_s
            broken = "The stream ended."
        except CommandFailed as failure:
            if not began or not failure.retryable:
                raise
            broken = failure.message
        if not told:
            out.note(f"bridge: {broken} Going on as soon as it is there again.")
            told = True
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 (to spread, not to hide)
        wait_s = min(wait_s * 2, _RETRY_S_MAX)


def _told(event: ServerEvent, out: Output) -> float:
    """What an event beside the messages says; how long to wait before the next connection, 0 for no matter."""
    told = orjson.loads(event.data)
    if event.name == "gap":
        out.note(
            f"bridge: messages {told['from_offset']} up to {told['to_offset']} of partition {told['partition_id']}"
            " are no longer there."
        )
    if event.name == "bye" and told["reason"] == "gone":
        raise CommandFailed("The topic was deleted.", ExitCode.NOT_FOUND)
    return float(told.get("retry_ms", 0)) / 1000 if event.name in {"bye", "open"} else 0.0


async def topic_told(client: "BridgeClient", path: str) -> dict[str, Any]:
    """The topic at *path*, the default topic too, as the bridge tells of it.

    Raises:
        CommandFailed: if there is no such topic.
    """
    if not path:
        request = ReadStart((("from", "last"),)).request("", "")
        async with client.lines(request) as lines:
            async for event in server_events(lines):
                named = orjson.loads(event.data)
                path = f"/streams/{named['stream']}/topics/{named['topic']}"
                break
    topic: dict[str, Any] = await client.get(path)
    return topic


async def partition_ids(client: "BridgeClient", path: str) -> list[int]:
    """The partitions of the topic at *path*, of the default topic too.

    Raises:
        CommandFailed: if there is no such topic.
    """
    return [partition["id"] for partition in (await topic_told(client, path))["partitions"]]


async def newest(client: "BridgeClient", path: str, count: int) -> list[tuple[SeenMessage, bytes]]:
    """The newest messages of a topic with their lines, *count* at most, in the order of the times they were taken.

    Raises:
        CommandFailed: if they cannot be read.
    """
    found: list[tuple[SeenMessage, bytes]] = []
    for partition_id in await partition_ids(client, path):
        query = (("partition_id", str(partition_id)), ("from", "last"), ("count", str(count)))
        async with client.messages(path, query) as messages:
            found += [each async for each in messages]
    found.sort(key=lambda each: (each[0].timestamp, each[0].partition_id, each[0].offset))
    return found[-count:]
