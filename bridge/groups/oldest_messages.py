"""How long the oldest message of each group has waited (shell): the log is asked only where a group has moved on."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

from bridge.clock import Deadline
from bridge.errors import NotFound
from bridge.flow.timers import some_at_once
from bridge.groups.records import GroupRef
from bridge.limits import GROUP_AGES_READ_MAX, GROUP_READS_AT_ONCE
from bridge.messagelog import FromOffset, MessageLog, TopicRef

#: A partition of a group.
GroupPartitionId: TypeAlias = tuple[GroupRef, int]


class OldestMessages:
    """When the first message that a group has not settled was stored, by partition.

    It stays the first until the group is past it, so it is read once. Where groups have moved on in many partitions, so
    many are read at a look, those never read first, then those read longest ago; until then the time of the one before
    stands, which is earlier.
    """

    def __init__(self, log: MessageLog) -> None:
        self._log = log
        #: Offset and time, in the order of the reads.
        self._known: dict[GroupPartitionId, tuple[int, int]] = {}

    async def look(self, offsets: Mapping[GroupPartitionId, int], *, deadline: Deadline) -> None:
        """Read what is not known of the first unsettled *offsets*; of what is not among them nothing is remembered.

        Raises:
            LogError: if the log did not answer.
        """
        for gone in self._known.keys() - offsets.keys():
            del self._known[gone]
        read_before = {place: number for number, place in enumerate(self._known)}
        moved = [place for place, offset in offsets.items() if self._known.get(place, (-1, 0))[0] != offset]
        moved.sort(key=lambda place: read_before.get(place, -1))

        async def read(place: GroupPartitionId) -> None:
            ref, partition_id = place
            topic, first = TopicRef(ref.stream, ref.topic), FromOffset(offsets[place])
            with suppress(NotFound):
                page = await self._log.read(topic, partition_id, first, count=1, deadline=deadline)
                for message in page.messages:
                    self._known.pop(place, None)
                    self._known[place] = offsets[place], message.timestamp_us

        await some_at_once(read, moved[:GROUP_AGES_READ_MAX], GROUP_READS_AT_ONCE)

    def stored_us(self, ref: GroupRef, partition_ids: tuple[int, ...]) -> int | None:
        """The earliest time in these partitions, of which there is one at least; None where one of them is not known."""
        known = [self._known.get((ref, partition_id)) for partition_id in partition_ids]
        times = [each[1] for each in known if each is not None]
        return min(times) if len(times) == len(known) else None
