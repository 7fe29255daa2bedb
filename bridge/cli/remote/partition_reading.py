"""What a topic holds, read partition by partition up to where it ends now (shell)."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.cli.client.messages import SeenMessage
from bridge.cli.client.tries import transfer_tries

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient

_WAIT_S: Final = 0.1


class Span(NamedTuple):
    """Messages of a partition: those that are kept of the offsets *begin* up to, not including, *end*."""

    partition_id: int
    begin: int
    end: int


def spans_of(topic: dict[str, Any]) -> list[Span]:
    """What each partition of *topic* holds, as it was told of."""
    return [
        Span(each["id"], 0, each["current_offset"] + 1 if each["messages_count"] else 0)
        for each in topic["partitions"]
    ]


async def end_of(client: "BridgeClient", path: str) -> str:
    """The cursor after all there is in the topic at *path*.

    Raises:
        CommandFailed: if the bridge does not say.
    """
    page = await client.get(f"{path}/messages", (("cursor", "last"), ("count", "1")))
    return str(page["next_cursor"])


async def read_span(
    client: "BridgeClient", path: str, span: Span
) -> AsyncGenerator[tuple[SeenMessage, bytes]]:
    """Each message of *span* with its line, in order; what is cut goes on behind the last one.

    Raises:
        CommandFailed: if it cannot be read, after some tries where trying helps.
    """
    offset = span.begin
    while offset < span.end:
        begin = offset
        async for attempt in transfer_tries(wait_s=_WAIT_S):
            with attempt:
                query = (
                    ("partition_id", str(span.partition_id)),
                    ("offset", str(offset)),
                    ("until", str(span.end)),
                )
                async with client.messages(path, query) as messages:
                    async for message, line in messages:
                        offset = message.offset + 1
                        yield message, line
        if offset == begin:
            # Nothing is left: the newest are gone, or were never there.
            return
