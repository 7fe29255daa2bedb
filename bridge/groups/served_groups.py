"""The groups that a process serves (shell): opened at first use, given up when nobody came for long."""

import asyncio
from collections.abc import Iterator
from typing import Final

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BadRequest, NotFound
from bridge.groups.ledger import AppliedRecord
from bridge.groups.maintenance import consumer_name
from bridge.groups.records import DeleteGroup, ExpireGroup, Open, Scope, Start
from bridge.groups.served_group import Context, ServedGroup
from bridge.messagelog import TopicRef

__all__ = ("ServedGroups",)

# Consumers that come again and again find their partitions watched.
_LINGER_S: Final = 5.0
# For what is mostly known already.
_LOOK_TIMEOUT_S: Final = 3.0


class ServedGroups:
    """One for each group that this process served lately."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._served_groups: dict[Scope, ServedGroup] = {}

    def __iter__(self) -> Iterator[ServedGroup]:
        return iter(tuple(self._served_groups.values()))

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The groups that somebody receives from, or did a moment ago, and that the ledger knows; in order."""
        now_s = self._context.clock.monotonic_s()
        return tuple(
            sorted(
                scope
                for scope, served in self._served_groups.items()
                if served.partitions
                and (served.receivers or now_s - served.used_s < limits.GROUP_MEMBER_LINGER_S)
            )
        )

    def idle_s(self, scope: Scope) -> float | None:
        """For how long nobody has received from that group here, or waited; None where nobody did lately."""
        served = self._served_groups.get(scope)
        if served is None:
            return None
        return 0.0 if served.receivers else self._context.clock.monotonic_s() - served.used_s

    async def open(self, scope: Scope, deadline: Deadline) -> ServedGroup:
        """
        The served of *scope*, all of whose partitions the ledger knows.

        Raises:
            StreamNotFound, TopicNotFound: if the topic is missing.
            BadRequest: if there are as many groups as there may be.
            LogError: if the ledger or the log could not be asked.
        """
        topic = TopicRef(scope.stream, scope.topic)
        count = await self._context.log.partitions_count(topic, deadline=deadline)
        served = self._served_groups.get(scope)
        if served is None:
            served = self._served_groups[scope] = ServedGroup(scope, self._context)
        served.used_s = self._context.clock.monotonic_s()
        served.partitions_count = count
        try:
            missing = [each for each in range(count) if each not in served.partitions]
            if missing:
                self._check_room(scope, len(missing))
                await self._take_up(served, missing, deadline)
                # Others may have taken the room meanwhile: a group without all its partitions would keep messages back.
                self._check_room(scope, sum(each not in served.partitions for each in missing))
        except BadRequest:
            if not served.receivers:
                self._served_groups.pop(scope, None)
            raise
        return served

    def _check_room(self, scope: Scope, partitions: int) -> None:
        """
        Whether *partitions* more of a group may be taken up.

        Raises:
            BadRequest: if not; it says which bound was met.
        """
        ledger = self._context.replica.ledger
        if not partitions:
            return
        if scope not in ledger.groups and len(ledger.groups) >= limits.GROUPS_MAX:
            raise BadRequest(
                f"There are {limits.GROUPS_MAX} groups, as many as there may be: delete one, or wait until an unused "
                "one ends (GROUPS_UNUSED_SECS).",
                path="group",
                limit=limits.GROUPS_MAX,
            )
        if ledger.partitions_count + partitions > limits.GROUP_PARTITIONS_MAX:
            raise BadRequest(
                f"All groups together have {limits.GROUP_PARTITIONS_MAX} partitions at most: delete one, or wait "
                "until an unused one ends (GROUPS_UNUSED_SECS).",
                path="group",
                limit=limits.GROUP_PARTITIONS_MAX,
            )

    async def look(self) -> None:
        """
        Let those who wait look where their topic is gone, or has another number of partitions.

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

    async def _take_up(self, served: ServedGroup, missing: list[int], deadline: Deadline) -> None:
        log, consumer = self._context.log, consumer_name(served.scope.group)
        starts: list[Start] = []
        for at in range(0, len(missing), limits.GROUP_READS_AT_ONCE):
            some = missing[at : at + limits.GROUP_READS_AT_ONCE]
            stored = await asyncio.gather(
                *(log.stored_offset(served.topic, each, consumer, deadline=deadline) for each in some)
            )
            starts += (
                Start(each, 0 if found is None else found.offset + 1)
                for each, found in zip(some, stored, strict=True)
            )
        record = Open(self._context.replica.new_id(), served.scope, tuple(starts))
        await self._context.replica.tell(record, deadline=deadline)

    def folded(self, scope: Scope, folded: AppliedRecord) -> None:
        """A record of this group was folded."""
        if isinstance(folded.record, DeleteGroup | ExpireGroup):
            # Its topic may have been emptied or made anew: what was read of it holds no more.
            self._context.ahead.forget(TopicRef(scope.stream, scope.topic))
        served = self._served_groups.get(scope)
        if served is not None:
            served.folded(folded)

    def tidy(self) -> None:
        """Watch no longer for those that nobody waits at, and give up those that nobody came to for long."""
        for scope, served in tuple(self._served_groups.items()):
            idle_s = self.idle_s(scope) or 0.0
            if idle_s >= _LINGER_S:
                served.stop_watching()
            if idle_s >= limits.GROUP_IDLE_S:
                del self._served_groups[scope]

    def end_waits(self) -> None:
        """Who waits at any of them gets nothing, now."""
        for served in self:
            served.end_waits()

    def close(self) -> None:
        """Watch nothing any more."""
        for served in self:
            served.stop_watching()
