"""What a topic holds now, from a place on, in the order of the times its messages were taken (shell)."""

import heapq
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.cli.client.messages import SeenMessage
from bridge.cli.client.tries import transfer_tries
from bridge.cli.remote.following import topic_told
from bridge.cli.remote.partition_reading import Span, spans_of

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient

_WAIT_S: Final = 0.1
#: Read ahead of all partitions together, and of one at least.
_AHEAD_BYTES: Final = 16 * 1024 * 1024
_AHEAD_BYTES_MIN: Final = 64 * 1024


async def read_merged(
    client: "BridgeClient", path: str, place: tuple[str, str]
) -> AsyncGenerator[tuple[SeenMessage, bytes]]:
    """Each message with its line; of a partition in its order, of all by their times.

    Args:
        place: the query that says where each partition begins.

    Raises:
        CommandFailed: if it cannot be read, after some tries where trying helps.
    """
    spans = [span for span in spans_of(await topic_told(client, path)) if span.end]
    ahead_bytes = max(_AHEAD_BYTES_MIN, _AHEAD_BYTES // max(1, len(spans)))
    # A bridge has fewer streams to give than a topic may have partitions, so each is read for a while, in turn.
    partitions = [_Partition(client, path, span, place, ahead_bytes) for span in spans]
    heads: list[_Oldest] = []
    for each in partitions:
        await each.put_next(heads)
    while heads:
        head = heapq.heappop(heads)
        yield head.message, head.line
        await head.partition.put_next(heads)


class _Oldest(NamedTuple):
    """The oldest message of a partition that was not given yet; no two of them have the first three alike."""

    timestamp: str
    partition_id: int
    offset: int
    message: SeenMessage
    line: bytes
    partition: "_Partition"


class _Partition:
    """One partition, read ahead."""

    def __init__(
        self, client: "BridgeClient", path: str, span: Span, place: tuple[str, str], ahead_bytes: int
    ) -> None:
        self._client = client
        self._path = path
        self._span = span
        self._place = place
        self._ahead_bytes = ahead_bytes
        self._ahead: deque[tuple[SeenMessage, bytes]] = deque()
        self._is_read = False

    async def put_next(self, heads: "list[_Oldest]") -> None:
        """Its next message goes among *heads*, where there is one."""
        if not self._ahead and not self._is_read:
            async for attempt in transfer_tries(wait_s=_WAIT_S):
                with attempt:
                    await self._read()
        if self._ahead:
            message, line = self._ahead.popleft()
            head = _Oldest(message.timestamp, message.partition_id, message.offset, message, line, self)
            heapq.heappush(heads, head)

    async def _read(self) -> None:
        self._ahead.clear()
        query = (("partition_id", str(self._span.partition_id)), self._place, ("until", str(self._span.end)))
        held_bytes = 0
        async with self._client.messages(self._path, query) as messages:
            async for message, line in messages:
                self._ahead.append((message, line))
                held_bytes += len(line)
                if held_bytes >= self._ahead_bytes:
                    self._place = ("offset", str(message.offset + 1))
                    return
        self._is_read = True
