"""The ledger: records, in their order, to what every group did (pure).

Processes that applied the same records are in the same state and saw the same results, whatever their clocks say: time is
what the log stamped on the records, made to never go back. Nothing else comes in, so agreement needs no talk.

A snapshot holds the state as a run of messages, so that a starting process need not apply the whole ledger. Each piece begins
with its format, the ledger it belongs to (the moment at which that topic was made), and its place among all; they are
stored by one append, so they stand side by side.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

import msgspec

from bridge import limits
from bridge.groups.partition import AckOutcome, Granted, GroupPartitionState, Partition
from bridge.groups.records import (
    Acknowledge,
    Advance,
    DeleteGroup,
    GroupRef,
    Heartbeat,
    Lease,
    Leave,
    Open,
    Record,
    Seek,
    decoded,
)

_FORMAT: Final = b"BGS1"
_HEAD: Final = Struct(">4sQII")


class LeaseResult(NamedTuple):
    """What a lease was given: by partition, in the order asked for; ends at *until_us* by the ledger's time."""

    until_us: int
    granted: tuple[tuple[int, tuple[Granted, ...]], ...]


class AckResult(NamedTuple):
    """What became of each message: (partition, offset, lease) to its outcome; *until_us* where it was extended."""

    until_us: int
    outcomes: dict[tuple[int, int, int], AckOutcome]


#: What the writer of a record learns by it; None where there is nothing to learn but that it was applied.
Result: TypeAlias = LeaseResult | AckResult | None


class AppliedRecord(NamedTuple):
    """One record, and what it did."""

    record: Record
    result: Result


class MemberState(NamedTuple):
    """A process that serves groups, until *until_us*."""

    member_id: int
    until_us: int
    refs: tuple[GroupRef, ...]


class GroupState(NamedTuple):
    ref: GroupRef
    used_us: int
    partitions: tuple[tuple[int, GroupPartitionState], ...]


class LedgerState(NamedTuple):
    """All of a `Ledger`, for a snapshot; *offset* is that of the next record."""

    offset: int
    now_us: int
    members: tuple[MemberState, ...]
    groups: tuple[GroupState, ...]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(LedgerState)


class Group:
    """One group: its partitions by id.

    Attributes:
        used_us: time of the last record that concerned it.
        changes: counts up with each such record; for who wants to know whether to look again.
    """

    __slots__ = ("changes", "partitions", "used_us")

    def __init__(self, used_us: int) -> None:
        self.used_us = used_us
        self.changes = 0
        self.partitions: dict[int, Partition] = {}

    @property
    def held_count(self) -> int:
        """As of a `Partition`, over all of them."""
        return sum(each.held_count for each in self.partitions.values())


class Ledger:
    """The state after every record before *offset*.

    Attributes:
        offset: of the next record.
        now_us: the ledger's time: the newest stamp seen.
        partitions_count: partitions taken up, over all groups.
        held_count: messages given out or come back and not acknowledged, over all groups.
    """

    def __init__(self, state: LedgerState | None = None) -> None:
        state = state or LedgerState(0, 0, (), ())
        self.offset = state.offset
        self.now_us = state.now_us
        self.groups: dict[GroupRef, Group] = {}
        self._members = {each.member_id: each for each in state.members}
        for each in state.groups:
            group = self.groups[each.ref] = Group(each.used_us)
            group.partitions = {partition_id: Partition(found) for partition_id, found in each.partitions}
        self.partitions_count = sum(len(group.partitions) for group in self.groups.values())
        self.held_count = sum(group.held_count for group in self.groups.values())

    def state(self) -> LedgerState:
        """All of it; two ledgers that applied the same records are equal."""
        groups = tuple(
            GroupState(
                ref,
                group.used_us,
                tuple((each, found.state()) for each, found in sorted(group.partitions.items())),
            )
            for ref, group in sorted(self.groups.items())
        )
        return LedgerState(self.offset, self.now_us, tuple(sorted(self._members.values())), groups)

    def members(self, ref: GroupRef | None = None, *, now_us: int) -> tuple[int, ...]:
        """The processes alive at *now_us*, those with receivers in *ref* where one is given; in order."""
        return tuple(
            sorted(
                each.member_id
                for each in self._members.values()
                if each.until_us > now_us and (ref is None or ref in each.refs)
            )
        )

    def apply(self, offset: int, timestamp_us: int, payload: bytes) -> AppliedRecord | None:
        """Apply the message at *offset*, which is not below `self.offset`.

        Returns:
            What it did; None where it is no record.
        """
        self.offset = offset + 1
        self.now_us = max(self.now_us, timestamp_us)
        record = decoded(payload)
        if record is None:
            return None
        result: Result = None
        match record:
            case Lease():
                result = self._lease(record)
            case Acknowledge():
                result = self._acknowledge(record)
            case Heartbeat():
                self._heartbeat(record)
            case Leave():
                self._members.pop(record.member_id, None)
            case Open():
                self._open(record)
            case Seek() | Advance():
                self._move(record)
            case DeleteGroup():
                self._delete(record.ref)
            case _:
                group = self.groups.get(record.ref)
                if group is not None and group.used_us == record.used_us:
                    self._delete(record.ref)
        return AppliedRecord(record, result)

    def _heartbeat(self, record: Heartbeat) -> None:
        members = self._members
        for gone in [each.member_id for each in members.values() if each.until_us <= self.now_us]:
            del members[gone]
        if record.member_id in members or len(members) < limits.GROUP_MEMBERS_MAX:
            until_us = self.now_us + record.ttl_ms * 1000
            members[record.member_id] = MemberState(record.member_id, until_us, record.refs)

    # --- groups -------------------------------------------------------------------------------------------------

    def _open(self, record: Open) -> None:
        if record.ref not in self.groups:
            if len(self.groups) >= limits.GROUPS_MAX:
                return
            self.groups[record.ref] = Group(self.now_us)
        partitions = self._used(record.ref)
        for partition_id, offset, _ in record.starts:
            if self.partitions_count >= limits.GROUP_PARTITIONS_MAX:
                return
            if partition_id not in partitions:
                partitions[partition_id] = Partition.starting(offset)
                self.partitions_count += 1

    def _delete(self, ref: GroupRef) -> None:
        group = self.groups.pop(ref, None)
        if group is not None:
            self.partitions_count -= len(group.partitions)
            self.held_count -= group.held_count

    def _move(self, record: Seek | Advance) -> None:
        partitions = self._used(record.ref)
        for partition_id, offset, epoch in record.starts:
            partition = partitions.get(partition_id)
            if partition is None or epoch not in (-1, partition.epoch):
                continue
            self.held_count -= partition.held_count
            if isinstance(record, Seek):
                partitions[partition_id] = Partition.starting(offset, epoch=partition.epoch + 1)
            else:
                partition.advance(offset)
                self.held_count += partition.held_count

    # --- messages -----------------------------------------------------------------------------------------------

    def _lease(self, record: Lease) -> LeaseResult:
        partitions = self._used(record.ref)
        until_us = self.now_us + record.visibility_ms * 1000
        given = []
        for partition_id, ranges in record.asked:
            partition = partitions.get(partition_id)
            if partition is None:
                continue
            before = partition.held_count
            granted = partition.lease(
                ranges,
                record.id,
                now_us=self.now_us,
                until_us=until_us,
                counted=record.counted,
                room=limits.GROUPS_UNACKED_MAX - self.held_count,
            )
            self.held_count += partition.held_count - before
            given.append((partition_id, granted))
        return LeaseResult(until_us, tuple(given))

    def _acknowledge(self, record: Acknowledge) -> AckResult:
        partitions = self._used(record.ref)
        until_us = self.now_us + record.delay_ms * 1000
        outcomes: dict[tuple[int, int, int], AckOutcome] = {}
        for partition_id, lease_id, ranges in record.leased:
            # One that was not taken up has given nothing.
            partition = partitions.get(partition_id) or Partition.starting(0)
            before = partition.held_count
            for offset, outcome in partition.acknowledge(
                ranges, lease_id, kind=record.kind, until_us=until_us
            ):
                outcomes[partition_id, offset, lease_id] = outcome
            self.held_count += partition.held_count - before
        return AckResult(until_us, outcomes)

    def _used(self, ref: GroupRef) -> dict[int, Partition]:
        """The partitions of a group that a record concerns."""
        group = self.groups.get(ref)
        if group is None:
            return {}
        group.used_us = self.now_us
        group.changes += 1
        return group.partitions


# --- snapshots ----------------------------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """Piece *number* (from 0) of *total* of a snapshot of the ledger made at *made_us*."""

    made_us: int
    number: int
    total: int
    body: bytes


def snapshot(state: LedgerState, made_us: int) -> tuple[bytes, ...]:
    """The payloads that hold *state* of the ledger made at *made_us*, 1 or more."""
    body = _encoder.encode(state)
    size = limits.GROUP_SNAPSHOT_PIECE_BYTES
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return tuple(
        _HEAD.pack(_FORMAT, made_us, index, len(pieces)) + piece for index, piece in enumerate(pieces)
    )


def piece_of(payload: bytes) -> Piece | None:
    """The piece that a message holds, None where it holds none."""
    if len(payload) < _HEAD.size:
        return None
    form, made_us, number, total = _HEAD.unpack_from(payload)
    if form != _FORMAT or number >= total:
        return None
    return Piece(made_us, number, total, payload[_HEAD.size :])


def restored(payloads: Sequence[bytes], made_us: int) -> LedgerState | None:
    """The state that *payloads* hold, None where they are not all pieces of one snapshot of that ledger."""
    pieces = [piece for payload in payloads if (piece := piece_of(payload)) is not None]
    expected = [(made_us, number, len(payloads)) for number in range(len(payloads))]
    if not pieces or [each[:3] for each in pieces] != expected:
        return None
    try:
        return _decoder.decode(b"".join(each.body for each in pieces))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
