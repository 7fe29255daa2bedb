"""Groups without sticky sessions (shell over `ledger.py`).

What a group did is agreed in the ledger, a topic of the log, so any process serves any request: what one handed out, any
other takes the ack for. See `receiving.py` for how messages are found and `ledger_replica.py` for how records are written.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.config import GroupsConfig
from bridge.errors import BadRequest, NotFound, Overloaded
from bridge.flow.following.tails import Tails
from bridge.groups.inspection import group_info, seek_starts
from bridge.groups.ledger import AppliedRecord, LeaseResult
from bridge.groups.ledger_replica import LedgerReplica
from bridge.groups.ledger_topics import LEDGER
from bridge.groups.maintenance import Maintenance
from bridge.groups.partition import AckOutcome
from bridge.groups.read_ahead import ReadAhead
from bridge.groups.receiving import ReceiveOptions, Receiving, leased_ranges
from bridge.groups.records import AckKind, DeleteGroup, ExpireGroup, GroupRef, Heartbeat, Lease, Leave, Seek
from bridge.groups.served_groups import GroupsContext, ServedGroup, ServedGroups
from bridge.groups.tokens import Token
from bridge.groups.values import (
    Delivery,
    GroupInfo,
    SeekResult,
    SeekTo,
    TokenResult,
    bounded,
    consumer_name,
    ref_of,
)
from bridge.messagelog import Appender, MessageLog, TopicRef
from bridge.telemetry.group_metrics import GroupMetrics


class Groups:
    """All groups of one log, as one process serves them; `run` must run beside.

    Names of streams and topics are taken as valid. Every method ends by its deadline, and raises besides what it says:

    Raises:
        StreamNotFound, TopicNotFound: if the topic is missing.
        BadRequest: if an argument is out of bounds; its `path` is the argument's name.
        LogError: if the log did not do it; with its outcome where something was to be written.
    """

    def __init__(
        self,
        log: MessageLog,
        appender: Appender,
        tails: Tails,
        *,
        config: GroupsConfig,
        clock: Clock,
        observer: GroupMetrics,
    ) -> None:
        self._log = log
        self._config = config
        self._own = config.stream.lower()
        self._clock = clock
        self._receivers = 0
        self._used_s = clock.monotonic_s()
        self._waits_ended = False
        self._replica = replica = LedgerReplica(log, appender, tails, stream=config.stream, clock=clock)
        self._context = context = GroupsContext(
            log, tails, replica, ReadAhead(log, clock), clock, replica.new_id()
        )
        self._served_groups = ServedGroups(context)
        self._receiving = Receiving(context, self._served_groups, appender, observer)
        self._maintenance = Maintenance(
            context, self._served_groups, observer, is_idle=self._is_idle, unused_s_max=config.unused_s
        )
        replica.on_applied = self._applied
        replica.pending.on_orphan = self._orphaned

    def is_own(self, stream: str) -> bool:
        """Whether *stream* is the bridge's own, in whatever letters: some logs take them for the same."""
        return stream.lower() == self._own

    # --- messages -----------------------------------------------------------------------------------------------

    async def receive(
        self,
        topic: TopicRef,
        group: str,
        *,
        count: int,
        wait_s: float,
        visibility_ms: int | None = None,
        max_deliveries: int | None = None,
        deadline: Deadline,
    ) -> tuple[Delivery, ...]:
        """Up to *count* messages under a lease of *visibility_ms*; those there are at once, else the first that come.

        None of them is given to anybody else before its lease has ended, on any replica. What comes again comes first.

        Args:
            wait_s: how long to wait for the first message.
            max_deliveries: a message given out so often goes to the dead-letter topic instead.

        Raises:
            Overloaded: if too many wait already.
        """
        options = ReceiveOptions(
            bounded("count", count, 1, limits.GROUP_RECEIVE_MESSAGES_MAX),
            self._visibility_ms(visibility_ms),
            bounded(
                "max_deliveries",
                self._config.max_deliveries if max_deliveries is None else max_deliveries,
                1,
                limits.GROUP_DELIVERIES_MAX,
            ),
        )
        ref = ref_of(topic, group)
        if self._receivers >= limits.GROUP_RECEIVERS_MAX:
            raise Overloaded("Too many receivers are waiting.", retry_after_ms=1000)
        self._receivers += 1
        try:
            served = await self._opened(ref, deadline)
            served.receivers += 1
            wait_s = 0.0 if self._waits_ended else wait_s
            try:
                return await self._receiving.receive(served, options, wait_s=wait_s, deadline=deadline)
            finally:
                served.receivers -= 1
                served.used_s = self._used_s = self._clock.monotonic_s()
        finally:
            self._receivers -= 1

    async def acknowledge(
        self,
        topic: TopicRef,
        group: str,
        kind: AckKind,
        texts: Sequence[str],
        *,
        delay_ms: int | None = None,
        deadline: Deadline,
    ) -> tuple[TokenResult, ...]:
        """Ack, nack or extend messages; the answer to each token, in their order.

        Args:
            texts: the tokens.
            delay_ms: how long a nacked message keeps back, 0 if None; how long an extended lease holds from now on.
        """
        ref = ref_of(topic, group)
        bounded("tokens", len(texts), 1, limits.GROUP_TOKENS_MAX)
        if kind is AckKind.EXTEND:
            delay_ms = self._visibility_ms(delay_ms)
        else:
            delay_ms = bounded("delay_ms", delay_ms or 0, 0, limits.GROUP_NACK_DELAY_MS_MAX)
        if not self._replica.has_token_key and not await self._has_ledger(deadline):
            # Strangers' tokens should not make the ledger's topics.
            raise BadRequest("This is no token of a message of this group.", path="tokens[0]")
        await self._start(deadline)
        known = self._replica.tokens(ref)
        tokens = [known.read(text, path=f"tokens[{index}]") for index, text in enumerate(texts)]
        until_us, outcomes = await self._replica.acknowledge(
            ref, kind, leased_ranges(tokens), delay_ms=delay_ms, deadline=deadline
        )
        return tuple(
            TokenResult(
                text, outcome, until_us if (kind, outcome) == (AckKind.EXTEND, AckOutcome.DONE) else None
            )
            for text, outcome in zip(texts, map(outcomes.__getitem__, tokens), strict=True)
        )

    def give_back(self, topic: TopicRef, group: str, deliveries: Sequence[Delivery]) -> None:
        """Messages that never reached their consumer: others get them at once, and they do not count as given."""
        ref = ref_of(topic, group)
        tokens = self._replica.tokens(ref)
        self._receiving.give_back(ref, [tokens.read(each.token, path="token") for each in deliveries])

    # --- groups -------------------------------------------------------------------------------------------------

    async def groups(self, topic: TopicRef, *, deadline: Deadline) -> tuple[GroupInfo, ...]:
        """The groups that ever received from *topic*, by name."""
        info = await self._log.topic(topic, deadline=deadline)
        if not await self._has_ledger(deadline):
            return ()
        await self._start(deadline)
        refs = sorted(each for each in self._replica.ledger.groups if each[:2] == topic)
        return tuple(group_info(self._context, each, info) for each in refs)

    async def group(self, topic: TopicRef, name: str, *, deadline: Deadline) -> GroupInfo:
        """One group.

        Raises:
            NotFound: if nobody ever received from *topic* by that name.
        """
        ref = ref_of(topic, name)
        info = await self._log.topic(topic, deadline=deadline)
        await self._find(ref, deadline)
        return group_info(self._context, ref, info)

    async def seek(
        self,
        topic: TopicRef,
        name: str,
        to: SeekTo | Mapping[int, SeekTo],
        *,
        dry_run: bool,
        deadline: Deadline,
    ) -> tuple[SeekResult, ...]:
        """Let the group go on elsewhere, in all partitions or in those given; leases and acks from before are forgotten.

        Args:
            dry_run: only say where it would go on.

        Raises:
            PartitionNotFound: if there is no such partition.
        """
        ref = ref_of(topic, name)
        starts = await seek_starts(self._log, topic, to, deadline=deadline)
        if dry_run:
            await self._start(deadline)
        else:
            await self._opened(ref, deadline)
        group = self._replica.ledger.groups.get(ref)
        partitions = {} if group is None else group.partitions
        moved = tuple(
            SeekResult(each.partition_id, found.low if found else 0, each.offset)
            for each in starts
            for found in (partitions.get(each.partition_id),)
        )
        if not dry_run:
            await self._replica.write(Seek(self._replica.new_id(), ref, starts), deadline=deadline)
        return moved

    async def delete(self, topic: TopicRef, name: str, *, deadline: Deadline) -> None:
        """Delete a group, with its stored offsets; one that still receives begins again at the oldest message.

        Raises:
            NotFound: if there is no such group.
        """
        ref = ref_of(topic, name)
        count = await self._log.partitions_count(topic, deadline=deadline)
        await self._find(ref, deadline)
        await self._replica.write(DeleteGroup(self._replica.new_id(), ref), deadline=deadline)
        for partition_id in range(count):
            await self._log.delete_offset(topic, partition_id, consumer_name(name), deadline=deadline)

    async def forget(self, stream: str, topic: str | None = None, *, deadline: Deadline) -> None:
        """Delete all groups of a topic, or stream, that was emptied or deleted: who receives again begins at its oldest.

        Who empties it past this method is found out once a partition has fewer messages than were given out of it.
        """
        if not await self._has_ledger(deadline):
            return
        await self._start(deadline)
        for ref in tuple(self._replica.ledger.groups):
            if ref.stream == stream and topic in (None, ref.topic):
                await self._replica.write(DeleteGroup(self._replica.new_id(), ref), deadline=deadline)

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Follow the ledger and do this process's maintenance while groups are used; ends by cancellation only."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._replica.run(), name="groups ledger")
            group.create_task(self._maintenance.run(), name="groups maintenance")
            group.create_task(self._maintenance.measure(), name="groups figures")
        raise RuntimeError("the groups ended by themselves")

    def end_waits(self) -> None:
        """For a process that ends: whoever waits gets nothing, now."""
        self._waits_ended = True
        self._served_groups.end_waits()

    async def release(self) -> None:
        """For a process that ends, when no request is under way: commit offsets, leave, take no more."""
        self.end_waits()
        await self._receiving.finish()
        if self._replica.is_followed:
            await self._maintenance.finish()
        self._replica.close()
        self._served_groups.close()

    def _is_idle(self) -> bool:
        return not self._receivers and self._clock.monotonic_s() - self._used_s >= limits.GROUP_IDLE_S

    async def _start(self, deadline: Deadline) -> None:
        self._used_s = self._clock.monotonic_s()
        await self._replica.started(deadline)

    async def _find(self, ref: GroupRef, deadline: Deadline) -> None:
        await self._start(deadline)
        if ref not in self._replica.ledger.groups:
            raise NotFound("There is no such group of this topic.", path="group")

    async def _has_ledger(self, deadline: Deadline) -> bool:
        """Whether any group was ever used; asking for groups should not make the ledger's topics."""
        if self._replica.is_followed:
            return True
        ledger = TopicRef(self._config.stream, LEDGER)
        try:
            await self._log.partitions_count(ledger, deadline=deadline)
        except NotFound:
            return False
        return True

    async def _opened(self, ref: GroupRef, deadline: Deadline) -> ServedGroup:
        await self._start(deadline)
        served = await self._served_groups.open(ref, deadline)
        if ref not in self._maintenance.refs:
            self._maintenance.due.set()
        return served

    def _visibility_ms(self, visibility_ms: int | None) -> int:
        asked = self._config.visibility_ms if visibility_ms is None else visibility_ms
        return bounded("visibility_ms", asked, limits.GROUP_VISIBILITY_MS_MIN, limits.GROUP_VISIBILITY_MS_MAX)

    def _applied(self, applied: AppliedRecord) -> None:
        record = applied.record
        if isinstance(record, Heartbeat | Leave):
            # Who looks after what may have changed; nothing came free by it.
            return
        if self._maintenance.refs and self._maintenance.is_out:
            # Groups are used again after a rest, in which nobody said that he is there.
            self._maintenance.due.set()
        if isinstance(record, DeleteGroup | ExpireGroup):
            self._maintenance.forget(record.ref)
        self._served_groups.applied(record.ref, applied)

    def _orphaned(self, applied: AppliedRecord) -> None:
        record, result = applied
        if isinstance(record, Lease) and isinstance(result, LeaseResult):
            given = [
                Token(each, one.offset, record.id) for each, granted in result.granted for one in granted
            ]
            self._receiving.give_back(record.ref, given)
