"""Whatever happens to the log and to its readers: each message once, in order of its partition, and gaps are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from bridge.clock import Deadline
from bridge.errors import Disconnected
from bridge.flow.following import feeds as feeds_module
from bridge.flow.following.batches import Positions, RecordBatch, moved
from bridge.flow.following.fan_out import Sink
from bridge.flow.following.follow import Feeds, Follower
from bridge.flow.following.tails import Tails
from bridge.flow.timers import pause
from bridge.messagelog import First, Last
from tests.support.clock import FakeClock
from tests.support.memory_log import TOPIC, MemoryLog
from tests.support.timers import FakeTimers, settled

READERS = 4
PARTITIONS = 2
PARTITIONS_MAX = 4


@dataclass
class Reader:
    """
    A client: its socket, and what it has seen.

    Attributes:
        seen: serial numbers by partition, None for a gap.
        room: how much its socket takes before it is full, in writes, or in messages if it cuts; None for anything.
        full: it said that it wants no more for now.
        cuts: it takes part of a batch where there is no room for all of it.
    """

    seen: dict[int, list[int | None]] = field(default_factory=dict)
    positions: Positions | None = None
    room: int | None = None
    full: bool = False
    cuts: bool = False
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    follower: Follower | None = None
    task: asyncio.Task[None] | None = None

    def spell(self, batches: Sequence[RecordBatch]) -> bytes:
        SPELT.extend(batches)
        return b"".join(b"%d," % each for each in range(len(SPELT) - len(batches), len(SPELT)))

    def write(self, data: bytes) -> bool:
        for batch in (SPELT[int(each)] for each in data.split(b",")[:-1]):
            assert not self.full or batch.gap is not None, "given more than it wanted"
            if not self.cuts or self.room is None or len(batch.records) <= self.room:
                self.take(batch, len(batch.records))
                self.use(len(batch.records) if self.cuts else 0)
                continue
            assert self.follower is not None
            following = batch.records.offsets[self.room]
            self.take(batch, self.room)
            self.positions = moved(batch.positions_before, batch.partition_id, following)
            self.follower.cut(batch, following)
            self.use(self.room)
            return False
        if not self.cuts:
            self.use(1)
        return not self.full

    def use(self, room: int) -> None:
        if self.room is not None:
            self.room = max(0, self.room - room)
            self.full = self.room == 0

    def take(self, batch: RecordBatch, count: int) -> None:
        told = self.seen.setdefault(batch.partition_id, [])
        if self.positions is not None:
            mine = dict(self.positions)
            assert all(mine.get(each, 0) == offset for each, offset in batch.positions_before)
        if batch.gap is not None:
            told.append(None)
        told += [int(payload) for payload in batch.records.payloads[:count]]
        if batch.records:
            before = dict(batch.positions_before)[batch.partition_id]
            assert batch.records.offsets[0] == before
            assert dict(batch.positions_after)[batch.partition_id] == batch.records.offsets[-1] + 1
        self.positions = batch.positions_after

    def wanted(self) -> int:
        return max(1, self.room or 0) if self.cuts else 1000

    async def drain(self) -> None:
        while self.room == 0:
            self.drained.clear()
            await self.drained.wait()
        self.full = False

    async def read(self, feeds: Feeds, timers: FakeTimers) -> None:
        start = Last() if self.positions is None else self.positions
        while self.follower is None:
            try:
                self.follower = await feeds.follow(
                    TOPIC, start, deadline=Deadline.after(10_000, timers.clock)
                )
            except Disconnected:
                await pause(timers, 1)
        follower = self.follower
        if self.positions is None:
            self.positions = follower.positions
        try:
            await follower.run(Sink("test", self.spell, self.write, self.drain, self.wanted))
        finally:
            follower.close()
            self.follower = None

    async def leave(self) -> None:
        self.full = False
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
            if not self.task.cancelled():
                self.task.result()
            self.task = None


#: What each batch was spelt as is its place in this.
SPELT: list[RecordBatch] = []

who = st.integers(0, READERS - 1)
where = st.integers(0, PARTITIONS_MAX - 1)
STEPS = st.one_of(
    st.tuples(st.just("append"), where, st.integers(1, 7)),
    st.tuples(st.just("append"), where, st.integers(1, 7)),
    st.tuples(st.just("append elsewhere"), where, st.integers(1, 7)),
    st.tuples(st.just("come"), who, st.booleans()),
    st.tuples(st.just("leave"), who, st.none()),
    st.tuples(st.just("fill"), who, st.integers(0, 2)),
    st.tuples(st.just("drain"), who, st.none()),
    st.tuples(st.just("retention"), where, st.integers(0, 5)),
    st.tuples(st.just("purge"), where, st.none()),
    st.tuples(st.just("partition"), st.none(), st.none()),
    st.tuples(st.just("outage"), st.none(), st.none()),
    st.tuples(st.just("hold reads"), st.none(), st.none()),
    st.tuples(st.just("hold replies"), st.none(), st.none()),
    st.tuples(st.just("turns"), st.integers(1, 5), st.none()),
    st.tuples(st.just("time"), st.sampled_from([0.001, 0.02, 0.3, 4.0]), st.none()),
)


Steps: TypeAlias = list[tuple[str, object, object]]
LIVE_GAP: Steps = [("append elsewhere", 0, 5), ("retention", 0, 2)]
GAP_ON_THE_WAY: Steps = [("time", 4.0, None), ("leave", 0, None), ("append", 0, 5), ("retention", 0, 2)]
#: It has three, and room for none; what comes then moves the ring on, and the refilled partition past its place.
PURGED_UNDER_A_SLOW_READER: Steps = [
    ("time", 4.0, None),
    ("fill", 0, 1),
    ("append", 0, 2),
    ("time", 4.0, None),
    ("append", 0, 7),
    ("time", 4.0, None),
    ("purge", 0, None),
    ("append", 0, 7),
    ("time", 4.0, None),
    ("append", 0, 7),
    ("time", 4.0, None),
]
APPENDED_DURING_A_READ: Steps = [
    ("time", 4.0, None),
    ("hold replies", None, None),
    ("append", 0, 1),
    ("turns", 3, None),
    ("append", 0, 2),
    ("hold replies", None, None),
    ("append", 0, 2),
    ("time", 0.001, None),
    ("append", 0, 2),
]
#: What another bridge sent comes between two batches, before and behind what is told already.
APPENDED_WITH_OTHERS_BETWEEN: Steps = [
    ("time", 4.0, None),
    ("append", 0, 2),
    ("append elsewhere", 0, 3),
    ("append", 0, 1),
    ("time", 0.02, None),
    ("append elsewhere", 0, 1),
    ("append", 0, 7),
    ("time", 0.02, None),
    ("append", 0, 1),
    ("purge", 0, None),
    ("append", 0, 1),
]


class World:
    """The log, the readers, and what has been removed so far."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.timers = FakeTimers(self.clock)
        self.log = MemoryLog(PARTITIONS)
        self.tails = Tails(self.log.port, clock=self.clock, pushes=True, timers=self.timers)
        self.feeds = Feeds(self.tails)
        self.readers = [Reader() for _ in range(READERS)]
        self.stored: dict[int, list[int]] = {}
        self.removed: set[int] = set()

    async def step(self, step: tuple[str, object, object]) -> None:  # noqa: C901, PLR0912 (a table)
        match step:
            case ("append" | "append elsewhere" as how, int(partition_id), int(count)):
                if partition_id < len(self.log.partitions):
                    self.append(how, partition_id, count)
            case ("come", int(index), bool(cuts)):
                reader = self.readers[index]
                if reader.task is None:
                    reader.cuts = cuts
                    reader.task = asyncio.create_task(reader.read(self.feeds, self.timers))
            case ("leave", int(index), None):
                await self.readers[index].leave()
            case ("fill", int(index), int(room)):
                self.readers[index].room = room
            case ("drain", int(index), None):
                self.drain(self.readers[index])
            case ("retention", int(partition_id), int(kept)):
                if partition_id < len(self.log.partitions):
                    before = max(0, self.log.partitions[partition_id].next_offset - kept)
                    self.remove(partition_id, before)
                    self.log.trim(partition_id, before)
            case ("purge", int(partition_id), None):
                if partition_id < len(self.log.partitions):
                    await self.purge(partition_id)
            case ("partition", None, None):
                if len(self.log.partitions) < PARTITIONS_MAX:
                    self.log.partitions.append(type(self.log.partitions[0])())
            case ("hold reads" | "hold replies" as what, None, None):
                gate = self.log.gate if what == "hold reads" else self.log.replies
                if gate.is_set():
                    gate.clear()
                else:
                    gate.set()
            case ("outage", None, None):
                self.log.fault = Disconnected() if self.log.fault is None else None
            case ("turns", int(turns), None):
                for _ in range(turns):
                    await asyncio.sleep(0)
            case ("time", float(seconds), None):
                await self.timers.pass_s(seconds)
            case _:
                raise NotImplementedError(step)

    def append(self, how: str, partition_id: int, count: int) -> None:
        serial = self.log.serial
        next_offset = self.log.append(partition_id, count)
        self.stored.setdefault(partition_id, []).extend(range(serial, self.log.serial))
        if how == "append elsewhere" or self.log.fault is not None:
            return
        self.tails.stored(TOPIC, partition_id, next_offset)

    async def purge(self, partition_id: int) -> None:
        """As through the bridge: told, and seen by the tails before anybody appends again; no read is on its way."""
        self.log.fault = None
        self.let_reads_go_on()
        await self.timers.pass_s(10)
        for reader in self.readers:
            at = dict(reader.positions or ())
            if reader.follower is None and partition_id in at:
                # If there are as many messages again when it comes back, nothing tells: its owner has to know.
                reader.positions = tuple(sorted((at | {partition_id: 0}).items()))
                at[partition_id] = 0
            if not at.get(partition_id):
                # Of what it had read nothing of it is told no gap.
                reader.seen.setdefault(partition_id, []).append(None)
        self.remove(partition_id, self.log.partitions[partition_id].next_offset)
        self.log.purge(partition_id)
        self.tails.suspect(TOPIC)
        await self.timers.pass_s(10)

    def remove(self, partition_id: int, before: int) -> None:
        for message in self.log.partitions[partition_id].messages:
            if message.offset < before:
                self.removed.add(int(message.payload))

    def let_reads_go_on(self) -> None:
        self.log.gate.set()
        self.log.replies.set()

    def drain(self, reader: Reader) -> None:
        reader.room = None
        reader.drained.set()

    async def end(self) -> None:
        """Everybody comes, everything works, nothing happens any more."""
        self.log.fault = None
        self.let_reads_go_on()
        for reader in self.readers:
            self.drain(reader)
            if reader.task is None:
                reader.task = asyncio.create_task(reader.read(self.feeds, self.timers))
        await self.timers.pass_s(20)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring that overflows, batches of few messages, few readers a turn."""
    monkeypatch.setattr(feeds_module, "FEED_BATCHES_MAX", 3)
    monkeypatch.setattr("bridge.flow.following.batches.FEED_BATCH_MESSAGES", 2)
    monkeypatch.setattr(feeds_module, "FEED_RUN_BYTES", 3)
    monkeypatch.setattr(feeds_module, "FEED_DELIVERIES_PER_TURN", 1)


async def _happens(steps: Steps) -> World:
    world = World()
    # The first reader is there from the beginning, so that somebody has to have seen everything.
    world.readers[0].positions = ((0, 0), (1, 0))
    await world.step(("come", 0, False))
    await settled()
    for step in steps:
        await world.step(step)
    await world.end()
    for reader in world.readers:
        assert reader.task is not None
        assert not reader.task.done(), reader.task.exception()
        await reader.leave()
    await world.timers.pass_s(10)
    assert world.tails.tails_count == 0
    assert world.feeds.held_bytes == 0
    await world.tails.close()
    return world


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=4, max_size=50))
@example(LIVE_GAP)
@example(GAP_ON_THE_WAY)
@example(PURGED_UNDER_A_SLOW_READER)
@example(APPENDED_DURING_A_READ)
@example(APPENDED_WITH_OTHERS_BETWEEN)
def test_each_reader_gets_each_message_once_in_order_and_is_told_of_gaps(
    steps: Steps,
) -> None:
    SPELT.clear()
    note(f"{steps!r}")
    world = asyncio.run(_happens(steps))
    for number, reader in enumerate(world.readers):
        for partition_id, stored in world.stored.items():
            told = reader.seen.get(partition_id, [])
            note(f"{number}: {partition_id}: {told} of {stored}")
            serials = [each for each in told if each is not None]
            assert serials == sorted(set(serials)), "twice, or out of order"
            # A reader may have come when some were there already; from its first one on it gets all.
            expected = (
                stored if number == 0 else stored[stored.index(serials[0]) if serials else len(stored) :]
            )
            missing = set(expected) - set(serials)
            assert missing <= world.removed
            before: int | None = -1 if number == 0 else None
            for serial in told:
                if before is not None and serial is not None:
                    begin = 0 if before < 0 else stored.index(before) + 1
                    assert not stored[begin : stored.index(serial)], "missing without a gap"
                before = serial


async def test_first_is_the_oldest_kept_without_a_gap() -> None:
    world = World()
    world.log.append(0, 5)
    world.log.trim(0, 3)
    follower = await world.feeds.follow(TOPIC, First(), deadline=Deadline.after(1, world.clock))
    assert follower.positions == ((0, 3), (1, 0))
    follower.close()
    await world.tails.close()
