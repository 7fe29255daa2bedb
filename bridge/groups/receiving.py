"""Handing out messages: reserve, read, lease; and what is not to be handed out: dead letters, what left the log (shell)."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError, NotFound
from bridge.groups.dead_letters import dead_letter, dead_letter_topic
from bridge.groups.records import (
    AckKind,
    Advance,
    GroupRef,
    LeasedRanges,
    OffsetRange,
    PartitionStart,
    Seek,
    offset_ranges,
)
from bridge.groups.served_groups import GroupsContext, Reservation, ServedGroup, ServedGroups
from bridge.groups.tokens import Token
from bridge.groups.values import Delivery
from bridge.messagelog import Appender, Message, NewMessage, ToPartition, TopicRef, ensure_topic
from bridge.telemetry.group_metrics import GroupMetrics

_log = structlog.get_logger("bridge.groups")
# Attempts in a row that other processes were faster than, before the next news is waited for.
_LOST_MAX: Final = 8
_REST_S_MAX: Final = 1.0
# For what is done beside any request.
_ASIDE_TIMEOUT_S: Final = 10.0


class ReceiveOptions(NamedTuple):
    """What a receiver asks for; see `Groups.receive`."""

    messages_max: int
    visibility_ms: int
    max_deliveries: int


class _ReadMessages(NamedTuple):
    """What was read of the messages reserved, by what is to be done with it."""

    lease: dict[int, list[Message]]
    dead: dict[int, list[Message]]
    trimmed: list[PartitionStart]


class Receiving:
    """Hands out the messages of all groups of a process."""

    def __init__(
        self, context: GroupsContext, served_groups: ServedGroups, appender: Appender, metrics: GroupMetrics
    ) -> None:
        self._context = context
        self._replica = context.replica
        self._served_groups = served_groups
        self._appender = appender
        self._metrics = metrics
        self._aside: set[asyncio.Task[None]] = set()

    async def receive(
        self, served: ServedGroup, options: ReceiveOptions, *, wait_s: float, deadline: Deadline
    ) -> tuple[Delivery, ...]:
        """Messages of *served* under a lease; none when *wait_s* is over or waits are ended."""
        clock = self._context.clock
        ends_s = clock.monotonic_s() + min(wait_s, deadline.remaining_s())
        lost = 0
        rest_s = limits.GROUP_GRACE_S
        first = True
        while True:
            change = served.change
            own, everything = served.own_partitions(), tuple(range(served.partitions_count))
            found = await self._attempt(served, own, options, first or served.is_blind, deadline)
            if found is None and len(own) < len(everything):
                if not first and ends_s > clock.monotonic_s() and served.has_any(everything):
                    # Their owner has receivers too, most likely: it has its turn first.
                    await served.wait_for(served.change, limits.GROUP_GRACE_S)
                found = await self._attempt(served, everything, options, first or served.is_blind, deadline)
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
                await served.wait_for(change, left_s)
                # Partitions may have come, or the group was deleted meanwhile.
                await self._served_groups.open(served.ref, deadline)

    async def _attempt(
        self,
        served: ServedGroup,
        partition_ids: Sequence[int],
        options: ReceiveOptions,
        look: bool,
        deadline: Deadline,
    ) -> tuple[Delivery, ...] | None:
        """Messages of these partitions; None where there are none, () where others were faster."""
        reserved = served.reserve(partition_ids, options.messages_max)
        if not reserved and look:
            for partition_id, frontier in (await served.look(partition_ids, deadline)).items():
                await self._check_anew(served, partition_id, frontier, deadline)
            reserved = served.reserve(partition_ids, options.messages_max)
        if not reserved:
            return None
        kept: set[int] = set()
        wake = True
        try:
            found = await self._read(served, reserved, options, deadline)
            if found.trimmed:
                record = Advance(self._replica.new_id(), served.ref, tuple(found.trimmed))
                await self._replica.write(record, deadline=deadline)
            for each in reserved:
                if each.partition_id in found.dead:
                    kept.add(each.partition_id)
                    dead = found.dead[each.partition_id]
                    self._start(self._dead_letter(served, each, dead, options.max_deliveries))
            if not found.lease:
                return ()
            given = await self._lease(served.ref, found.lease, options, deadline)
            wake = len(given) < sum(len(each.offsets) for each in reserved)
            return given
        finally:
            for each in reserved:
                if each.partition_id not in kept:
                    served.release(each, wake=wake)

    async def _read(
        self,
        served: ServedGroup,
        reserved: Sequence[Reservation],
        options: ReceiveOptions,
        deadline: Deadline,
    ) -> _ReadMessages:
        found = _ReadMessages({}, {}, [])
        ahead = self._context.ahead
        reads = [ahead.find(served.topic, *each, deadline=deadline) for each in reserved]
        frontiers = [served.partitions[each.partition_id].frontier for each in reserved]
        pages = [await reads[0]] if len(reads) == 1 else await asyncio.gather(*reads)
        size_bytes = 0
        for (partition_id, offsets), page, frontier in zip(reserved, pages, frontiers, strict=True):
            partition = served.partitions.get(partition_id)
            if partition is None:
                continue
            served.ends_at(partition_id, page.end_offset)
            if page.first_offset is None:
                served.began_anew(partition_id)
                if page.end_offset < frontier:
                    await self._check_anew(served, partition_id, frontier, deadline)
                continue
            if page.first_offset > offsets[0]:
                found.trimmed.append(PartitionStart(partition_id, page.first_offset, partition.epoch))
            for message in page.messages:
                is_dead = partition.deliveries(message.offset) >= options.max_deliveries
                size_bytes += 0 if is_dead else len(message.payload)
                if size_bytes > limits.PAGE_BYTES_MAX and found.lease:
                    return found
                (found.dead if is_dead else found.lease).setdefault(partition_id, []).append(message)
        return found

    async def _lease(
        self, ref: GroupRef, messages: dict[int, list[Message]], options: ReceiveOptions, deadline: Deadline
    ) -> tuple[Delivery, ...]:
        clock = self._context.clock
        asked = tuple((each, _ranges(some)) for each, some in messages.items())
        sent_s = clock.monotonic_s()
        lease_id, result = await self._replica.lease(
            ref, asked, visibility_ms=options.visibility_ms, deadline=deadline
        )
        left_s = sent_s + options.visibility_ms / 1000 - clock.monotonic_s()
        deliveries: list[Delivery] = []
        back: list[Token] = []
        tokens = self._replica.tokens(ref)
        for partition_id, granted in result.granted:
            by_offset = {each.offset: each for each in messages[partition_id]}
            for offset, count in granted:
                token = Token(partition_id, offset, lease_id)
                if count > options.max_deliveries or left_s < limits.GROUP_LEASE_MARGIN_S:
                    back.append(token)
                else:
                    text = tokens.text(token)
                    deliveries.append(Delivery(text, partition_id, by_offset[offset], count, result.until_us))
        self.give_back(ref, back)
        if deliveries:
            redelivered = sum(each.delivery_count > 1 for each in deliveries)
            self._metrics.group_delivered(*ref, messages=len(deliveries), redelivered=redelivered)
        return tuple(deliveries)

    async def _check_anew(
        self, served: ServedGroup, partition_id: int, frontier: int, deadline: Deadline
    ) -> None:
        """Take the partition up anew where the log has fewer messages than this group was given.

        Args:
            frontier: what had been given out before that was seen; more may have been since.
        """
        partition = served.partitions.get(partition_id)
        if partition is None:
            return
        info = await self._context.log.topic(served.topic, deadline=deadline)
        if any(each.id == partition_id and each.end_offset < frontier for each in info.partitions):
            served.began_anew(partition_id)
            _log.warning("group_partition_began_anew", **served.ref._asdict(), partition_id=partition_id)
            start = PartitionStart(partition_id, 0, partition.epoch)
            await self._replica.write(Seek(self._replica.new_id(), served.ref, (start,)), deadline=deadline)

    # --- beside requests ----------------------------------------------------------------------------------------

    def give_back(self, ref: GroupRef, tokens: Sequence[Token]) -> None:
        """Free messages of leases that never reached a consumer; not counted as given."""
        if tokens:
            leased, deadline = leased_ranges(tokens), self._aside_deadline()
            self._start(self._replica.acknowledge(ref, AckKind.RELEASE, leased, deadline=deadline))

    async def _dead_letter(
        self, served: ServedGroup, reserved: Reservation, messages: Sequence[Message], max_deliveries: int
    ) -> None:
        """Move messages to the dead-letter topic, if this process wins them."""
        ref, replica, deadline = served.ref, self._replica, self._aside_deadline()
        partition_id = reserved.partition_id
        try:
            lease_id, result = await replica.lease(
                ref,
                ((partition_id, _ranges(messages)),),
                visibility_ms=limits.GROUP_DEAD_LETTER_LEASE_MS,
                counted=False,
                deadline=deadline,
            )
            won = {each.offset: each.deliveries for _, granted in result.granted for each in granted}
            dead = [each for each in messages if won.get(each.offset, 0) >= max_deliveries]
            spared = [each for each in messages if 0 <= won.get(each.offset, -1) < max_deliveries]
            if spared:
                # A delivery was taken back since they were read. To give them back would take back another one.
                leased = LeasedRanges(partition_id, lease_id, _ranges(spared))
                await replica.acknowledge(ref, AckKind.NACK, [leased], deadline=deadline)
            if not dead:
                return
            letters = [dead_letter(ref, partition_id, each, deliveries=won[each.offset]) for each in dead]
            await self._store(dead_letter_topic(ref), letters, deadline)
            leased = LeasedRanges(partition_id, lease_id, _ranges(dead))
            await replica.acknowledge(ref, AckKind.ACK, [leased], deadline=deadline)
            self._metrics.group_dead_lettered(*ref, messages=len(dead))
            _log.warning(
                "group_dead_letters",
                **ref._asdict(),
                partition_id=partition_id,
                first_offset=dead[0].offset,
                messages=len(dead),
            )
        finally:
            served.release(reserved, wake=True)

    async def _store(self, topic: TopicRef, letters: Sequence[NewMessage], deadline: Deadline) -> None:
        try:
            await self._appender.append(topic, ToPartition(0), letters, deadline=deadline)
        except NotFound:
            # Not with its stream: who removed that wants no letters in a new one.
            await ensure_topic(self._context.log, topic, with_stream=False, deadline=deadline)
            await self._appender.append(topic, ToPartition(0), letters, deadline=deadline)

    def _aside_deadline(self) -> Deadline:
        return Deadline.after(_ASIDE_TIMEOUT_S, self._context.clock)

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(_logged(work), name="group aside")
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def finish(self) -> None:
        """Return when nothing is under way beside the requests."""
        while self._aside:
            await asyncio.wait(self._aside)


def leased_ranges(tokens: Sequence[Token]) -> tuple[LeasedRanges, ...]:
    """The messages that *tokens* name, by partition and lease."""
    offsets: dict[tuple[int, int], set[int]] = {}
    for partition_id, offset, lease_id in tokens:
        offsets.setdefault((partition_id, lease_id), set()).add(offset)
    return tuple(LeasedRanges(*key, offset_ranges(sorted(some))) for key, some in offsets.items())


def _ranges(messages: Sequence[Message]) -> tuple[OffsetRange, ...]:
    return offset_ranges([each.offset for each in messages])


async def _logged(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except BridgeError as error:
        # The lease ends by itself: another attempt is made then.
        _log.warning("group_work_failed", code=error.code, detail=error.detail)
