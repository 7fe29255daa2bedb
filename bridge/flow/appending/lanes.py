"""Appends that wait for their turn, and those that are in flight (pure)."""

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from bridge import limits
from bridge.clock import Deadline
from bridge.flow.appending.batches import Weight, taken
from bridge.messagelog import Balanced, NewMessage, Outgoing, Receipt, ToPartition, TopicRef, in_a_row

__all__ = ("Departure", "Entry", "Lane", "Place", "latest_deadline", "messages_of")

Place = tuple[TopicRef, int | None]
"""A partition of a topic; None: wherever the log puts it next."""

_MESSAGES_OF: Final = attrgetter("messages")
_COUNT_OF: Final = attrgetter("messages_count")
_AT_S_OF: Final = attrgetter("deadline.at_s")


class Entry(msgspec.Struct, eq=False):
    """
    One caller's append.

    Attributes:
        lane: where it waits; None once it was handed to the log or taken out.
    """

    lane: "Lane | None"
    messages: Sequence[NewMessage]
    messages_count: int
    size_bytes: int
    deadline: Deadline
    receipt: asyncio.Future[Receipt]


class Lane:
    """
    A place that is being written; there is none for a place where nothing waits.

    Attributes:
        messages_count: of what waits, as is *size_bytes*.
        storing: the batch that is in flight, of *storing_bytes*.
    """

    __slots__ = (
        "messages_count",
        "place",
        "placement",
        "size_bytes",
        "storing",
        "storing_bytes",
        "topic",
        "waiting",
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        self.topic, partition_id = place
        self.placement = Balanced() if partition_id is None else ToPartition(partition_id)
        self.waiting: list[Entry] = []
        self.messages_count = 0
        self.size_bytes = 0
        self.storing: list[Entry] = []
        self.storing_bytes = 0

    def join(self, entry: Entry) -> None:
        """*entry* waits from now on, behind those that do."""
        self.waiting.append(entry)
        self.messages_count += entry.messages_count
        self.size_bytes += entry.size_bytes

    def leave(self, entry: Entry) -> None:
        """*entry*, which waits here, does so no more."""
        entry.lane = None
        self.waiting.remove(entry)
        self.messages_count -= entry.messages_count
        self.size_bytes -= entry.size_bytes

    def take(self) -> None:
        """What waits goes into the batch, in order and as much as fits."""
        waiting = self.waiting
        if self.messages_count <= limits.GATHER_MESSAGES_MAX and self.size_bytes <= limits.GATHER_BYTES_MAX:
            self.storing, self.storing_bytes = waiting, self.size_bytes
            self.waiting, self.messages_count, self.size_bytes = [], 0, 0
        else:
            count = taken(Weight(entry.messages_count, entry.size_bytes) for entry in waiting)
            self.storing, self.waiting = waiting[:count], waiting[count:]
            self.storing_bytes = sum(entry.size_bytes for entry in self.storing)
            self.size_bytes -= self.storing_bytes
            self.messages_count -= sum(map(_COUNT_OF, self.storing))
        for entry in self.storing:
            entry.lane = None

    def put_back(self) -> list[Entry]:
        """
        The batch was surely not written: who still waits for it waits here again, before all others.

        Returns:
            those whose callers have gone, or were told that nobody knows.
        """
        batch, self.storing, self.storing_bytes = self.storing, [], 0
        staying = [entry for entry in batch if not entry.receipt.done()]
        for entry in staying:
            entry.lane = self
            self.messages_count += entry.messages_count
            self.size_bytes += entry.size_bytes
        self.waiting = staying + self.waiting
        return [entry for entry in batch if entry.receipt.done()]


class Departure(Outgoing):
    """
    What waits in a lane, as it is when it leaves.

    Args:
        forget: told of entries that `Lane.put_back` gave.
    """

    __slots__ = ("_forget", "_lane")

    def __init__(self, lane: Lane, forget: Callable[[list[Entry]], None]) -> None:
        self._lane = lane
        self._forget = forget

    def leave(self) -> Sequence[NewMessage]:
        self._lane.take()
        return messages_of(self._lane.storing) if self._lane.storing else ()

    def stay(self) -> None:
        self._forget(self._lane.put_back())


def messages_of(batch: Sequence[Entry]) -> Sequence[NewMessage]:
    """All messages of *batch*, in order."""
    return in_a_row(list(map(_MESSAGES_OF, batch)))


def latest_deadline(batch: Sequence[Entry]) -> Deadline:
    """Until when somebody waits for *batch*."""
    return max(batch, key=_AT_S_OF).deadline
