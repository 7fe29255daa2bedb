"""The embedded log does what a few dicts and lists do, whatever is asked of it in whatever order."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.errors import AlreadyExists, BadRequest, BridgeError, StreamNotFound, TopicNotFound
from bridge.locallog import LocalMessageLog
from bridge.messagelog import (
    Balanced,
    ByKey,
    ConsumerKey,
    First,
    FromOffset,
    FromTimestamp,
    Last,
    LogTotals,
    NewMessage,
    Next,
    Placement,
    Position,
    Receipt,
    Retention,
    StoredOffset,
    StreamInfo,
    ToPartition,
    TopicInfo,
    TopicRef,
    partition_of_key,
)
from tests.support.clock import FakeClock
from tests.support.local_logs import open_log, soon

T = TypeVar("T")
PARTITIONS = 2
AGE_S = 100
STREAMS = st.sampled_from(["a", "b"])
REFS = st.one_of(st.just(TopicRef("a", "t")), st.builds(TopicRef, STREAMS, st.sampled_from(["t", "u"])))
RARELY = st.integers(0, 7).map(lambda number: number == 7)
PARTITION_IDS = st.integers(0, PARTITIONS - 1)
CONSUMERS: st.SearchStrategy[ConsumerKey] = st.sampled_from([1, "1", "name"])
PLACEMENTS: st.SearchStrategy[Placement] = st.one_of(
    st.builds(ToPartition, PARTITION_IDS),
    st.builds(ByKey, st.binary(min_size=1, max_size=3)),
    st.just(Balanced()),
)


class Partition:
    def __init__(self) -> None:
        self.first = 0
        self.messages: list[tuple[int, int, bytes]] = []
        self.next = 0
        self.offsets: dict[ConsumerKey, int] = {}


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model: dict[str, dict[str, list[Partition]]] = {}
        self.log: LocalMessageLog

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def outcome(self, work: Coroutine[Any, Any, T]) -> T | type[BridgeError]:
        try:
            return self.run(work)
        except BridgeError as error:
            return type(error)

    def missing(self, ref: TopicRef) -> type[BridgeError] | None:
        if ref.stream not in self.model:
            return StreamNotFound
        return None if ref.topic in self.model[ref.stream] else TopicNotFound

    @initialize()
    def begin(self) -> None:
        self.open()
        self.create_stream("a")
        self.create_topic(TopicRef("a", "t"))

    def open(self) -> None:
        self.log = self.run(open_log(Path(self.directory.name), clock=self.clock))

    def teardown(self) -> None:
        self.run(self.log.close())
        self.runner.close()
        self.directory.cleanup()

    @rule()
    def reopen(self) -> None:
        self.run(self.log.close())
        self.open()

    @rule(name=STREAMS)
    def create_stream(self, name: str) -> None:
        result = self.outcome(self.log.create_stream(name, deadline=soon()))
        if name in self.model:
            assert result is AlreadyExists
        else:
            assert isinstance(result, StreamInfo)
            self.model[name] = {}

    @rule(name=STREAMS, rarely=RARELY)
    def delete_stream(self, name: str, rarely: bool) -> None:
        if not rarely:
            return
        result = self.outcome(self.log.delete_stream(name, deadline=soon()))
        assert result is (None if self.model.pop(name, None) is not None else StreamNotFound)

    @rule(ref=REFS)
    def create_topic(self, ref: TopicRef) -> None:
        expected = self.missing(ref)
        work = self.log.create_topic(
            ref, partitions_count=PARTITIONS, retention=Retention(age_s=AGE_S), deadline=soon()
        )
        result = self.outcome(work)
        if expected is TopicNotFound:
            assert isinstance(result, TopicInfo)
            self.model[ref.stream][ref.topic] = [Partition() for _ in range(PARTITIONS)]
        else:
            assert result is (expected or AlreadyExists)

    @rule(ref=REFS, rarely=RARELY)
    def delete_topic(self, ref: TopicRef, rarely: bool) -> None:
        if not rarely:
            return
        expected = self.missing(ref)
        assert self.outcome(self.log.delete_topic(ref, deadline=soon())) is expected
        if expected is None:
            del self.model[ref.stream][ref.topic]

    @rule(ref=REFS, rarely=RARELY)
    def purge_topic(self, ref: TopicRef, rarely: bool) -> None:
        if not rarely:
            return
        expected = self.missing(ref)
        assert self.outcome(self.log.purge_topic(ref, deadline=soon())) is expected
        if expected is None:
            partitions = self.model[ref.stream][ref.topic]
            partitions[:] = [Partition() for _ in partitions]

    @rule(ref=REFS, rarely=RARELY, count=st.integers(0, 2))
    def add_partitions(self, ref: TopicRef, rarely: bool, count: int) -> None:
        if not rarely:
            return
        expected = self.missing(ref)
        result = self.outcome(self.log.add_partitions(ref, count, deadline=soon()))
        if expected is not None:
            assert result is expected
        elif not count:
            assert result is BadRequest
        else:
            assert isinstance(result, TopicInfo)
            self.model[ref.stream][ref.topic] += [Partition() for _ in range(count)]

    @rule(
        ref=REFS,
        placement=PLACEMENTS,
        payloads=st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=200),
        step_s=st.integers(-10, 60),
    )
    def append(self, ref: TopicRef, placement: Placement, payloads: list[bytes], step_s: int) -> None:
        self.clock.advance(step_s)
        expected = self.missing(ref)
        batch = [NewMessage(payload=payload) for payload in payloads]
        result = self.outcome(self.log.append(ref, placement, batch, deadline=soon()))
        if expected is not None:
            assert result is expected
            return
        assert isinstance(result, Receipt)
        if isinstance(placement, ToPartition):
            assert result.partition_id == placement.partition_id
        if isinstance(placement, ByKey):
            count = len(self.model[ref.stream][ref.topic])
            assert result.partition_id == partition_of_key(placement.key, count)
        partition = self.model[ref.stream][ref.topic][result.partition_id]
        assert (result.offset, result.messages_count) == (partition.next, len(payloads))
        taken_us = max(self.clock.now_us(), partition.messages[-1][1] if partition.messages else 0)
        if not partition.messages and partition.next:
            taken_us = self.read(ref, result.partition_id, Last(), 1)[0][1]
        for payload in payloads:
            partition.messages.append((partition.next, taken_us, payload))
            partition.next += 1

    def read(
        self, ref: TopicRef, partition_id: int, position: Position, count: int
    ) -> list[tuple[int, int, bytes]]:
        page = self.run(self.log.read(ref, partition_id, position, count=count, deadline=soon()))
        return [(message.offset, message.timestamp_us, message.payload) for message in page.messages]

    def places(self) -> list[tuple[TopicRef, int, Partition]]:
        return [
            (TopicRef(stream, topic), partition_id, partition)
            for stream, topics in self.model.items()
            for topic, partitions in topics.items()
            for partition_id, partition in enumerate(partitions)
        ]

    @precondition(lambda self: self.places())
    @rule(data=st.data(), count=st.integers(1, 300))
    def read_from_everywhere(self, data: st.DataObject, count: int) -> None:
        ref, partition_id, partition = data.draw(st.sampled_from(self.places()))
        kept = partition.messages
        start = data.draw(st.integers(0, partition.next + 1))
        time_us = self.clock.now_us() - data.draw(st.integers(-1, 200)) * 1_000_000
        consumer = data.draw(CONSUMERS)
        after = partition.offsets.get(consumer, -1)
        assert self.read(ref, partition_id, First(), count) == kept[:count]
        assert self.read(ref, partition_id, Last(), count) == kept[-count:]
        assert (
            self.read(ref, partition_id, FromOffset(start), count)
            == [m for m in kept if m[0] >= start][:count]
        )
        assert (
            self.read(ref, partition_id, Next(consumer), count) == [m for m in kept if m[0] > after][:count]
        )
        since = [m for m in kept if m[1] >= time_us]
        assert self.read(ref, partition_id, FromTimestamp(time_us), count) == since[:count]

    @precondition(lambda self: self.places())
    @rule(data=st.data(), consumer=CONSUMERS)
    def store_offset(self, data: st.DataObject, consumer: ConsumerKey) -> None:
        ref, partition_id, partition = data.draw(st.sampled_from(self.places()))
        offset = data.draw(st.integers(0, partition.next + 1))
        result = self.outcome(self.log.store_offset(ref, partition_id, consumer, offset, deadline=soon()))
        if offset < partition.next:
            assert result is None
            partition.offsets[consumer] = offset
        else:
            assert result is BadRequest

    @precondition(lambda self: self.places())
    @rule(data=st.data(), consumer=CONSUMERS)
    def delete_offset(self, data: st.DataObject, consumer: ConsumerKey) -> None:
        ref, partition_id, partition = data.draw(st.sampled_from(self.places()))
        self.run(self.log.delete_offset(ref, partition_id, consumer, deadline=soon()))
        partition.offsets.pop(consumer, None)

    @rule()
    def retain(self) -> None:
        self.run(self.log.retain())
        cutoff_us = self.clock.now_us() - AGE_S * 1_000_000
        for _, _, partition in self.places():
            partition.messages = [message for message in partition.messages if message[1] >= cutoff_us]

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        totals = self.run(self.log.totals(deadline=soon()))
        assert totals == LogTotals(
            streams_count=len(self.model),
            topics_count=sum(map(len, self.model.values())),
            messages_count=sum(len(partition.messages) for _, _, partition in self.places()),
            size_bytes=totals.size_bytes,
        )
        assert (totals.size_bytes > 0) == (totals.messages_count > 0)
        assert [stream.name for stream in self.run(self.log.streams(deadline=soon()))] == sorted(self.model)
        for name, topics in self.model.items():
            assert self.run(self.log.stream(name, deadline=soon())).topics_count == len(topics)
            assert [topic.name for topic in self.run(self.log.topics(name, deadline=soon()))] == sorted(
                topics
            )
        for ref, partition_id, partition in self.places():
            info = self.run(self.log.topic(ref, deadline=soon())).partitions[partition_id]
            assert (info.messages_count, info.end_offset) == (len(partition.messages), partition.next)
            count = len(self.model[ref.stream][ref.topic])
            assert self.run(self.log.partitions_count(ref, deadline=soon())) == count
            for consumer in (1, "1", "name"):
                stored = self.run(self.log.stored_offset(ref, partition_id, consumer, deadline=soon()))
                offset = partition.offsets.get(consumer)
                assert stored == (None if offset is None else StoredOffset(offset, partition.next))


TestAgainstAModel = LogMachine.TestCase
TestAgainstAModel.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
