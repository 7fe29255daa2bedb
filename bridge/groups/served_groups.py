"""The groups that a process serves (shell over `assignment.py`): what may be had of each, and who waits for it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.errors import BadRequest, LogError, NotFound
from bridge.flow.following.tails import Tails
from bridge.flow.timers import is_set_within, some_at_once
from bridge.groups.assignment import Reservations, assigned_partitions
from bridge.groups.ledger import AppliedRecord
from bridge.groups.ledger_replica import LedgerReplica
from bridge.groups.partition import Partition
from bridge.groups.read_ahead import ReadAhead
from bridge.groups.records import (
    AckKind,
    Acknowledge,
    DeleteGroup,
    ExpireGroup,
    GroupRef,
    Lease,
    Open,
    PartitionStart,
    Seek,
)
from bridge.groups.values import consumer_name
from bridge.messagelog import MessageLog, TopicRef

_FAR_S: Final = 3600.0
# How often those who wait look for themselves where no tail can tell them.
_BLIND_S: Final = 1.0
# An estimate of the ledger's time that is this much late never asks too early for what comes back.
_END_MARGIN_S: Final = 0.002
# Consumers that come again and again find their partitions watched.
_LINGER_S: Final = 5.0
# For what is mostly known already.
_LOOK_TIMEOUT_S: Final = 3.0


class GroupsContext(NamedTuple):
    log: MessageLog
    tails: Tails
    replica: LedgerReplica
    ahead: ReadAhead
    clock: Clock
    member_id: int


class Reservation(NamedTuple):
    """Offsets of one partition that a receiver asks for; nobody else of this process does until they are released."""

    partition_id: int
    offsets: tuple[int, ...]


class ServedGroup:
    """What this process knows of one group beside the ledger.

    Attributes:
        partitions_count: as last looked up; 0 before.
        receivers: how many are being served.
        used_s: when it was last used, by the process's clock.
        waits_ended: nobody shall wait any more.
        change: set, and replaced, whenever there may be more to have.
    """

    def __init__(self, ref: GroupRef, context: GroupsContext) -> None:
        self.ref = ref
        self.topic = TopicRef(ref.stream, ref.topic)
        self.partitions_count = 0
        self.receivers = 0
        self.used_s = context.clock.monotonic_s()
        self.waits_ended = False
        self.change = asyncio.Event()
        self._context = context
        self._reservations: defaultdict[int, Reservations] = defaultdict(Reservations)
        #: As far as is known; a partition has messages before its end.
        self._ends: dict[int, int] = {}
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._watch_again_s = 0.0

    @property
    def idle_s(self) -> float:
        """For how long nobody has received from it here, or waited."""
        return 0.0 if self.receivers else self._context.clock.monotonic_s() - self.used_s

    # --- what there is ------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> dict[int, Partition]:
        """Those that the ledger knows."""
        group = self._context.replica.ledger.groups.get(self.ref)
        return {} if group is None else group.partitions

    def own_partitions(self) -> tuple[int, ...]:
        """The partitions that this process looks after; all of them before it said that it is there."""
        member_id, ledger = self._context.member_id, self._context.replica.ledger
        members = ledger.members(self.ref, now_us=ledger.now_us)
        if member_id not in members:
            return tuple(range(self.partitions_count))
        return assigned_partitions(member_id, members, self.ref, self.partitions_count)

    def reserve(self, partition_ids: Sequence[int], count: int) -> list[Reservation]:
        """Up to *count* messages, of several partitions in turn; nobody else asks for them until `release`."""
        self._turn += 1
        at = self._turn % len(partition_ids) if partition_ids else 0
        # A topic may have a thousand, and one message is wanted.
        having = list(islice(self._having((*partition_ids[at:], *partition_ids[:at])), count))
        now_us = self._context.replica.now_us()
        reserved = []
        for index, partition_id in enumerate(having):
            offsets = self._reservations[partition_id].reserve(
                self.partitions[partition_id],
                end=self._ends.get(partition_id, 0),
                now_us=now_us,
                count=-(-count // (len(having) - index)),
            )
            count -= len(offsets)
            reserved.append(Reservation(partition_id, offsets))
            if not count:
                break
        return reserved

    def has_any(self, partition_ids: Sequence[int]) -> bool:
        """Whether `reserve` would find something."""
        return any(True for _ in self._having(partition_ids))

    def _having(self, partition_ids: Sequence[int]) -> Iterator[int]:
        now_us, partitions = self._context.replica.now_us(), self.partitions
        for each in partition_ids:
            if each in partitions:
                free = self._reservations[each].free(
                    partitions[each], end=self._ends.get(each, 0), now_us=now_us
                )
                if next(free, None) is not None:
                    yield each

    def release(self, reserved: Reservation, *, wake: bool) -> None:
        """Whatever came of *reserved* is in the ledger; *wake* those who wait where it is there to be had again."""
        self._reservations[reserved.partition_id].release(reserved.offsets)
        if wake:
            self.changed()

    async def look(self, partition_ids: Sequence[int], deadline: Deadline) -> dict[int, int]:
        """Ask the log where these partitions end; those that have fewer messages than were given out, and how many that were.

        Raises:
            NotFound, LogError: as `MessageLog.read`.
        """
        suspects: dict[int, int] = {}

        async def look_at(partition_id: int) -> None:
            partition = self.partitions.get(partition_id)
            if partition is not None:
                frontier, offset = partition.frontier, self._reservations[partition_id].next_offset(partition)
                found = await self._context.ahead.find(self.topic, partition_id, [offset], deadline=deadline)
                if not found.messages and found.end_offset < frontier:
                    suspects[partition_id] = frontier
                self.ends_at(partition_id, found.end_offset)

        await some_at_once(look_at, partition_ids, limits.GROUP_READS_AT_ONCE)
        return suspects

    def ends_at(self, partition_id: int, end: int) -> None:
        """The partition has messages before *end*; what is known to be there besides stays so."""
        self._ends[partition_id] = max(end, self._ends.get(partition_id, 0))

    def began_anew(self, partition_id: int) -> None:
        """What was known of the partition's messages does not hold any more."""
        self._ends.pop(partition_id, None)
        self._context.ahead.forget(self.topic)

    # --- who waits ----------------------------------------------------------------------------------------------

    @property
    def is_blind(self) -> bool:
        """Whether some partitions are not watched, so that who waits must look for himself."""
        return len(self._watchers) < self.partitions_count

    def changed(self) -> None:
        """There may be more to have: everybody looks."""
        self.change.set()
        self.change = asyncio.Event()

    def applied(self, applied: AppliedRecord) -> None:
        """A record of this group was applied: those who wait look where it freed something."""
        record = applied.record
        if isinstance(record, Lease) or (isinstance(record, Acknowledge) and record.kind is AckKind.ACK):
            return
        if isinstance(record, Seek | DeleteGroup | ExpireGroup):
            # The topic may have been emptied: nothing is believed, and who waits looks for himself once.
            self._ends.clear()
            self._context.ahead.forget(self.topic)
            self.stop_watching()
        self.changed()

    async def wait_for(self, change: asyncio.Event, timeout_s: float) -> None:
        """Return when *change* is set, when a lease ends, or after *timeout_s*."""
        if change.is_set() or self.waits_ended:
            return
        if self._context.clock.monotonic_s() >= self._watch_again_s:
            self._watch()
        self._set_timer()
        await is_set_within(change, min(timeout_s, _BLIND_S) if self.is_blind else timeout_s)

    def end_waits(self) -> None:
        """Who waits gets what there is: nothing."""
        self.waits_ended = True
        self.changed()

    def _set_timer(self) -> None:
        ends = [end for each in self.partitions.values() if (end := each.next_end_us()) is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ends:
            left_s = max(0, min(ends) - self._context.replica.now_us()) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(left_s + _END_MARGIN_S, self.changed)

    # --- watching partitions ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        for partition_id in range(self.partitions_count):
            if partition_id not in self._watchers:
                self._watchers[partition_id] = asyncio.create_task(
                    self._watch_partition(partition_id), name=f"group watch {partition_id}"
                )

    async def _watch_partition(self, partition_id: int) -> None:
        """Learn where the partition ends, until cancelled."""
        context = self._context
        try:
            with context.tails.watch(self.topic, partition_id) as tail:
                while True:
                    known = self._ends.get(partition_id, 0)
                    if await tail.beyond(known, Deadline.after(_FAR_S, context.clock)):
                        if (tail.end_offset or 0) <= known:
                            self.began_anew(partition_id)
                        self.ends_at(partition_id, tail.end_offset or 0)
                        self.changed()
                    elif context.tails.waits_ended:
                        self.end_waits()
                        return
        except (NotFound, LogError) as error:
            del self._watchers[partition_id]
            if isinstance(error, LogError):
                # Too many are watched: who waits looks for himself.
                self._watch_again_s = context.clock.monotonic_s() + _BLIND_S
            self.changed()

    def stop_watching(self) -> None:
        """Nobody waited for a while."""
        watchers, self._watchers = self._watchers, {}
        for task in watchers.values():
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()


class ServedGroups:
    """The groups that this process served lately: opened at first use, given up when nobody came for long."""

    def __init__(self, context: GroupsContext) -> None:
        self._context = context
        self._groups: dict[GroupRef, ServedGroup] = {}

    def __iter__(self) -> Iterator[ServedGroup]:
        return iter(tuple(self._groups.values()))

    @property
    def refs(self) -> tuple[GroupRef, ...]:
        """The groups that somebody receives from, or did a moment ago, and that the ledger knows; in order."""
        lately = (each for each in self if each.idle_s < limits.GROUP_MEMBER_LINGER_S)
        return tuple(sorted(each.ref for each in lately if each.partitions))

    def get(self, ref: GroupRef) -> ServedGroup | None:
        """That of *ref*, None where nobody used it here lately."""
        return self._groups.get(ref)

    async def open(self, ref: GroupRef, deadline: Deadline) -> ServedGroup:
        """The group of *ref*, all of whose partitions the ledger knows.

        Raises:
            StreamNotFound, TopicNotFound: if the topic is missing.
            BadRequest: if there are as many groups as there may be.
            LogError: if the ledger or the log could not be asked.
        """
        topic = TopicRef(ref.stream, ref.topic)
        count = await self._context.log.partitions_count(topic, deadline=deadline)
        served = self._groups.get(ref)
        if served is None:
            served = self._groups[ref] = ServedGroup(ref, self._context)
        served.used_s = self._context.clock.monotonic_s()
        served.partitions_count = count
        try:
            if missing := self._missing(served):
                await self._take_up(served, missing, deadline)
                # Others may have taken the room meanwhile: a group without all its partitions would keep messages back.
                self._missing(served)
        except BadRequest:
            if not served.receivers:
                self._groups.pop(ref, None)
            raise
        return served

    def _missing(self, served: ServedGroup) -> list[int]:
        """The partitions that are still to be taken up.

        Raises:
            BadRequest: if there is no room for them; it says which bound was met.
        """
        ledger, known = self._context.replica.ledger, served.partitions
        missing = [each for each in range(served.partitions_count) if each not in known]
        if missing and served.ref not in ledger.groups and len(ledger.groups) >= limits.GROUPS_MAX:
            raise _no_room(
                f"There are {limits.GROUPS_MAX} groups, as many as there may be", limits.GROUPS_MAX
            )
        if missing and ledger.partitions_count + len(missing) > limits.GROUP_PARTITIONS_MAX:
            count = limits.GROUP_PARTITIONS_MAX
            raise _no_room(f"All groups together have {count} partitions at most", count)
        return missing

    async def _take_up(self, served: ServedGroup, missing: list[int], deadline: Deadline) -> None:
        log, replica, consumer = self._context.log, self._context.replica, consumer_name(served.ref.group)

        async def start(partition_id: int) -> PartitionStart:
            stored = await log.stored_offset(served.topic, partition_id, consumer, deadline=deadline)
            return PartitionStart(partition_id, 0 if stored is None else stored.offset + 1)

        starts = await some_at_once(start, missing, limits.GROUP_READS_AT_ONCE)
        await replica.write(Open(replica.new_id(), served.ref, tuple(starts)), deadline=deadline)

    async def look(self) -> None:
        """Let those who wait look where their topic is gone, or has another number of partitions.

        Raises:
            LogError: if the log could not be asked.
        """
        for served in self:
            if served.receivers:
                deadline = Deadline.after(_LOOK_TIMEOUT_S, self._context.clock)
                try:
                    count = await self._context.log.partitions_count(served.topic, deadline=deadline)
                except NotFound:
                    count = 0
                if count != served.partitions_count:
                    served.changed()

    def applied(self, ref: GroupRef, applied: AppliedRecord) -> None:
        served = self._groups.get(ref)
        if served is not None:
            served.applied(applied)
        elif isinstance(applied.record, DeleteGroup | ExpireGroup):
            # Its topic may have been emptied or made anew: what was read of it holds no more.
            self._context.ahead.forget(TopicRef(ref.stream, ref.topic))

    def tidy(self) -> None:
        """Watch no longer for those that nobody waits at, and give up those that nobody came to for long."""
        for served in self:
            if served.idle_s >= _LINGER_S:
                served.stop_watching()
            if served.idle_s >= limits.GROUP_IDLE_S:
                del self._groups[served.ref]

    def end_waits(self) -> None:
        for served in self:
            served.end_waits()

    def close(self) -> None:
        """Watch nothing any more."""
        for served in self:
            served.stop_watching()


def _no_room(bound: str, limit: int) -> BadRequest:
    return BadRequest(
        f"{bound}: delete one, or wait until an unused one ends (GROUPS_UNUSED_SECS).",
        path="group",
        limit=limit,
    )
