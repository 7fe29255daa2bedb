"""Appends that wait for their batch, and the batch that a log has (pure)."""

import asyncio
import copy
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

import msgspec

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError
from bridge.messagelog import Balanced, NewRecords, OpenBatch, Receipt, ToPartition, TopicRef

QueueKey: TypeAlias = tuple[TopicRef, int | None]
"""A partition of a topic; None: wherever the log puts it next."""

_MESSAGES_OF: Final = attrgetter("messages")
_COUNT_OF: Final = attrgetter("messages_count")
_SIZE_OF: Final = attrgetter("size_bytes")
_AT_S_OF: Final = attrgetter("deadline.at_s")


class PendingAppend(msgspec.Struct, eq=False):
    """One caller's append, until he has his receipt.

    Attributes:
        queue: where it waits; None once it is sealed into a batch or withdrawn.
    """

    queue: "PartitionQueue | None"
    messages: NewRecords
    messages_count: int
    size_bytes: int
    deadline: Deadline
    receipt: asyncio.Future[Receipt]


class Backlog:
    """What all queues hold together, waiting and in flight."""

    __slots__ = ("appends_count", "size_bytes")

    def __init__(self) -> None:
        self.appends_count = 0
        self.size_bytes = 0

    def takes(self, size_bytes: int) -> bool:
        """Whether there is room for one more append of *size_bytes*."""
        return (
            self.appends_count < limits.GATHER_WAITING_MAX
            and self.size_bytes + size_bytes <= limits.GATHER_WAITING_BYTES_MAX
        )

    def remove(self, appends: Sequence[PendingAppend]) -> None:
        self.appends_count -= len(appends)
        self.size_bytes -= sum(map(_SIZE_OF, appends))


class PartitionQueue(OpenBatch):
    """The appends to one partition, or to a topic: a log seals as many of them as fit when it can take them.

    Args:
        backlog: hears of all that come and go.

    Attributes:
        waiting: in the order in which they came.
        batch: what is sealed; empty while nothing is in flight.
        task: what stores the batches; kept here since the event loop does not keep it.
    """

    __slots__ = ("_backlog", "_batch_bytes", "_bytes", "_count", "batch", "key", "placement", "task", "topic", "waiting")  # fmt: skip

    def __init__(self, key: QueueKey, backlog: Backlog) -> None:
        self.key = key
        self.topic, partition_id = key
        self.placement = Balanced() if partition_id is None else ToPartition(partition_id)
        self.waiting: list[PendingAppend] = []
        self.batch: list[PendingAppend] = []
        self.task: asyncio.Task[None] | None = None
        self._backlog = backlog
        # Of what waits: messages, and bytes.
        self._count = 0
        self._bytes = 0
        self._batch_bytes = 0

    def __iter__(self) -> Iterator[PendingAppend]:
        """All of them, in order."""
        yield from self.batch
        yield from self.waiting

    def latest_deadline(self) -> Deadline:
        """Until when somebody waits here; there must be somebody."""
        return max(self.waiting, key=_AT_S_OF).deadline

    def add(self, append: PendingAppend) -> None:
        """*append* waits from now on, behind all others."""
        self.waiting.append(append)
        self._count += append.messages_count
        self._bytes += append.size_bytes
        self._backlog.appends_count += 1
        self._backlog.size_bytes += append.size_bytes

    def withdraw(self, append: PendingAppend) -> None:
        """*append*, which waits here, does so no more."""
        append.queue = None
        self.waiting.remove(append)
        self._count -= append.messages_count
        self._bytes -= append.size_bytes
        self._backlog.remove((append,))

    def finish(self) -> None:
        """Every append of the batch has its answer: the next one may be sealed."""
        self._backlog.remove(self.batch)
        self.batch = []

    @property
    def size_bytes(self) -> int:
        return self._batch_bytes

    def seal(self) -> NewRecords:
        if self.batch:
            raise RuntimeError("a batch was sealed twice")
        waiting = self.waiting
        if not waiting:
            return NewRecords((), b"")
        if self._count <= limits.GATHER_MESSAGES_MAX and self._bytes <= limits.GATHER_BYTES_MAX:
            self.batch, self._batch_bytes = waiting, self._bytes
            self.waiting, self._count, self._bytes = [], 0, 0
        else:
            count = fitting(Weight(append.messages_count, append.size_bytes) for append in waiting)
            self.batch, self.waiting = waiting[:count], waiting[count:]
            self._batch_bytes = sum(map(_SIZE_OF, self.batch))
            self._bytes -= self._batch_bytes
            self._count -= sum(map(_COUNT_OF, self.batch))
        for append in self.batch:
            append.queue = None
        return NewRecords.joined(list(map(_MESSAGES_OF, self.batch)))

    def reopen(self) -> None:
        """Who still waits for the batch waits here again, before all others."""
        if not self.batch:
            raise RuntimeError("a batch was reopened that is not sealed")
        batch, self.batch = self.batch, []
        staying = [append for append in batch if not append.receipt.done()]
        for append in staying:
            append.queue = self
            self._count += append.messages_count
            self._bytes += append.size_bytes
        self.waiting = staying + self.waiting
        # Their callers have gone, or were told that nobody knows.
        self._backlog.remove([append for append in batch if append.receipt.done()])


class Weight(NamedTuple):
    """What one append weighs: both 1 or more."""

    messages_count: int
    size_bytes: int


def fitting(waiting: Iterable[Weight]) -> int:
    """How many of *waiting*, from the front, go into one batch: as many as fit the bounds, and the first in any case.

    Appends are never divided, so one that is larger than the bounds goes alone; none overtakes another.
    """
    count = messages_count = size_bytes = 0
    for weight in waiting:
        messages_count += weight.messages_count
        size_bytes += weight.size_bytes
        if count and (messages_count > limits.GATHER_MESSAGES_MAX or size_bytes > limits.GATHER_BYTES_MAX):
            break
        count += 1
    return count


def receipts(receipt: Receipt, messages_counts: Iterable[int]) -> Iterator[Receipt]:
    """The receipt of each append of a batch, in order; *receipt* covers the sum of *messages_counts*."""
    partition_id, offset, durability = receipt.partition_id, receipt.offset, receipt.durability
    for messages_count in messages_counts:
        yield Receipt(partition_id, offset, messages_count, durability)
        if offset is not None:
            offset += messages_count


def fail(appends: Iterable[PendingAppend], error: BridgeError) -> None:
    """Tell *error* to all of *appends* that have no answer yet."""
    for append in appends:
        if not append.receipt.done():
            # Each caller raises its own: a shared one would grow a traceback for every caller.
            append.receipt.set_exception(copy.copy(error))
