"""Handing out messages: pick, read, lease, and what is not to be handed out (shell)."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import AlreadyExists, BridgeError, NotFound
from bridge.groups.dead_letters import dead_letter, dead_letter_topic
from bridge.groups.ledger import LeaseResult
from bridge.groups.ledger_replica import Appender
from bridge.groups.records import Acknowledge, Advance, Hold, Lease, Scope, Seek, Start
from bridge.groups.reservations import ranges_of
from bridge.groups.served_group import Context, Reservation, ServedGroup
from bridge.groups.served_groups import ServedGroups
from bridge.groups.tokens import Token
from bridge.groups.values import Delivery
from bridge.messagelog import Message, ToPartition
from bridge.telemetry.metrics import GroupMetrics

__all__ = ("ReceiveOptions", "Receiving")

_log = structlog.get_logger("bridge.groups")
# Attempts in a row that other processes were faster than, before the next news is waited for.
_LOST_MAX: Final = 8
_REST_S_MAX: Final = 1.0
_ACK: Final = 0
_NACK: Final = 1
_GIVE_BACK: Final = 3
# For what is done beside any request.
_ASIDE_TIMEOUT_S: Final = 10.0


class ReceiveOptions(NamedTuple):
    """What a receiver asks for; see `Groups.receive`."""

    messages_max: int
    visibility_ms: int
    max_deliveries: int


class _ReadMessages(NamedTuple):
    """What was read of the messages picked, by what is to be done with it."""

    lease: dict[int, list[Message]]
    bury: dict[int, list[Message]]
    gone: list[Start]


class Receiving:
    """Hands out the messages of all groups of a process."""

    def __init__(self, context: Context, appender: Appender, observer: GroupMetrics) -> None:
        self._context = context
        self._appender = appender
        self._observer = observer
        self._aside: set[asyncio.Task[None]] = set()

    async def receive(
        self,
        served_groups: ServedGroups,
        served: ServedGroup,
        order: ReceiveOptions,
        *,
        wait_s: float,
        deadline: Deadline,
    ) -> tuple[Delivery, ...]:
        """Messages of *served* under a lease; none when *wait_s* is over or waits are ended."""
        clock = self._context.clock
        ends_s = clock.monotonic_s() + min(wait_s, deadline.remaining_s())
        lost = 0
        rest_s = limits.GROUP_GRACE_S
        first = True
        while True:
            changes = served.changes
            own = served.own()
            everything = tuple(range(served.partitions_count))
            found = await self._attempt(served, own, order, look=first or served.is_blind, deadline=deadline)
            if found is None and len(own) < len(everything):
                if not first and self._can_wait(served, everything, ends_s):
                    # Their owner has receivers too, most likely: it has its turn first.
                    await served.news(served.changes, limits.GROUP_GRACE_S)
                look = first or served.is_blind
                found = await self._attempt(served, everything, order, look=look, deadline=deadline)
            first = False
            if found:
                return found
            left_s = ends_s - clock.monotonic_s()
            if found is not None and lost < _LOST_MAX:
                lost += 1
            elif left_s <= 0 or served.waits_ended:
                return ()
            elif found is not None:
                # Others are faster again and again; or the log's clock went back, and what came back is not free yet.
                lost = 0
                await asyncio.sleep(min(left_s, rest_s))
                rest_s = min(2 * rest_s, _REST_S_MAX)
            else:
                await served.news(changes, left_s)
                # Partitions may have come, or the group was forgotten meanwhile.
                await served_groups.open(served.scope, deadline)

    def _can_wait(self, served: ServedGroup, partition_ids: Sequence[int], ends_s: float) -> bool:
        left_s = ends_s - self._context.clock.monotonic_s()
        return left_s > 0 and served.has_any(partition_ids)

    async def _attempt(
        self,
        served: ServedGroup,
        partition_ids: Sequence[int],
        order: ReceiveOptions,
        *,
        look: bool,
        deadline: Deadline,
    ) -> tuple[Delivery, ...] | None:
        """Messages of these partitions; None where there are none, () where others were faster."""
        picks = served.pick(partition_ids, order.messages_max)
        if not picks and look:
            await served.look(partition_ids, deadline)
            while served.suspects:
                await self._check_anew(served, *served.suspects.popitem(), deadline)
            picks = served.pick(partition_ids, order.messages_max)
        if not picks:
            return None
        kept: list[Reservation] = []
        wake = True
        try:
            found = await self._read(served, picks, order, deadline)
            if found.gone:
                await self._tell_trimmed(served, found.gone, deadline)
            for partition_id, messages in found.bury.items():
                pick = next(each for each in picks if each.partition_id == partition_id)
                kept.append(pick)
                self._start(self._dead_letter(served, pick, messages, order.max_deliveries))
            if not found.lease:
                return ()
            given = await self._lease(served, found.lease, order, deadline)
            wake = len(given) < sum(len(pick.offsets) for pick in picks)
            return given
        finally:
            for pick in picks:
                if pick not in kept:
                    served.release(pick, wake=wake)

    async def _read(
        self, served: ServedGroup, picks: Sequence[Reservation], order: ReceiveOptions, deadline: Deadline
    ) -> _ReadMessages:
        found = _ReadMessages({}, {}, [])
        ahead = self._context.ahead
        reads = [
            ahead.find(served.topic, pick.partition_id, pick.offsets, deadline=deadline) for pick in picks
        ]
        fronts = [served.partitions[pick.partition_id].frontier for pick in picks]
        pages = [await reads[0]] if len(reads) == 1 else await asyncio.gather(*reads)
        size_bytes = 0
        for pick, page, frontier in zip(picks, pages, fronts, strict=True):
            partition_id = pick.partition_id
            partition = served.partitions.get(partition_id)
            if partition is None:
                continue
            served.ends_at(partition_id, page.end_offset)
            if page.first_offset is None:
                served.began_anew(partition_id)
                if page.end_offset < frontier:
                    await self._check_anew(served, partition_id, frontier, deadline)
                continue
            if page.first_offset > pick.offsets[0]:
                found.gone.append(Start(partition_id, page.first_offset, partition.epoch))
            for message in page.messages:
                dead = partition.deliveries(message.offset) >= order.max_deliveries
                size_bytes += 0 if dead else len(message.payload)
                if size_bytes > limits.PAGE_BYTES_MAX and found.lease:
                    return found
                (found.bury if dead else found.lease).setdefault(partition_id, []).append(message)
        return found

    async def _lease(
        self,
        served: ServedGroup,
        messages: dict[int, list[Message]],
        order: ReceiveOptions,
        deadline: Deadline,
    ) -> tuple[Delivery, ...]:
        context = self._context
        asked = tuple(
            (partition_id, ranges_of([each.offset for each in some]))
            for partition_id, some in messages.items()
        )
        record = Lease(self._context.replica.new_id(), served.scope, order.visibility_ms, True, asked)
        sent_s = context.clock.monotonic_s()
        result = await context.replica.tell(record, deadline=deadline)
        if not isinstance(result, LeaseResult):
            return ()
        left_s = sent_s + order.visibility_ms / 1000 - context.clock.monotonic_s()
        deliveries: list[Delivery] = []
        back: list[tuple[int, int]] = []
        redelivered = 0
        tokens = context.replica.tokens(served.scope)
        for partition_id, granted in result.granted:
            by_offset = {each.offset: each for each in messages[partition_id]}
            for offset, count in granted:
                if count > order.max_deliveries or left_s < limits.GROUP_LEASE_MARGIN_S:
                    back.append((partition_id, offset))
                    continue
                token = tokens.text(Token(partition_id, offset, record.id))
                redelivered += count > 1
                deliveries.append(Delivery(token, partition_id, by_offset[offset], count, result.until_us))
        if back:
            self.give_back(served.scope, record.id, back)
        if deliveries:
            stream, topic, group = served.scope
            self._observer.group_delivered(
                stream, topic, group, messages=len(deliveries), redelivered=redelivered
            )
        return tuple(deliveries)

    # --- what is not handed out ---------------------------------------------------------------------------------

    async def _tell_trimmed(self, served: ServedGroup, starts: Sequence[Start], deadline: Deadline) -> None:
        record = Advance(self._context.replica.new_id(), served.scope, tuple(starts))
        await self._context.replica.tell(record, deadline=deadline)

    async def _check_anew(
        self, served: ServedGroup, partition_id: int, frontier: int, deadline: Deadline
    ) -> None:
        """
        Take the partition up anew where the log has fewer messages than this group was given.

        Args:
            frontier: what had been given out before that was seen; more may have been since.
        """
        partition = served.partitions.get(partition_id)
        if partition is None:
            return
        info = await self._context.log.topic(served.topic, deadline=deadline)
        for each in info.partitions:
            if each.id == partition_id and each.end_offset < frontier:
                served.began_anew(partition_id)
                _log.warning(
                    "group_partition_began_anew", **served.scope._asdict(), partition_id=partition_id
                )
                start = Start(partition_id, 0, partition.epoch)
                record = Seek(self._context.replica.new_id(), served.scope, (start,))
                await self._context.replica.tell(record, deadline=deadline)

    def give_back(self, scope: Scope, lease_id: int, offsets: Sequence[tuple[int, int]]) -> None:
        """Free messages, by partition and offset, of a lease that never reached a consumer; not counted as given."""
        holds = tuple(
            Hold(
                partition_id,
                lease_id,
                ranges_of(sorted(offset for each, offset in offsets if each == partition_id)),
            )
            for partition_id in sorted({each for each, _ in offsets})
        )
        self._start(self._give_back(Acknowledge(self._context.replica.new_id(), scope, _GIVE_BACK, 0, holds)))

    async def _give_back(self, record: Acknowledge) -> None:
        deadline = Deadline.after(_ASIDE_TIMEOUT_S, self._context.clock)
        await self._context.replica.tell(record, deadline=deadline)

    async def _dead_letter(
        self, served: ServedGroup, pick: Reservation, messages: Sequence[Message], max_deliveries: int
    ) -> None:
        """Move messages to the dead-letter topic, if this process wins them."""
        scope, replica = served.scope, self._context.replica
        deadline = Deadline.after(_ASIDE_TIMEOUT_S, self._context.clock)
        offsets = [each.offset for each in messages]
        try:
            asked = ((pick.partition_id, ranges_of(offsets)),)
            lease = Lease(replica.new_id(), scope, limits.GROUP_DEAD_LETTER_LEASE_MS, False, asked)
            result = await replica.tell(lease, deadline=deadline)
            granted = result.granted if isinstance(result, LeaseResult) else ()
            won = {each.offset: each.deliveries for _, some in granted for each in some}
            dead = [each for each in messages if won.get(each.offset, 0) >= max_deliveries]
            spared = sorted(won.keys() - {each.offset for each in dead})
            if spared:
                # A delivery was taken back since they were read. To give them back would take back another one.
                hold = Hold(pick.partition_id, lease.id, ranges_of(spared))
                await replica.tell(Acknowledge(replica.new_id(), scope, _NACK, 0, (hold,)), deadline=deadline)
            if not dead:
                return
            await self._store(scope, pick.partition_id, dead, won, deadline)
            hold = Hold(pick.partition_id, lease.id, ranges_of([each.offset for each in dead]))
            await replica.tell(
                Acknowledge(self._context.replica.new_id(), scope, _ACK, 0, (hold,)), deadline=deadline
            )
            self._observer.group_dead_lettered(scope.stream, scope.topic, scope.group, messages=len(dead))
            _log.warning(
                "group_dead_letters",
                **scope._asdict(),
                partition_id=pick.partition_id,
                first_offset=dead[0].offset,
                messages=len(dead),
            )
        finally:
            served.release(pick, wake=True)

    async def _store(
        self,
        scope: Scope,
        partition_id: int,
        messages: Sequence[Message],
        deliveries: dict[int, int],
        deadline: Deadline,
    ) -> None:
        topic = dead_letter_topic(scope)
        letters = [
            dead_letter(scope, partition_id, each, deliveries=deliveries[each.offset]) for each in messages
        ]
        try:
            await self._appender.append(topic, ToPartition(0), letters, deadline=deadline)
        except NotFound:
            with suppress(AlreadyExists):
                await self._context.log.create_topic(topic, partitions_count=1, deadline=deadline)
            await self._appender.append(topic, ToPartition(0), letters, deadline=deadline)

    # --- beside requests ----------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_told(work), name="group aside")
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def finish(self) -> None:
        """Return when nothing is under way beside the requests."""
        while self._aside:
            await asyncio.wait(self._aside)


async def _told(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except BridgeError as error:
        # The lease ends by itself: another attempt is made then.
        _log.warning("group_work_failed", code=error.code, detail=error.detail)
