"""
Several processes, one ledger, against a model that knows nothing of how the fold is made.

Processes read late and in pieces, crash, start from old snapshots, and their clocks are off; the log's own clock jumps back
now and then. Consumers ack, nack and extend by tokens of any age at any process.
"""

from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from bridge.groups.assignment import Reservations
from bridge.groups.ledger import AckResult, LeaseResult, Ledger, restored, snapshot
from bridge.groups.partition import Partition
from bridge.groups.records import (
    AckKind,
    Acknowledge,
    Advance,
    GroupRef,
    Heartbeat,
    Lease,
    LeasedRanges,
    Leave,
    OffsetRange,
    Open,
    PartitionStart,
    Record,
    Seek,
    encoded,
    offset_ranges,
)

REF = GroupRef("stream", "topic", "group")
OTHER = GroupRef("stream", "topic", "other")
PARTITIONS = 2
MADE_US = 7
Place = tuple[int, int]
TokenOf = tuple[int, int, int]


@dataclass
class Fate:
    """What the model knows of one message."""

    acked: bool = False
    lease_id: int = 0
    until_us: int = 0
    deliveries: int = 0


@dataclass
class Process:
    """One bridge: what it folded so far, and what it asks for."""

    ledger: Ledger
    #: What its clock is off.
    skew_us: int
    reserved: list[Reservations] = field(default_factory=lambda: [Reservations() for _ in range(PARTITIONS)])
    asking: dict[int, list[tuple[int, tuple[int, ...]]]] = field(default_factory=dict)


class Groups(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[int, bytes]] = []
        self.clock_us = 1_000_000
        self.stamp_us = 0
        self.ids = count(1)
        self.ends = [0] * PARTITIONS
        self.oldest = [0] * PARTITIONS
        self.began = [0] * PARTITIONS
        self.fates: dict[Place, Fate] = {}
        self.truth = Ledger()
        self.results: dict[int, LeaseResult | AckResult | None] = {}
        self.processes: list[Process] = []
        self.snapshots: list[tuple[bytes, ...]] = []
        self.start(0, None)
        self.tell(Open(self.new_id(), REF, tuple(PartitionStart(each, 0) for each in range(PARTITIONS))))
        self.tell(Open(self.new_id(), OTHER, (PartitionStart(0, 0),)))

    def new_id(self) -> int:
        return next(self.ids)

    def tell(self, record: Record) -> LeaseResult | AckResult | None:
        """Append *record*; its result by a fold that is always up to date, which all others must come to as well."""
        offset = len(self.log)
        payload = encoded(record)
        self.log.append((self.clock_us, payload))
        self.stamp_us = max(self.stamp_us, self.clock_us)
        folded = self.truth.apply(offset, self.clock_us, payload)
        assert folded is not None
        assert folded.record == record
        self.results[record.id] = folded.result
        return folded.result

    def read(self, process: Process, records_max: int | None = None) -> None:
        """Let *process* fold what is next."""
        for _ in range(len(self.log) if records_max is None else records_max):
            offset = process.ledger.offset
            if offset >= len(self.log):
                return
            folded = process.ledger.apply(offset, *self.log[offset])
            if folded is None:
                continue
            assert folded.result == self.results[folded.record.id]
            for partition_id, offsets in process.asking.pop(folded.record.id, ()):
                process.reserved[partition_id].release(offsets)

    def partition(self, ledger: Ledger, partition_id: int) -> Partition:
        return ledger.groups[REF].partitions[partition_id]

    # --- processes ----------------------------------------------------------------------------------------------

    @rule(skew_us=st.integers(-5_000_000, 5_000_000), which=st.none() | st.integers(0, 5))
    def start(self, skew_us: int, which: int | None) -> None:
        """A process starts at a snapshot, or at the beginning of the ledger."""
        if len(self.processes) >= 3:
            return
        state = None
        if which is not None and self.snapshots:
            state = restored(self.snapshots[which % len(self.snapshots)], MADE_US)
            assert state is not None
        self.processes.append(Process(Ledger(state), skew_us))

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 5))
    def crash(self, which: int) -> None:
        """A process is killed; what it asked for stands in the ledger, and nobody hears what was given."""
        del self.processes[which % len(self.processes)]

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 5), records=st.none() | st.integers(1, 3))
    def catch_up(self, which: int, records: int | None) -> None:
        self.read(self.processes[which % len(self.processes)], records)

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 5))
    def take_snapshot(self, which: int) -> None:
        ledger = self.processes[which % len(self.processes)].ledger
        self.snapshots.append(snapshot(ledger.state(), MADE_US))

    @rule(member=st.integers(1, 4), leaves=st.booleans(), ttl_ms=st.integers(1, 20_000))
    def come_and_go(self, member: int, leaves: bool, ttl_ms: int) -> None:
        gone = Leave(self.new_id(), member)
        self.tell(gone if leaves else Heartbeat(self.new_id(), member, ttl_ms, (REF,)))
        alive = self.truth.members(REF, now_us=self.stamp_us)
        assert (member in alive) is not leaves

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 5))
    def give_up(self, which: int) -> None:
        """Those whose request failed ask no more."""
        process = self.processes[which % len(self.processes)]
        for key in [each for each in process.asking if each < 0]:
            for partition_id, offsets in process.asking.pop(key):
                process.reserved[partition_id].release(offsets)

    # --- the log ------------------------------------------------------------------------------------------------

    @rule(partition_id=st.integers(0, PARTITIONS - 1), messages=st.integers(1, 8))
    def produce(self, partition_id: int, messages: int) -> None:
        for _ in range(messages):
            self.fates[partition_id, self.ends[partition_id]] = Fate()
            self.ends[partition_id] += 1

    @rule(us=st.integers(0, 3_000_000))
    def time_passes(self, us: int) -> None:
        self.clock_us += us

    @rule(us=st.integers(1, 500_000))
    def the_clock_jumps_back(self, us: int) -> None:
        self.clock_us -= us

    @rule(payload=st.binary(max_size=8) | st.binary(max_size=30).map(lambda tail: b"BGL1" + tail))
    def a_stranger_writes(self, payload: bytes) -> None:
        offset = len(self.log)
        self.log.append((self.clock_us, payload))
        self.stamp_us = max(self.stamp_us, self.clock_us)
        assert self.truth.apply(offset, self.clock_us, payload) is None

    @rule(partition_id=st.integers(0, PARTITIONS - 1), messages=st.integers(1, 4))
    def retention(self, partition_id: int, messages: int) -> None:
        """The oldest messages leave the log, and somebody who saw that says so."""
        oldest = self.oldest[partition_id] = min(
            self.ends[partition_id], self.oldest[partition_id] + messages
        )
        self.tell(Advance(self.new_id(), REF, (PartitionStart(partition_id, oldest),)))
        for offset in range(oldest):
            self.fates[partition_id, offset].acked = True

    @rule(partition_id=st.integers(0, PARTITIONS - 1), to=st.integers(0, 10), stale=st.booleans())
    def seek(self, partition_id: int, to: int, stale: bool) -> None:
        to = max(self.oldest[partition_id], min(to, self.ends[partition_id]))
        epoch = self.partition(self.truth, partition_id).epoch
        self.tell(Seek(self.new_id(), REF, (PartitionStart(partition_id, to, epoch + 1 if stale else -1),)))
        if not stale:
            self.began[partition_id] = to
            for offset in range(self.ends[partition_id]):
                self.fates[partition_id, offset] = Fate(acked=offset < to)

    # --- consumers ----------------------------------------------------------------------------------------------

    def lease(
        self, asked: list[tuple[int, tuple[int, ...]]], visibility_ms: int, counted: bool
    ) -> tuple[int, list[TokenOf]]:
        record = Lease(
            self.new_id(),
            REF,
            visibility_ms,
            counted,
            tuple((partition_id, offset_ranges(offsets)) for partition_id, offsets in asked),
        )
        result = self.tell(record)
        assert isinstance(result, LeaseResult)
        assert result.until_us == self.stamp_us + visibility_ms * 1000
        granted = {
            (partition_id, each.offset): each.deliveries
            for partition_id, some in result.granted
            for each in some
        }
        for place in [(partition_id, offset) for partition_id, offsets in asked for offset in offsets]:
            fate = self.fates[place]
            free = not fate.acked and fate.until_us <= self.stamp_us
            # Never twice inside a lease, never what was acked; and nothing that is free is withheld.
            assert (place in granted) is free
            if free:
                fate.lease_id, fate.until_us = record.id, result.until_us
                fate.deliveries += counted
                assert granted[place] == fate.deliveries
        return record.id, [(*place, record.id) for place in granted]

    @precondition(lambda self: self.processes)
    @rule(
        target=tokens,
        which=st.integers(0, 5),
        messages=st.integers(1, 6),
        visibility_ms=st.integers(1, 4_000),
        counted=st.booleans(),
        reads=st.booleans(),
        fails=st.booleans(),
    )
    def receive(  # type: ignore[no-untyped-def] # noqa: ANN201
        self, which: int, messages: int, visibility_ms: int, counted: bool, reads: bool, fails: bool
    ):
        process = self.processes[which % len(self.processes)]
        if reads:
            self.read(process)
        group = process.ledger.groups.get(REF)
        asked = []
        for partition_id in range(PARTITIONS):
            if group is None or partition_id not in group.partitions:
                continue
            offsets = process.reserved[partition_id].reserve(
                group.partitions[partition_id],
                end=self.ends[partition_id],
                now_us=process.ledger.now_us + process.skew_us,
                count=messages,
            )
            if offsets:
                asked.append((partition_id, offsets))
        if not asked:
            return multiple()
        if fails:
            # It could not be told; others of this process ask for what comes after meanwhile.
            process.asking[-self.new_id()] = asked
            return multiple()
        lease_id, given = self.lease(asked, visibility_ms, counted)
        process.asking[lease_id] = asked
        return multiple(*given)

    @rule(
        held=st.lists(tokens, min_size=1, max_size=4, unique=True),
        kind=st.sampled_from(AckKind),
        delay_ms=st.integers(0, 3_000),
    )
    def acknowledge(self, held: list[TokenOf], kind: AckKind, delay_ms: int) -> None:
        holds = tuple(
            LeasedRanges(partition_id, lease_id, (OffsetRange(offset, offset + 1),))
            for partition_id, offset, lease_id in held
        )
        result = self.tell(Acknowledge(self.new_id(), REF, kind, delay_ms, holds))
        assert isinstance(result, AckResult)
        for token in held:
            partition_id, offset, lease_id = token
            fate = self.fates[partition_id, offset]
            outcome = result.outcomes[token]
            if fate.acked:
                assert outcome == "settled"
            elif fate.lease_id != lease_id:
                assert outcome == "expired"
            else:
                assert outcome == "done"
                fate.acked = kind is AckKind.ACK
                fate.until_us = result.until_us
                fate.lease_id = lease_id if kind is AckKind.EXTEND else 0
                fate.deliveries -= kind is AckKind.RELEASE and fate.deliveries > 0

    # --- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def the_low_water_mark_is_the_first_message_that_is_not_acked(self) -> None:
        for partition_id in range(PARTITIONS):
            partition = self.partition(self.truth, partition_id)
            open_ones = [
                offset
                for offset in range(self.ends[partition_id])
                if not self.fates[partition_id, offset].acked
            ]
            low = min(open_ones, default=self.ends[partition_id])
            # What nobody was given yet is not settled either, but a mark beyond the frontier would say nothing.
            assert partition.low == min(low, partition.frontier)
            assert partition.unacked_count == sum(each < partition.frontier for each in open_ones)

    @invariant()
    def the_ledger_counts_what_it_holds(self) -> None:
        held = [each.held_count for group in self.truth.groups.values() for each in group.partitions.values()]
        assert self.truth.held_count == sum(held)

    def teardown(self) -> None:
        # Whoever folded everything is in the same state, from wherever it started.
        for process in self.processes:
            self.read(process)
            assert process.ledger.state() == self.truth.state()
        for pieces in self.snapshots:
            late = Process(Ledger(restored(pieces, MADE_US)), 0)
            self.read(late)
            assert late.ledger.state() == self.truth.state()
        # One process that goes on delivers everything that is left.
        last = Process(Ledger(), 0)
        self.clock_us = self.stamp_us + 10_000_000
        self.tell(Heartbeat(self.new_id(), 1, 1, ()))
        while True:
            self.read(last)
            asked = [
                (partition_id, offsets)
                for partition_id in range(PARTITIONS)
                if (
                    offsets := last.reserved[partition_id].reserve(
                        self.partition(last.ledger, partition_id),
                        end=self.ends[partition_id],
                        now_us=last.ledger.now_us,
                        count=5,
                    )
                )
            ]
            if not asked:
                break
            lease_id, given = self.lease(asked, 1_000, True)
            last.asking[lease_id] = asked
            assert len(given) == sum(len(offsets) for _, offsets in asked)
            self.acknowledge(given, AckKind.ACK, 0)
        for partition_id in range(PARTITIONS):
            partition = self.partition(last.ledger, partition_id)
            assert partition.low == self.ends[partition_id]
            assert partition.unacked_count == 0
            for offset in range(self.began[partition_id], self.ends[partition_id]):
                fate = self.fates[partition_id, offset]
                assert fate.acked


Groups.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestGroups = Groups.TestCase
