"""What a process does for the groups beside requests (shell): says that it lives, stores marks, makes snapshots."""

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError, LogError, RequestError
from bridge.groups.assignment import assigned_partitions, is_leader
from bridge.groups.ledger import Group, Ledger
from bridge.groups.records import ExpireGroup, Heartbeat, Leave, Scope
from bridge.groups.served_group import Context
from bridge.messagelog import TopicRef

__all__ = ("Maintenance", "consumer_name")

_log = structlog.get_logger("bridge.groups")
_TIMEOUT_S: Final = 5.0
_TTL_US: Final = limits.GROUP_MEMBER_TTL_MS * 1000
_RENEW_US: Final = _TTL_US // 3


class _Mark(NamedTuple):
    """A partition of a group whose low-water mark is to be stored."""

    scope: Scope
    partition_id: int
    low: int


def consumer_name(group: str) -> str:
    """The consumer that a group's low-water marks are stored for."""
    return f"group.{group}"


class Maintenance:
    """The maintenance of one process; `heartbeat` and `commit_offsets` are called again and again by `Groups.run`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scopes: tuple[Scope, ...] = ()
        #: Where, and at which of its times, that was said.
        self._ledger: Ledger | None = None
        self._renewed_us = 0
        #: What was stored last, by this process.
        self._stored: dict[tuple[Scope, int], int] = {}
        #: The state of each group, and who served it, when its marks were last looked at.
        self._seen: dict[Scope, tuple[int, int, tuple[int, ...]]] = {}

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The groups that this process last said it serves."""
        return self._scopes

    async def heartbeat(self, scopes: tuple[Scope, ...]) -> None:
        """
        Say that this process lives and serves *scopes*, where that is due or they have changed.

        It is due by the ledger's own time, which stands still where no group is used: then nobody writes to say that he
        is there. What others say of themselves does not count as use, else all would answer each other for ever.

        Raises:
            LogError: if that could not be said.
        """
        replica = self._context.replica
        due = replica.active_us - self._renewed_us >= _RENEW_US or self.is_out
        if scopes == self._scopes and not (due and scopes):
            return
        if not scopes:
            await self.leave()
            return
        record = Heartbeat(replica.new_id(), self._context.member_id, limits.GROUP_MEMBER_TTL_MS, scopes)
        await replica.tell(record, deadline=Deadline.after(_TIMEOUT_S, self._context.clock))
        self._scopes = scopes
        self._ledger, self._renewed_us = replica.ledger, replica.ledger.now_us

    @property
    def is_out(self) -> bool:
        """Whether others do not know any more, or never knew, that this process serves what it does."""
        ledger = self._context.replica.ledger
        return ledger is not self._ledger or ledger.now_us - self._renewed_us >= _TTL_US

    async def leave(self) -> None:
        """Say that this process serves no group any more, if it said that it did."""
        if self._scopes:
            replica = self._context.replica
            record = Leave(replica.new_id(), self._context.member_id)
            await replica.tell(record, deadline=Deadline.after(_TIMEOUT_S, self._context.clock))
            self._scopes = ()

    async def snapshot(self, *, at_once: bool = False) -> None:
        """Store the ledger's state, where this process is the one that does, or nobody has said that he is there."""
        replica = self._context.replica
        members = replica.ledger.members(now_us=replica.now_us())
        if not members or is_leader(self._context.member_id, members):
            deadline = Deadline.after(_TIMEOUT_S, self._context.clock)
            await replica.snapshot(at_once=at_once, alone=bool(members), deadline=deadline)

    async def commit_offsets(self) -> None:
        """Store the low-water marks of the partitions looked after here that have moved."""
        marks = list(self._moved())
        for at in range(0, len(marks), limits.GROUP_READS_AT_ONCE):
            some = marks[at : at + limits.GROUP_READS_AT_ONCE]
            await asyncio.gather(*map(self._store, some))

    def _moved(self) -> Iterator[_Mark]:
        replica = self._context.replica
        now_us = replica.now_us()
        ledger = replica.ledger
        for gone in self._seen.keys() - ledger.groups.keys():
            self.forget(gone)
        everybody = ledger.members(now_us=now_us) or (self._context.member_id,)
        for scope, group in ledger.groups.items():
            # Where nobody receives any more, somebody must: acks still come.
            members = ledger.members(scope, now_us=now_us) or everybody
            seen = (id(group), group.changes, members)
            if self._seen.get(scope) == seen:
                continue
            self._seen[scope] = seen
            partitions = group.partitions
            for partition_id in assigned_partitions(
                self._context.member_id, members, scope, 1 + max(partitions, default=-1)
            ):
                partition = partitions.get(partition_id)
                if partition is not None and self._stored.get((scope, partition_id), 0) != partition.low:
                    yield _Mark(scope, partition_id, partition.low)

    async def _store(self, mark: _Mark) -> None:
        scope, partition_id, low = mark
        context = self._context
        topic, consumer = TopicRef(scope.stream, scope.topic), consumer_name(scope.group)
        deadline = Deadline.after(_TIMEOUT_S, context.clock)
        try:
            if low:
                await context.log.store_offset(topic, partition_id, consumer, low - 1, deadline=deadline)
            else:
                await context.log.delete_offset(topic, partition_id, consumer, deadline=deadline)
        except RequestError as error:
            # The topic is gone or was emptied: the next receiver finds out. Not tried again for the same mark.
            _log.info("group_mark_refused", **scope._asdict(), partition_id=partition_id, reason=error.code)
        except LogError as error:
            _log.debug("group_mark_put_off", reason=error.code)
            self._seen.pop(scope, None)
            return
        self._stored[scope, partition_id] = low

    async def expire(self, scope: Scope, group: Group, *, keep_marks: bool) -> None:
        """
        End a group that nobody uses any more, unless somebody does meanwhile; its marks stay with the log's topic.

        Raises:
            LogError: if that could not be said.
        """
        for partition_id, partition in tuple(group.partitions.items()):
            if keep_marks and partition.low and self._stored.get((scope, partition_id), 0) != partition.low:
                await self._store(_Mark(scope, partition_id, partition.low))
        replica = self._context.replica
        record = ExpireGroup(replica.new_id(), scope, group.used_us)
        await replica.tell(record, deadline=Deadline.after(_TIMEOUT_S, self._context.clock))
        _log.info("group_expired", **scope._asdict(), used_us=group.used_us)

    def forget(self, scope: Scope) -> None:
        """The group is no more."""
        self._seen.pop(scope, None)
        for key in [each for each in self._stored if each[0] == scope]:
            del self._stored[key]

    async def finish(self) -> None:
        """The last of everything, for a process that ends; what fails is told and passed over."""
        for step in (self.commit_offsets, lambda: self.snapshot(at_once=True), self.leave):
            try:
                await step()
            except BridgeError as error:
                _log.warning("group_duty_failed", code=error.code, detail=error.detail)
