"""Appends to partitions on an Iggy server (shell)."""

from collections.abc import Awaitable
from dataclasses import dataclass

import xxhash
from apache_iggy import IggyClient

from bridge.clock import Clock, Deadline
from bridge.errors import DeadlineExceeded, LogError, NotFound, Outcome, SendError, TopicNotFound
from bridge.iggy.catalogue import TopicCatalogue, check_names
from bridge.iggy.faults import Operation, Telling
from bridge.iggy.pool import Lane
from bridge.iggy.send_requests import SEND, base_offset, send_request
from bridge.iggy.sent_events import SentEvents
from bridge.iggy.session import IggySession
from bridge.iggy.topics import KnownTopic
from bridge.messagelog import (
    Balanced,
    ByKey,
    Messages,
    NewRecords,
    OpenBatch,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
    sealed,
)
from bridge.messagelog.bounds import check_append, check_placement
from bridge.telemetry.exemplars import traced_batch
from bridge.telemetry.metrics import LogMetrics


@dataclass(eq=False)
class Sender:
    """`MessageLog.append`."""

    session: IggySession
    catalogue: TopicCatalogue
    sent_events: SentEvents
    clock: Clock
    observer: LogMetrics

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        check_names(*topic)
        if not isinstance(messages, OpenBatch):
            messages = NewRecords.of(messages)
            check_append(messages)
        check_placement(placement)
        try:
            return await self._append(topic, placement, messages, deadline)
        except LogError as error:
            self.observer.append_failures.add(error.code)
            raise

    async def _append(
        self, topic: TopicRef, placement: Placement, messages: Messages, deadline: Deadline
    ) -> Receipt:
        with Telling(Outcome.NOT_WRITTEN):
            known = await self.catalogue.known(topic, deadline=deadline)
        partition_id = _partition(placement, known)
        sent = NewRecords((), b"")
        hashes = b""

        def send(client: IggyClient) -> Awaitable[bytes]:
            nonlocal sent, hashes
            sent = sealed(messages)
            if not sent:
                raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
            # Names, not numbers, and the partition named: what the SDK would do with a batch of its own making.
            call = client.send_binary_request(
                SEND, send_request(topic, partition_id, sent, self.clock.now_us())
            )
            # The server has its work: until it answers there is time.
            hashes = self.sent_events.hashes(sent)
            return call

        begun_s = self.clock.monotonic_s()
        try:
            reply = await self.session.call(
                self._lane(topic, partition_id),
                send,
                Operation.SEND,
                write=True,
                deadline=deadline,
                not_done=messages.reopen if isinstance(messages, OpenBatch) else None,
            )
        except NotFound as error:
            self.catalogue.forget(topic)
            if type(error) is not NotFound:
                raise
            with Telling(Outcome.NOT_WRITTEN):
                await self.catalogue.name_missing(topic, partition_id, deadline=deadline)
            # It is there again: deleted and made anew in between.
            raise TopicNotFound from None
        offset = base_offset(reply)
        if offset is None:
            # The server took it for a repetition of a request that it knows: what it has stored, if anything, is not
            # known. (SDK 0.9.0, `send_messages.rs`: an empty success is a request classified as a duplicate.)
            raise SendError(outcome=Outcome.UNKNOWN)
        self.sent_events.add(topic, partition_id, offset, hashes)
        self.observer.appended(
            *topic,
            messages=len(sent),
            payload_bytes=sent.payload_bytes,
            seconds=self.clock.monotonic_s() - begun_s,
            traced=traced_batch(sent.headers, self.clock),
        )
        return Receipt(partition_id, offset, len(sent), known.durability)

    def _lane(self, topic: TopicRef, partition_id: int) -> Lane:
        """Always the same for one partition, so that its order is that of acceptance."""
        path = f"{topic.stream}\0{topic.topic}\0{partition_id}"
        lanes = self.session.send_lanes
        return lanes[xxhash.xxh32_intdigest(path.encode()) % len(lanes)]


def _partition(placement: Placement, known: KnownTopic) -> int:
    match placement:
        case ToPartition(partition_id):
            return partition_id
        case ByKey(key):
            return partition_of_key(key, known.partitions_count)
        case Balanced():
            return known.next_partition()
