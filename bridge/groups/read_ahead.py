"""Messages of a partition, read once for the receivers that come one after the other (shell)."""

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.messagelog import NO_RECORDS, FromOffset, Message, MessageLog, TopicRef

# Nobody is handed what was read longer ago: the topic may have been made anew, with other messages at these offsets.
_FRESH_S: Final = 1.0
# What is read ahead of a partition, where its messages are small.
_AHEAD_BYTES: Final = 256 * 1024
# A first read, which knows nothing of their size.
_FIRST_MESSAGES: Final = 16


class ReadAheadPage(NamedTuple):
    """What a partition holds of the offsets asked for.

    Attributes:
        first_offset: everything before it that was asked for is no longer in the log; None where that is not known.
        end_offset: the next message will be here, as far as this read knew.
    """

    messages: tuple[Message, ...]
    first_offset: int | None
    end_offset: int


class _Window:
    __slots__ = ("end_offset", "forgotten", "from_offset", "read_s", "records", "turn")

    def __init__(self) -> None:
        self.records = NO_RECORDS
        self.from_offset = 0
        self.end_offset = 0
        self.read_s = 0.0
        self.forgotten = 0
        self.turn = asyncio.Lock()


class ReadAhead:
    """Pages of partitions, shared by all groups; never older than a second, within `GROUP_AHEAD_BYTES_MAX`."""

    def __init__(self, log: MessageLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._windows: OrderedDict[tuple[TopicRef, int], _Window] = OrderedDict()

    async def find(
        self, topic: TopicRef, partition_id: int, offsets: Sequence[int], *, deadline: Deadline
    ) -> ReadAheadPage:
        """Those of *offsets* (in order, 1 or more) that one read from the first of them gives.

        Raises:
            NotFound, LogError: as `MessageLog.read`.
        """
        key = topic, partition_id
        window = self._windows.setdefault(key, _Window())
        self._windows.move_to_end(key)
        if not self._covers(window, offsets):
            async with window.turn:
                if not self._covers(window, offsets):
                    await self._read(window, topic, partition_id, offsets, deadline)
            self._shrink()
        records = window.records
        messages = []
        for offset in offsets:
            at = bisect_left(records.offsets, offset)
            if at < len(records) and records.offsets[at] == offset:
                messages.append(records[at])
        return ReadAheadPage(tuple(messages), records.offsets[0] if records else None, window.end_offset)

    def forget(self, topic: TopicRef) -> None:
        """Nothing of *topic* that was read holds any more."""
        for (found, _), window in self._windows.items():
            if found == topic:
                window.read_s = 0.0
                window.forgotten += 1

    def _covers(self, window: _Window, offsets: Sequence[int]) -> bool:
        return (
            len(window.records) > 0
            and self._clock.monotonic_s() - window.read_s < _FRESH_S
            and window.from_offset <= offsets[0] <= window.records.offsets[-1]
        )

    async def _read(
        self, window: _Window, topic: TopicRef, partition_id: int, offsets: Sequence[int], deadline: Deadline
    ) -> None:
        known = len(window.records)
        ahead = _FIRST_MESSAGES
        if known:
            mean_bytes = 1 + window.records.payload_bytes // known
            ahead = min(_AHEAD_BYTES // mean_bytes, limits.GROUP_AHEAD_MESSAGES)
        span = offsets[-1] - offsets[0] + 1
        count = max(ahead, min(span, limits.GROUP_RECEIVE_MESSAGES_MAX))
        while True:
            forgotten, read_s = window.forgotten, self._clock.monotonic_s()
            page = await self._log.read(
                topic, partition_id, FromOffset(offsets[0]), count=count, deadline=deadline
            )
            if forgotten == window.forgotten:
                break
            # The topic began anew while it was read.
        window.records, window.from_offset, window.end_offset = page.messages, offsets[0], page.end_offset
        window.read_s = read_s

    def _shrink(self) -> None:
        windows = self._windows
        weight_bytes = sum(each.records.weight_bytes for each in windows.values())
        while len(windows) > 1 and (
            weight_bytes > limits.GROUP_AHEAD_BYTES_MAX or len(windows) > limits.GROUP_AHEAD_WINDOWS_MAX
        ):
            weight_bytes -= windows.popitem(last=False)[1].records.weight_bytes
