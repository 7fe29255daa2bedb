"""Appends to partitions on an Iggy server: the write half of `IggyMessageLog` (shell)."""

from collections.abc import Callable, Sequence

import xxhash

from bridge.clock import Clock, Deadline
from bridge.errors import BridgeError, NotFound, TopicNotFound
from bridge.iggy.administration import IggyAdministration
from bridge.iggy.catalogue import check_names
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation
from bridge.iggy.line import Line
from bridge.iggy.pool import Lane
from bridge.iggy.quick_writes import QuickWrites, Written
from bridge.iggy.send_requests import SEND, base_offset, send_request
from bridge.iggy.topics import KnownTopic
from bridge.messagelog import (
    Balanced,
    ByKey,
    Durability,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
    payload_bytes_of,
)
from bridge.messagelog.bounds import check_append, check_placement
from bridge.messagelog.ready import Ending
from bridge.telemetry.port import LogObserver

__all__ = ("IggyAppending",)


class IggyAppending(IggyAdministration):
    """Streams, topics, and what is put into them."""

    def __init__(
        self, connection: IggyConnection, *, durability: Durability, clock: Clock, observer: LogObserver
    ) -> None:
        super().__init__(connection, durability=durability, clock=clock)
        self._observer = observer
        self._quick_writes = QuickWrites(connection, self._session)

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        check_names(*topic)
        check_append(messages)
        check_placement(placement)
        partition_id = 0
        try:
            known = await self.known(topic, deadline=deadline, write=True)
            partition_id = _partition(placement, known)
            body = send_request(topic, partition_id, messages, self._clock.now_us())
            begun_s = self._clock.monotonic_s()
            reply = await self._session.call(
                self._send_lane(topic, partition_id),
                lambda line: line.send_binary_request(SEND, body),
                Operation.SEND,
                write=True,
                deadline=deadline,
            )
        except NotFound as error:
            self._observer.append_failed(*topic, code=error.code)
            self.forget(topic)
            if type(error) is not NotFound:
                raise
            await self.name_missing(topic, partition_id, deadline=deadline)
            # It is there again: deleted and made anew in between.
            raise TopicNotFound from None
        except BridgeError as error:
            self._observer.append_failed(*topic, code=error.code)
            raise
        self._observer.appended(
            *topic,
            messages=len(messages),
            payload_bytes=payload_bytes_of(messages),
            seconds=self._clock.monotonic_s() - begun_s,
        )
        return Receipt(partition_id, base_offset(reply), len(messages), known.durability)

    def begin_append(
        self,
        topic: TopicRef,
        placement: Balanced | ToPartition,
        messages: Sequence[NewMessage],
        *,
        size_bytes: int,  # noqa: ARG002 (for logs that bound what waits)
        deadline: Deadline,
        ended: Callable[[Ending], None],
    ) -> bool:
        """As `ReadyLog.begin_append`."""
        begun_s = self._clock.monotonic_s()
        known = self._topics.get(topic, begun_s)
        if known is None:
            return False
        # The turn is taken only by what is begun: what goes to `append` instead takes it there.
        partition_id = (
            placement.partition_id if isinstance(placement, ToPartition) else known.partition_of_turn
        )
        lane = self._send_lane(topic, partition_id)
        if not self._quick_writes.ready(lane):
            return False
        try:
            body = send_request(topic, partition_id, messages, self._clock.now_us())
        except BridgeError:
            return False

        def written(answer: Written) -> None:
            if answer is None:
                ended(None)
            elif isinstance(answer, BridgeError):
                self._observer.append_failed(*topic, code=answer.code)
                ended(answer)
            else:
                self._observer.appended(
                    *topic,
                    messages=len(messages),
                    payload_bytes=payload_bytes_of(messages),
                    seconds=self._clock.monotonic_s() - begun_s,
                )
                ended(Receipt(partition_id, base_offset(answer), len(messages), known.durability))

        if not self._quick_writes.begin(lane, SEND, body, Operation.SEND, deadline=deadline, ended=written):
            return False
        if isinstance(placement, Balanced):
            known.next_partition()
        return True

    def partitions_now(self, topic: TopicRef) -> int | None:
        """As `ReadyLog.partitions_now`."""
        known = self._topics.get(topic, self._clock.monotonic_s())
        return None if known is None else known.partitions_count

    def _send_lane(self, topic: TopicRef, partition_id: int) -> Lane[Line]:
        """Always the same for one partition, so that its order is that of acceptance."""
        place = f"{topic.stream}\0{topic.topic}\0{partition_id}"
        lanes = self._connection.send_lanes
        return lanes[xxhash.xxh32_intdigest(place.encode()) % len(lanes)]


def _partition(placement: Placement, known: KnownTopic) -> int:
    match placement:
        case ToPartition(partition_id):
            return partition_id
        case ByKey(key):
            return partition_of_key(key, known.partitions_count)
        case Balanced():
            return known.next_partition()
