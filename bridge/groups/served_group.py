"""One group as this process serves it: what may be had, and who waits for it (shell over `picking.py`)."""

import asyncio
from collections.abc import Sequence
from itertools import chain, islice
from typing import Final, NamedTuple

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.errors import LogError, NotFound
from bridge.flow.following.tails import Tails
from bridge.groups.assignment import assigned_partitions
from bridge.groups.ledger import AppliedRecord
from bridge.groups.ledger_replica import LedgerReplica
from bridge.groups.partition import Partition
from bridge.groups.read_ahead import ReadAhead
from bridge.groups.records import Acknowledge, DeleteGroup, ExpireGroup, Lease, Scope, Seek
from bridge.groups.reservations import Reservations
from bridge.messagelog import MessageLog, TopicRef

__all__ = ("Context", "Reservation", "ServedGroup")

_FAR_S: Final = 3600.0
# How often those who wait look for themselves where no tail can tell them.
_BLIND_S: Final = 1.0
# An estimate of the ledger's time that is this much late never asks too early for what comes back.
_END_MARGIN_S: Final = 0.002


class Context(NamedTuple):
    """What all groups of a process share."""

    log: MessageLog
    tails: Tails
    replica: LedgerReplica
    ahead: ReadAhead
    clock: Clock
    member_id: int


class Reservation(NamedTuple):
    """Offsets of one partition that a receiver asks for; reserved until they are released."""

    partition_id: int
    offsets: tuple[int, ...]


class ServedGroup:
    """
    What this process knows of one group beside the ledger.

    Attributes:
        partitions_count: as last looked up; 0 before.
        receivers: how many are being served.
        used_s: when it was last used, by the process's clock.
        suspects: partitions found to have fewer messages than were given out, and how many that were.
    """

    def __init__(self, scope: Scope, context: Context) -> None:
        self.scope = scope
        self.topic = TopicRef(scope.stream, scope.topic)
        self.partitions_count = 0
        self.receivers = 0
        self.used_s = context.clock.monotonic_s()
        self.suspects: dict[int, int] = {}
        self._context = context
        self._reserved: dict[int, Reservations] = {}
        self._ends: dict[int, int] = {}
        self._turn = 0
        self._changes = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._watch_again_s = 0.0
        self._waits_ended = False

    # --- what there is ------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> dict[int, Partition]:
        """Those that the ledger knows."""
        group = self._context.replica.ledger.groups.get(self.scope)
        return {} if group is None else group.partitions

    def own(self) -> tuple[int, ...]:
        """The partitions that this process looks after; all of them before it told that it is there."""
        context = self._context
        ledger = context.replica.ledger
        members = ledger.members(self.scope, now_us=ledger.now_us)
        if context.member_id not in members:
            return tuple(range(self.partitions_count))
        return assigned_partitions(context.member_id, members, self.scope, self.partitions_count)

    def pick(self, partition_ids: Sequence[int], count: int) -> list[Reservation]:
        """Up to *count* messages, of several partitions in turn; reserved until `release`."""
        now_us = self._context.replica.now_us()
        partitions = self.partitions
        self._turn += 1
        at = self._turn % len(partition_ids) if partition_ids else 0
        having = (
            each
            for each in chain(islice(partition_ids, at, None), islice(partition_ids, at))
            if each in partitions
            and self._reservations(each).has_any(partitions[each], end=self.end(each), now_us=now_us)
        )
        # A topic may have a thousand, and one message is wanted.
        order = list(islice(having, count))
        picks = []
        for index, partition_id in enumerate(order):
            share = -(-count // (len(order) - index))
            offsets = self._reservations(partition_id).pick(
                partitions[partition_id], end=self.end(partition_id), now_us=now_us, count=share
            )
            count -= len(offsets)
            picks.append(Reservation(partition_id, offsets))
            if not count:
                break
        return picks

    def has_any(self, partition_ids: Sequence[int]) -> bool:
        """Whether `pick` would find something."""
        now_us = self._context.replica.now_us()
        partitions = self.partitions
        return any(
            self._reservations(each).has_any(partitions[each], end=self.end(each), now_us=now_us)
            for each in partition_ids
            if each in partitions
        )

    def release(self, pick: Reservation, *, wake: bool) -> None:
        """Whatever came of *pick* is in the ledger; *wake* those who wait where it is there to be had again."""
        self._reservations(pick.partition_id).release(pick.offsets)
        if wake:
            self.changed()

    async def look(self, partition_ids: Sequence[int], deadline: Deadline) -> None:
        """
        Ask the log where these partitions end.

        Raises:
            NotFound, LogError: as `MessageLog.read`.
        """
        for at in range(0, len(partition_ids), limits.GROUP_READS_AT_ONCE):
            some = partition_ids[at : at + limits.GROUP_READS_AT_ONCE]
            await asyncio.gather(*(self._look_at(each, deadline) for each in some))

    async def _look_at(self, partition_id: int, deadline: Deadline) -> None:
        partition = self.partitions.get(partition_id)
        if partition is not None:
            offset = self._reservations(partition_id).next_offset(partition)
            frontier = partition.frontier
            found = await self._context.ahead.find(self.topic, partition_id, [offset], deadline=deadline)
            if not found.messages and found.end_offset < frontier:
                self.suspects[partition_id] = frontier
            self.ends_at(partition_id, found.end_offset)

    def end(self, partition_id: int) -> int:
        """The partition has messages before it, as far as is known."""
        return self._ends.get(partition_id, 0)

    def ends_at(self, partition_id: int, end: int) -> None:
        """The partition has messages before *end*; what is known to be there besides stays so."""
        self._ends[partition_id] = max(end, self.end(partition_id))

    def began_anew(self, partition_id: int) -> None:
        """What was known of the partition's messages does not hold any more."""
        self._ends.pop(partition_id, None)
        self._context.ahead.forget(self.topic)

    def _reservations(self, partition_id: int) -> Reservations:
        found = self._reserved.get(partition_id)
        if found is None:
            found = self._reserved[partition_id] = Reservations()
        return found

    # --- who waits ----------------------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """Goes up whenever there may be more to have."""
        return self._changes

    @property
    def is_blind(self) -> bool:
        """Whether some partitions are not watched, so that who waits must look for himself."""
        return len(self._watchers) < self.partitions_count

    @property
    def waits_ended(self) -> bool:
        """Whether nobody shall wait any more."""
        return self._waits_ended

    def changed(self) -> None:
        """There may be more to have: everybody looks."""
        self._changes += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def folded(self, folded: AppliedRecord) -> None:
        """A record of this group was folded: tell those who wait where it freed something."""
        record = folded.record
        if isinstance(record, Lease) or (isinstance(record, Acknowledge) and record.verb == 0):
            return
        if isinstance(record, Seek | DeleteGroup | ExpireGroup):
            # The topic may have been emptied: nothing is believed, and who waits looks for himself once.
            self._ends.clear()
            self._context.ahead.forget(self.topic)
            self.stop_watching()
        self.changed()

    async def news(self, changes: int, timeout_s: float) -> None:
        """Return when `changes` is no longer *changes*, when a lease ends, or after *timeout_s*."""
        if self._changes != changes or self._waits_ended:
            return
        if self._context.clock.monotonic_s() >= self._watch_again_s:
            self._watch()
        if self.is_blind:
            timeout_s = min(timeout_s, _BLIND_S)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(future)
        self._set_timer()
        timer = loop.call_later(timeout_s, _wake, future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

    def end_waits(self) -> None:
        """Who waits gets what there is: nothing."""
        self._waits_ended = True
        self.changed()

    def _set_timer(self) -> None:
        ends = [end for each in self.partitions.values() if (end := each.next_end_us()) is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ends:
            left_s = max(0, min(ends) - self._context.replica.now_us()) / 1_000_000
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left_s + _END_MARGIN_S, self.changed)

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
            with context.tails.watch(self.topic, partition_id) as watch:
                while True:
                    known = self.end(partition_id)
                    if await watch.beyond(known, Deadline.after(_FAR_S, context.clock)):
                        if (watch.end_offset or 0) <= known:
                            self.began_anew(partition_id)
                        self.ends_at(partition_id, watch.end_offset or 0)
                        self.changed()
                    elif context.tails.waits_ended:
                        self.end_waits()
                        return
        except NotFound:
            del self._watchers[partition_id]
            self.changed()
        except LogError:
            # Too many are watched: who waits looks for himself.
            del self._watchers[partition_id]
            self._watch_again_s = context.clock.monotonic_s() + _BLIND_S
            self.changed()

    def stop_watching(self) -> None:
        """Nobody waited for a while."""
        watchers, self._watchers = self._watchers, {}
        for task in watchers.values():
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
