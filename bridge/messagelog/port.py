"""What any log behind the bridge must promise (pure)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from bridge.clock import Deadline
from bridge.messagelog.records import NewRecords, Page
from bridge.messagelog.values import (
    ConsumerKey,
    Durability,
    LogHealth,
    LogTotals,
    NewMessage,
    Placement,
    Position,
    Receipt,
    Retention,
    StoredOffset,
    StreamInfo,
    TopicInfo,
    TopicRef,
)


class Appender(Protocol):
    """The write half of a `MessageLog`, gathered or direct."""

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`."""


class OpenBatch(ABC):
    """Messages of several callers. Until the batch is sealed callers may withdraw theirs, and others may add some.

    A log seals the batch when it can hand it over: it has its connection and its turn. So nobody is told "unknown" about
    a message that never left.
    """

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """What `check_append` gives for the messages that `seal` returned last."""

    @abstractmethod
    def seal(self) -> NewRecords:
        """Close the batch and return its messages, which the log hands over right after.

        Each message is within the bounds of `check_append`, and so are all together. Empty if nobody waits any more: then
        there is nothing to do. Called once for each try.

        Raises:
            RuntimeError: if the batch is sealed already.
        """

    @abstractmethod
    def reopen(self) -> None:
        """Take the messages back: surely none was written, and the log will try again.

        Raises:
            RuntimeError: if the batch is not sealed.
        """


Messages: TypeAlias = Sequence[NewMessage] | OpenBatch
"""What an append takes."""


def sealed(messages: Messages) -> NewRecords:
    """The messages, at the moment when they are handed over."""
    return messages.seal() if isinstance(messages, OpenBatch) else NewRecords.of(messages)


class MessageLog(Protocol):
    """An append-only log of streams, topics and partitions.

    Names are taken as valid (`policy.names`). Every method ends by its deadline. Besides what is said at each,
    every method raises:

    Raises:
        Disconnected, ConnectionFailed: the log could not be reached before the deadline.
        ConnectionReset: the connection broke during the request; a read may be repeated, a write says its outcome.
        CircuitOpen: the log failed repeatedly and is left alone for a while; nothing was sent.
        Overloaded: too much is waiting; nothing was sent.
        DeadlineExceeded: the time is up; a write says its outcome.
        StreamError, TopicError, SendError, PollError: what the adapter cannot explain.
    """

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        """Make a stream; durable on return.

        Raises:
            AlreadyExists: if there is one of that name.
        """

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        """All streams, by name."""

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        """One stream.

        Raises:
            StreamNotFound: if there is none of that name.
        """

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        """Remove a stream with its topics, messages and stored offsets; durable on return.

        Raises:
            StreamNotFound: if there is none of that name.
        """

    async def create_topic(
        self,
        topic: TopicRef,
        *,
        partitions_count: int,
        durability: Durability | None = None,
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        deadline: Deadline,
    ) -> TopicInfo:
        """Make a topic of 1..1000 partitions; durable on return.

        Args:
            durability: None takes the configured one. The embedded log always syncs and says so.

        Raises:
            StreamNotFound: if the stream is missing.
            AlreadyExists: if there is a topic of that name.
        """

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        """All topics of a stream, by name.

        Raises:
            StreamNotFound: if the stream is missing.
        """

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        """One topic with its partitions.

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        """Remove a topic with its messages and stored offsets; durable on return.

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """

    async def purge_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        """Remove all messages and all stored offsets of a topic; the topic itself stays. Durable on return.

        Afterwards each partition is as it was when the topic was made: empty, `end_offset` 0: the next message gets
        that. So an offset that a reader kept may come to name another message, or none yet; what was appended
        after the return is never removed. An append at the same time is removed or stays, whole; a read at the same
        time sees the partition as it was before or as it is after. (Measured: Iggy itself answers before it has emptied
        the partitions, and lost what was appended in between; its adapter waits.)

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """

    async def update_retention(
        self, topic: TopicRef, retention: Retention, *, deadline: Deadline
    ) -> TopicInfo:
        """Put *retention* in the place of the topic's own, as a whole; durable on return.

        What may be removed by it goes some time later, not before the return. Iggy removes whole sealed segments,
        whose size was fixed when the topic was made: a size below that is raised to it, as the answer tells.

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
        """

    async def add_partitions(self, topic: TopicRef, count: int, *, deadline: Deadline) -> TopicInfo:
        """Give a topic *count* more partitions, empty ones with the ids that follow; durable on return.

        Messages and stored offsets stay where they are. New messages of a key go to another partition than its old
        ones, unless chance has it: `partition_of_key` depends on the number of partitions, so the order of a key holds
        before and after, not across. This bridge places by the new number from its return on; another bridge on the
        same Iggy within `TOPIC_CACHE_TTL_S`, until then it takes the old partitions.

        Args:
            count: 1 or more, so that the topic has at most `PARTITIONS_MAX` (two additions at the same moment by two
                bridges on one Iggy may pass that).

        Raises:
            StreamNotFound, TopicNotFound: if it is missing.
            BadRequest: if the topic would have too many; nothing was added.
        """

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        """How many partitions there are, from a short-lived cache where the log has one.

        Raises:
            StreamNotFound, TopicNotFound: if the topic is missing.
        """

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        """Store messages, all or none, one after the other in one partition, at the topic's durability on return.

        Two appends to one partition of which the first returned before the second was called are stored in that
        order. Cancelling the caller does not take the messages back.

        Args:
            messages: 1 or more, at most `APPEND_BYTES_MAX` bytes in all; or what gives them when they can leave.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if it is missing; nothing was written.
            PayloadTooLarge: if one message or all together are too large; nothing was written.
            BadRequest: if there is no message, or a payload, id or header is out of bounds; nothing was written.
            LogError: any other, with its `outcome` set.
        """

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        """Read up to *count* messages of one partition in order of offset; moves no stored offset.

        A page holds at least one message where there is one, and stops before it grows past `PAGE_BYTES_MAX`.

        Args:
            count: 1..`PAGE_MESSAGES_MAX`.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if it is missing.
        """

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        """The consumer's stored offset, None where there is none.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if it is missing.
        """

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        """Store the offset of the last message consumed, forwards or backwards; durable as the topic is.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if it is missing.
            BadRequest: if *offset* is beyond the newest message.
        """

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        """Forget the consumer's stored offset; it is no fault if there is none.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if it is missing.
        """

    async def close(self) -> None:
        """Finish what was accepted, let go of files and connections; called once, last."""


class HealthProbe(Protocol):
    """What probes ask; separate from `MessageLog` because it must never wait."""

    def health(self) -> LogHealth:
        """What is known right now, without I/O."""

    async def probe(self, *, deadline: Deadline) -> None:
        """Ask the log itself, so that a dead connection is found before a request finds it.

        Raises:
            LogError: if it does not answer.
        """


class StatsSource(Protocol):
    """Totals over the whole log; too dear for every request, so a background task asks."""

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        """Counts over all streams."""


StoredListener: TypeAlias = Callable[[TopicRef, int, int | None], None]
"""Called with a topic, a partition, and the offset after what was stored; None where the log did not say."""


class StoredNews:
    """Made before the log and those who listen, and known to both."""

    def __init__(self) -> None:
        self._listeners: tuple[StoredListener, ...] = ()

    def listen(self, listener: StoredListener) -> None:
        """Tell *listener* from now on; it must neither wait nor raise."""
        self._listeners = (*self._listeners, listener)

    def stored(self, topic: TopicRef, receipt: Receipt) -> None:
        """Messages were acknowledged."""
        offset = receipt.offset
        next_offset = None if offset is None else offset + receipt.messages_count
        for listener in self._listeners:
            listener(topic, receipt.partition_id, next_offset)
