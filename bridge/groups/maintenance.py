"""What a process does for the groups beside requests (shell).

It sends heartbeats, commits offsets, makes snapshots, measures how every group stands, and ends those that nobody uses.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, TypeAlias

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError, LogError, RequestError
from bridge.flow.timers import is_set_within, some_at_once
from bridge.groups.assignment import assigned_partitions, is_leader
from bridge.groups.inspection import group_stats
from bridge.groups.ledger import Group, Ledger
from bridge.groups.oldest_messages import GroupPartitionId, OldestMessages
from bridge.groups.records import ExpireGroup, GroupRef, Heartbeat, Leave, Record
from bridge.groups.served_groups import GroupsContext, ServedGroups
from bridge.groups.values import consumer_name
from bridge.messagelog import TopicRef
from bridge.telemetry.group_metrics import GroupMetrics, GroupStats

_log = structlog.get_logger("bridge.groups")
_TIMEOUT_S: Final = 5.0
_TTL_US: Final = limits.GROUP_MEMBER_TTL_MS * 1000
_HEARTBEAT_US: Final = _TTL_US // 3
#: A partition of a group, and its low-water mark: the offset before it is to be committed.
_Commit: TypeAlias = tuple[GroupRef, int, int]


class Maintenance:
    """The maintenance of one process.

    Args:
        is_idle: whether no group was used here for long.
        unused_s_max: a group that nobody uses for longer ends; 0 keeps all.

    Attributes:
        due: set where the next turn should not wait for its second.
        refs: the groups that this process last said it serves.
    """

    def __init__(
        self,
        context: GroupsContext,
        served_groups: ServedGroups,
        metrics: GroupMetrics,
        *,
        is_idle: Callable[[], bool],
        unused_s_max: float,
    ) -> None:
        self.due = asyncio.Event()
        self.refs: tuple[GroupRef, ...] = ()
        self._context = context
        self._replica = context.replica
        self._oldest = OldestMessages(context.log)
        self._served_groups = served_groups
        self._metrics = metrics
        self._is_idle = is_idle
        self._unused_s_max = unused_s_max
        #: Where, and at which of its times, the last heartbeat was.
        self._ledger: Ledger | None = None
        self._heartbeat_us = 0
        #: What was committed last, by this process.
        self._committed: dict[GroupPartitionId, int] = {}
        #: The state of each group, and who served it, when its offsets were last looked at.
        self._seen: dict[GroupRef, tuple[int, int, tuple[int, ...]]] = {}

    async def run(self) -> NoReturn:
        """Turn after turn, a second from each other, while the ledger is followed; ends by cancellation only."""
        failed: str | None = None
        while True:
            await is_set_within(self.due, limits.GROUP_COMMIT_INTERVAL_S)
            self.due.clear()
            if not self._replica.is_followed:
                continue
            try:
                await self.turn()
            except BridgeError as error:
                # Told when it changes: a full disk, for one, may stay so for hours.
                if error.code != failed:
                    _log.warning("group_duty_failed", code=error.code, detail=error.detail)
                failed = error.code
            else:
                failed = None

    async def turn(self) -> None:
        """All that is due; what could not be done raises `LogError`, and is done again at the next turn."""
        self._served_groups.tidy()
        await self.heartbeat(self._served_groups.refs)
        await self.commit_offsets()
        await self.snapshot()
        await self._served_groups.look()
        if self._is_idle():
            await self.finish()
            if self._is_idle():
                self._replica.rest()

    async def finish(self) -> None:
        """The last of everything, for a process that ends; what fails is logged and passed over."""
        for step in (self.commit_offsets, lambda: self.snapshot(at_once=True), self.leave):
            try:
                await step()
            except BridgeError as error:
                _log.warning("group_duty_failed", code=error.code, detail=error.detail)

    # --- membership and snapshots -------------------------------------------------------------------------------

    async def heartbeat(self, refs: tuple[GroupRef, ...]) -> None:
        """Say that this process lives and serves *refs*, where that is due or they have changed.

        It is due by the ledger's own time, which stands still where no group is used: then nobody writes to say that he
        is there. What others say of themselves does not count as use, else all would answer each other for ever.

        Raises:
            LogError: if that could not be said.
        """
        replica = self._replica
        due = replica.active_us - self._heartbeat_us >= _HEARTBEAT_US or self.is_out
        if refs == self.refs and not (due and refs):
            return
        if not refs:
            await self.leave()
            return
        await self._write(
            Heartbeat(replica.new_id(), self._context.member_id, limits.GROUP_MEMBER_TTL_MS, refs)
        )
        self.refs = refs
        self._ledger, self._heartbeat_us = replica.ledger, replica.ledger.now_us

    @property
    def is_out(self) -> bool:
        """Whether others do not know any more, or never knew, that this process serves what it does."""
        ledger = self._replica.ledger
        return ledger is not self._ledger or ledger.now_us - self._heartbeat_us >= _TTL_US

    async def leave(self) -> None:
        """Say that this process serves no group any more, if it said that it did."""
        if self.refs:
            await self._write(Leave(self._replica.new_id(), self._context.member_id))
            self.refs = ()

    async def snapshot(self, *, at_once: bool = False) -> None:
        """Store the ledger's state, where this process is the one that does, or nobody has said that he is there."""
        members = self._replica.ledger.members(now_us=self._replica.now_us())
        if not members or is_leader(self._context.member_id, members):
            await self._replica.snapshot(at_once=at_once, alone=bool(members), deadline=self._deadline())

    async def _write(self, record: Record) -> None:
        await self._replica.write(record, deadline=self._deadline())

    def _deadline(self) -> Deadline:
        return Deadline.after(_TIMEOUT_S, self._context.clock)

    # --- committed offsets --------------------------------------------------------------------------------------

    async def commit_offsets(self) -> None:
        """Store the committed offsets of the partitions looked after here that have moved."""
        await some_at_once(self._commit, list(self._moved()), limits.GROUP_READS_AT_ONCE)

    def _moved(self) -> Iterator[_Commit]:
        ledger, now_us, member_id = self._replica.ledger, self._replica.now_us(), self._context.member_id
        for gone in self._seen.keys() - ledger.groups.keys():
            self.forget(gone)
        everybody = ledger.members(now_us=now_us) or (member_id,)
        for ref, group in ledger.groups.items():
            # Where nobody receives any more, somebody must: acks still come.
            members = ledger.members(ref, now_us=now_us) or everybody
            seen = (id(group), group.changes, members)
            if self._seen.get(ref) == seen:
                continue
            self._seen[ref] = seen
            count = 1 + max(group.partitions, default=-1)
            for partition_id in assigned_partitions(member_id, members, ref, count):
                if partition_id in group.partitions:
                    yield from self._unstored(ref, group, partition_id)

    def _unstored(self, ref: GroupRef, group: Group, partition_id: int) -> Iterator[_Commit]:
        low = group.partitions[partition_id].low
        if self._committed.get((ref, partition_id), 0) != low:
            yield ref, partition_id, low

    async def _commit(self, commit: _Commit) -> None:
        ref, partition_id, low = commit
        log, deadline = self._context.log, self._deadline()
        topic, consumer = TopicRef(ref.stream, ref.topic), consumer_name(ref.group)
        try:
            if low:
                await log.store_offset(topic, partition_id, consumer, low - 1, deadline=deadline)
            else:
                await log.delete_offset(topic, partition_id, consumer, deadline=deadline)
        except RequestError as error:
            # The topic is gone or was emptied: the next receiver finds out. Not tried again for the same offset.
            _log.info("group_mark_refused", **ref._asdict(), partition_id=partition_id, reason=error.code)
        except LogError as error:
            _log.debug("group_mark_put_off", reason=error.code)
            self._seen.pop(ref, None)
            return
        self._committed[ref, partition_id] = low

    def forget(self, ref: GroupRef) -> None:
        """The group is no more."""
        self._seen.pop(ref, None)
        for key in [each for each in self._committed if each[0] == ref]:
            del self._committed[key]

    # --- how groups stand, and which are over -------------------------------------------------------------------

    async def measure(self) -> NoReturn:
        """Look at all groups now and then, for a tenth of the time at most; ends by cancellation only."""
        rest_s = limits.GROUP_STATS_INTERVAL_S
        while True:
            await asyncio.sleep(rest_s)
            began_s, share = self._context.clock.monotonic_s(), limits.GROUP_STATS_SHARE
            try:
                await self.measure_once()
            except BridgeError as error:
                share = limits.GROUP_STATS_FAILED_SHARE
                _log.debug("group_standing_not_known", code=error.code)
            took_s = self._context.clock.monotonic_s() - began_s
            rest_s = max(limits.GROUP_STATS_INTERVAL_S, took_s / share)

    async def measure_once(self) -> None:
        """Tell how every group stands, whoever uses it or not, and end those that nobody used for long."""
        stats: dict[GroupRef, GroupStats | None] | None = None
        try:
            if self._replica.is_known:
                deadline = Deadline.after(limits.GROUP_STATS_TIMEOUT_S, self._context.clock)
                stats = await group_stats(self._context, self._oldest, deadline=deadline)
        finally:
            self._metrics.groups_measured(
                None if stats is None else {(*ref,): each for ref, each in stats.items()}
            )
        for ref, each in (stats or {}).items():
            group = self._replica.ledger.groups.get(ref)
            if group is not None and self._is_over(ref, group, topic_is_there=each is not None):
                await self._expire(ref, group, keep_offsets=each is not None)

    def _is_over(self, ref: GroupRef, group: Group, *, topic_is_there: bool) -> bool:
        """Whether a group is of no use any more; who receives without getting anything uses it too."""
        served = self._served_groups.get(ref)
        if served is not None and served.receivers:
            return False
        unused_s = (self._context.clock.now_us() - group.used_us) / 1_000_000
        if served is not None:
            unused_s = min(unused_s, served.idle_s)
        return not topic_is_there or 0 < self._unused_s_max <= unused_s

    async def _expire(self, ref: GroupRef, group: Group, *, keep_offsets: bool) -> None:
        """End a group that nobody uses any more, unless somebody does meanwhile; its committed offsets stay in the log."""
        if keep_offsets:
            for partition_id in tuple(group.partitions):
                for commit in self._unstored(ref, group, partition_id):
                    await self._commit(commit)
        await self._write(ExpireGroup(self._replica.new_id(), ref, group.used_us))
        _log.info("group_expired", **ref._asdict(), used_us=group.used_us)
