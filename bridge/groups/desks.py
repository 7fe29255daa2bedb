"""The desks of a process (shell): opened at first use, given up when nobody came for long."""

import asyncio
from collections.abc import Iterator
from typing import Final

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BadRequest, NotFound
from bridge.groups.desk import Context, Desk
from bridge.groups.duties import consumer_name
from bridge.groups.ledger import Folded
from bridge.groups.records import Expire, Forget, Open, Scope, Start
from bridge.messagelog import TopicRef

__all__ = ("Desks",)

# Consumers that come again and again find their partitions watched.
_LINGER_S: Final = 5.0
# For what is mostly known already.
_LOOK_TIMEOUT_S: Final = 3.0


class Desks:
    """One desk for each group that this process served lately."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._desks: dict[Scope, Desk] = {}

    def __iter__(self) -> Iterator[Desk]:
        return iter(tuple(self._desks.values()))

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The groups that somebody receives from, or did a moment ago, and that the ledger knows; in order."""
        now_s = self._context.clock.monotonic_s()
        return tuple(
            sorted(
                scope
                for scope, desk in self._desks.items()
                if desk.partitions and (desk.receivers or now_s - desk.used_s < limits.GROUP_MEMBER_LINGER_S)
            )
        )

    def idle_s(self, scope: Scope) -> float | None:
        """For how long nobody has received from that group here, or waited; None where nobody did lately."""
        desk = self._desks.get(scope)
        if desk is None:
            return None
        return 0.0 if desk.receivers else self._context.clock.monotonic_s() - desk.used_s

    async def open(self, scope: Scope, deadline: Deadline) -> Desk:
        """
        The desk of *scope*, all of whose partitions the ledger knows.

        Raises:
            StreamNotFound, TopicNotFound: if the topic is missing.
            BadRequest: if there are as many groups as there may be.
            LogError: if the ledger or the log could not be asked.
        """
        topic = TopicRef(scope.stream, scope.topic)
        count = await self._context.log.partitions_count(topic, deadline=deadline)
        desk = self._desks.get(scope)
        if desk is None:
            desk = self._desks[scope] = Desk(scope, self._context)
        desk.used_s = self._context.clock.monotonic_s()
        desk.partitions_count = count
        try:
            missing = [each for each in range(count) if each not in desk.partitions]
            if missing:
                self._check_room(scope, len(missing))
                await self._take_up(desk, missing, deadline)
                # Others may have taken the room meanwhile: a group without all its partitions would keep messages back.
                self._check_room(scope, sum(each not in desk.partitions for each in missing))
        except BadRequest:
            if not desk.receivers:
                self._desks.pop(scope, None)
            raise
        return desk

    def _check_room(self, scope: Scope, partitions: int) -> None:
        """
        Whether *partitions* more of a group may be taken up.

        Raises:
            BadRequest: if not; it says which bound was met.
        """
        ledger = self._context.coordination.ledger
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
        for desk in self:
            if desk.receivers:
                deadline = Deadline.after(_LOOK_TIMEOUT_S, self._context.clock)
                try:
                    count = await self._context.log.partitions_count(desk.topic, deadline=deadline)
                except NotFound:
                    count = 0
                if count != desk.partitions_count:
                    desk.changed()

    async def _take_up(self, desk: Desk, missing: list[int], deadline: Deadline) -> None:
        log, consumer = self._context.log, consumer_name(desk.scope.group)
        starts: list[Start] = []
        for at in range(0, len(missing), limits.GROUP_READS_AT_ONCE):
            some = missing[at : at + limits.GROUP_READS_AT_ONCE]
            stored = await asyncio.gather(
                *(log.stored_offset(desk.topic, each, consumer, deadline=deadline) for each in some)
            )
            starts += (
                Start(each, 0 if found is None else found.offset + 1)
                for each, found in zip(some, stored, strict=True)
            )
        record = Open(self._context.coordination.new_id(), desk.scope, tuple(starts))
        await self._context.coordination.tell(record, deadline=deadline)

    def folded(self, scope: Scope, folded: Folded) -> None:
        """A record of this group was folded."""
        if isinstance(folded.record, Forget | Expire):
            # Its topic may have been emptied or made anew: what was read of it holds no more.
            self._context.ahead.forget(TopicRef(scope.stream, scope.topic))
        desk = self._desks.get(scope)
        if desk is not None:
            desk.folded(folded)

    def tidy(self) -> None:
        """Watch no longer for those that nobody waits at, and give up those that nobody came to for long."""
        for scope, desk in tuple(self._desks.items()):
            idle_s = self.idle_s(scope) or 0.0
            if idle_s >= _LINGER_S:
                desk.stop_watching()
            if idle_s >= limits.GROUP_IDLE_S:
                del self._desks[scope]

    def end_waits(self) -> None:
        """Who waits at any of them gets nothing, now."""
        for desk in self:
            desk.end_waits()

    def close(self) -> None:
        """Watch nothing any more."""
        for desk in self:
            desk.stop_watching()
