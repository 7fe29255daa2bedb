"""Writing to the ledger and applying what stands in it (shell over `ledger.py`).

Whoever writes a record learns what it did once the ledger was read up to and including it. One task reads, for all who
write and for what other processes write. It begins at the first use, at the newest snapshot, and rests when nobody asked
for long; an outage of the log is waited out.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

import structlog

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.errors import (
    BridgeError,
    ConnectionFailed,
    ConnectionReset,
    DeadlineExceeded,
    LogError,
    NotFound,
    Outcome,
    Overloaded,
)
from bridge.flow.following.tails import Tails
from bridge.flow.timers import is_set_within
from bridge.groups.ledger import AckResult, AppliedRecord, LeaseResult, Ledger, Result, snapshot
from bridge.groups.ledger_topics import LedgerTopics, token_key
from bridge.groups.pending_records import PendingRecords, random_ids, with_outcome
from bridge.groups.records import (
    AckKind,
    Acknowledge,
    GroupRef,
    Heartbeat,
    Lease,
    LeasedRanges,
    Leave,
    OffsetRange,
    Record,
    encoded,
)
from bridge.groups.tokens import Tokens
from bridge.messagelog import Appender, FromOffset, MessageLog, NewMessage, Records, ToPartition, TopicRef

_log = structlog.get_logger("bridge.groups")
# One step of starting or following; callers leave at their own deadline.
_STEP_TIMEOUT_S: Final = 10.0
# Intervals that a snapshot is late before somebody makes it whose turn it is not.
_OVERDUE_TIMES: Final = 10
# Attempts to write a record to a ledger that is there.
_WRITES: Final = 3
_RETRY_S_MIN: Final = 0.05
_RETRY_S_MAX: Final = 2.0


class LedgerReplica:
    """The ledger of one log, as this process sees it.

    Attributes:
        ledger: what is applied so far; a new object when the ledger began anew.
        active_us: the newest stamp of a record that is about a group, of those applied one by one.
        pending: what was written here and is waited for.
        on_applied: called after each record.
    """

    def __init__(
        self, log: MessageLog, appender: Appender, tails: Tails, *, stream: str, clock: Clock
    ) -> None:
        self.ledger = Ledger()
        self.active_us = 0
        self.pending = PendingRecords()
        self.on_applied: Callable[[AppliedRecord], None] = lambda _: None
        self.new_id = partial(next, random_ids())
        self._log = log
        self._appender = appender
        self._tails = tails
        self._stream = stream
        self._clock = clock
        #: While the ledger is followed.
        self._topics: LedgerTopics | None = None
        self._token_key: bytes | None = None
        #: Of the topic that `ledger` is of; 0 where it is of none.
        self._made_us = 0
        self._looked_at = False
        self._wanted = asyncio.Event()
        self._written = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._closed = False
        self._applied_s = self._snapshot_s = clock.monotonic_s()
        self._records_since_snapshot = 0
        self._wrote_since_snapshot = False

    def now_us(self) -> int:
        """The ledger's time, never ahead of it: its newest stamp and what has passed here since it was read."""
        return self.ledger.now_us + int((self._clock.monotonic_s() - self._applied_s) * 1_000_000)

    def tokens(self, ref: GroupRef) -> Tokens:
        """The tokens of a group; the ledger was started at some time."""
        if self._token_key is None:
            raise RuntimeError("the key of the tokens is not known before the ledger is started")
        return Tokens(ref, self._token_key)

    @property
    def has_token_key(self) -> bool:
        """Whether the ledger was started at some time."""
        return self._token_key is not None

    @property
    def is_followed(self) -> bool:
        return self._topics is not None

    @property
    def is_known(self) -> bool:
        """Whether `ledger` is what it is now, or was some seconds ago."""
        return self._looked_at or self._topics is not None

    # --- for callers --------------------------------------------------------------------------------------------

    async def started(self, deadline: Deadline) -> None:
        """Return once the ledger is followed.

        Raises:
            LogError: if it cannot be, or not by then; nothing was written.
        """
        if self._closed:
            raise ConnectionFailed("The bridge is shutting down.", outcome=Outcome.NOT_WRITTEN)
        self._wanted.set()
        if self._topics is not None:
            return
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await asyncio.shield(self._ready)
        except TimeoutError:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN) from None

    async def lease(
        self,
        ref: GroupRef,
        asked: tuple[tuple[int, tuple[OffsetRange, ...]], ...],
        *,
        visibility_ms: int,
        counted: bool = True,
        deadline: Deadline,
    ) -> tuple[int, LeaseResult]:
        """The lease of what is free of *asked*, by its id; as `write`."""
        record = Lease(self.new_id(), ref, visibility_ms, counted, asked)
        return record.id, cast("LeaseResult", await self.write(record, deadline=deadline))

    async def acknowledge(
        self,
        ref: GroupRef,
        kind: AckKind,
        leased: Sequence[LeasedRanges],
        *,
        delay_ms: int = 0,
        deadline: Deadline,
    ) -> AckResult:
        """What became of each message of *leased*; as `write`, and to write it again does no harm."""
        record = Acknowledge(self.new_id(), ref, kind, delay_ms, tuple(leased))
        return cast("AckResult", await self.write(record, deadline=deadline))

    async def write(self, record: Record, *, deadline: Deadline) -> Result:
        """Write *record* and return what it did.

        Raises:
            LogError: with its outcome; UNKNOWN where the record is or may be in the ledger.
        """
        for _ in range(_WRITES):
            await self.started(deadline)
            topics = self._topics
            if topics is not None:
                try:
                    return await self._write(record, topics.ledger, deadline)
                except NotFound:
                    # Somebody deleted it. Nothing was written, so it may be written to the next one.
                    if self._topics is topics:
                        self._begin_anew("deleted")
        raise ConnectionReset("The ledger of the groups is gone.", outcome=Outcome.NOT_WRITTEN)

    async def _write(self, record: Record, ledger: TopicRef, deadline: Deadline) -> Result:
        future = self.pending.add(record, timeout_s=deadline.remaining_s())
        may_be_there = True
        try:
            await self._appender.append(
                ledger, ToPartition(0), [NewMessage(encoded(record))], deadline=deadline
            )
            self._wrote_since_snapshot |= not isinstance(record, Heartbeat | Leave)
            self._written.set()
            result = await future
            may_be_there = False
        except BridgeError as error:
            may_be_there = isinstance(error, LogError) and error.outcome is not Outcome.NOT_WRITTEN
            raise
        finally:
            self.pending.remove(record, may_be_there=may_be_there)
        return result

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the ledger from the first use on, and from the next one after `rest`; ends by cancellation only."""
        failures = 0
        while True:
            if not await is_set_within(self._wanted, limits.GROUP_STATS_INTERVAL_S):
                await self._look()
                continue
            try:
                topics = await self._start()
                failures = 0
                await self._follow(topics)
            except NotFound:
                self._begin_anew("deleted")
            except BridgeError as error:
                failures += 1
                # What a log refuses, for one since a bound is met, it may take once there is room again.
                self._stop(error if isinstance(error, LogError) else Overloaded(error.detail))
                _log.warning("groups_ledger_put_off", reason=error.code, detail=error.detail)
                await asyncio.sleep(min(_RETRY_S_MIN * 2.0 ** min(failures, 10), _RETRY_S_MAX))

    def rest(self) -> None:
        """Follow no more, until somebody asks again; not while somebody waits for what he wrote."""
        if not len(self.pending):
            self._wanted.clear()

    def close(self) -> None:
        """Take no further record."""
        self._closed = True

    async def snapshot(self, *, at_once: bool = False, alone: bool = True, deadline: Deadline) -> None:
        """Store the state if that is due, or *at_once*.

        Args:
            alone: this process does it for all. If not, nobody is known to: whoever wrote something does it in time, the
                others only where it is long overdue.
        """
        topics, records = self._topics, self._records_since_snapshot
        interval_s = limits.GROUP_SNAPSHOT_INTERVAL_S
        if not alone and not self._wrote_since_snapshot:
            interval_s, at_once = _OVERDUE_TIMES * interval_s, False
        is_late = self._clock.monotonic_s() - self._snapshot_s >= interval_s
        if topics is None or not records:
            return
        if not (at_once or is_late or records >= limits.GROUP_SNAPSHOT_RECORDS):
            return
        messages = [NewMessage(piece) for piece in snapshot(self.ledger.state(), topics.made_us)]
        try:
            await self._log.append(topics.snapshots, ToPartition(0), messages, deadline=deadline)
        except NotFound:
            self._begin_anew("deleted")
            return
        self._records_since_snapshot -= min(records, self._records_since_snapshot)
        self._wrote_since_snapshot = self._records_since_snapshot > 0
        self._snapshot_s = self._clock.monotonic_s()

    async def _look(self) -> None:
        """While nobody asks: apply what others wrote, so that it is known how groups stand; nothing is made or written."""
        self._looked_at = False
        try:
            deadline = Deadline.after(_STEP_TIMEOUT_S, self._clock)
            topics = await LedgerTopics.find(self._log, self._stream, deadline=deadline)
            if topics is not None:
                await self._catch_up(topics, deadline)
            elif self._made_us:
                self._forget("deleted")
            self._looked_at = True
        except LogError as error:
            _log.debug("groups_ledger_not_seen", reason=error.code)
        except NotFound:
            self._forget("deleted")

    async def _start(self) -> LedgerTopics:
        deadline = Deadline.after(_STEP_TIMEOUT_S, self._clock)
        topics = await LedgerTopics.ensure(self._log, self._stream, deadline=deadline)
        self._token_key = await token_key(self._log, topics.keys, known=self._token_key, deadline=deadline)
        await self._catch_up(topics, deadline)
        self._topics = topics
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        return topics

    async def _catch_up(self, topics: LedgerTopics, deadline: Deadline) -> None:
        """Apply all there is, from the newest snapshot on where that is further."""
        state = await topics.newest_snapshot(self._log, deadline=deadline)
        if self._made_us != topics.made_us or (state is not None and state.offset > self.ledger.offset):
            self.ledger = Ledger(state)
            self._made_us = topics.made_us
        if not await self._read(topics):
            # Emptied, not deleted: a snapshot of what was in it says nothing of what comes.
            self._forget("emptied")
            self._made_us = topics.made_us
            await self._read(topics)

    async def _follow(self, topics: LedgerTopics) -> None:
        ledger = self.ledger
        rest_s = limits.TAIL_SAFETY_S if self._tails.pushes else limits.TAIL_POLL_MS_MAX / 1000
        while self._wanted.is_set() and self.ledger is ledger:
            self._written.clear()
            if await self._read(topics):
                # What others wrote is looked for after so long at the latest.
                await is_set_within(self._written, rest_s)
            elif self.ledger is ledger:
                self._begin_anew("emptied")
        if self._topics is topics:
            self._stop(ConnectionReset("The ledger of the groups is not followed."))

    async def _read(self, topics: LedgerTopics) -> bool:
        """Apply what there is; whether the ledger is still the one that was applied so far."""
        ledger = self.ledger
        while True:
            page = await self._log.read(
                topics.ledger,
                0,
                FromOffset(ledger.offset),
                count=limits.GROUP_LEDGER_PAGE_MESSAGES,
                deadline=Deadline.after(_STEP_TIMEOUT_S, self._clock),
            )
            if self.ledger is not ledger:
                return False
            records = page.messages
            self._apply(ledger, records)
            if ledger.offset >= page.end_offset or not records:
                return ledger.offset <= page.end_offset
            # A read of what is in memory does not wait: others have their turn between the pages of a long ledger.
            await asyncio.sleep(0)

    def _apply(self, ledger: Ledger, records: Records) -> None:
        for offset, timestamp_us, payload in zip(
            records.offsets, records.timestamps_us, records.payloads, strict=True
        ):
            applied = ledger.apply(offset, timestamp_us, payload)
            if applied is None:
                _log.debug("groups_record_skipped", offset=offset)
                continue
            if not isinstance(applied.record, Heartbeat | Leave):
                self._records_since_snapshot += 1
                self.active_us = ledger.now_us
            self.pending.applied(applied)
            self.on_applied(applied)
        if records:
            self._applied_s = self._clock.monotonic_s()

    def _begin_anew(self, how: str) -> None:
        """The ledger is gone, and whoever waits for it hears that."""
        self._forget(how)
        self._stop(ConnectionReset("The ledger of the groups was lost."))

    def _forget(self, how: str) -> None:
        """Leases and what was acked out of order went with the ledger; committed offsets are stored elsewhere."""
        if self._made_us:
            _log.warning("groups_ledger_lost", how=how)
        self.ledger = Ledger()
        self._made_us = 0
        # So that nobody takes up the old snapshot.
        self._records_since_snapshot = limits.GROUP_SNAPSHOT_RECORDS

    def _stop(self, error: LogError) -> None:
        """Nothing is followed: who waits hears *error*."""
        self._topics = None
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            ready.set_exception(with_outcome(error, Outcome.NOT_WRITTEN))
        self.pending.fail(error)
