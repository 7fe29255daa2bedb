"""The embedded log behind the port (shell)."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.config import LocalLogConfig
from bridge.errors import BadRequest, DeadlineExceeded, LogError, Outcome, TopicNotFound
from bridge.locallog import queries
from bridge.locallog.admin import Lifetime, LocalAdmin
from bridge.locallog.catalog import EMPTY, TopicState
from bridge.locallog.changes import Probe
from bridge.locallog.commits import Commits
from bridge.locallog.completions import Completions
from bridge.locallog.database import Tuning
from bridge.locallog.faults import DiskFull, LocalLogFailed
from bridge.locallog.files import Files, open_files
from bridge.locallog.hot_reads import HotReads
from bridge.locallog.reader import Readers, damaged
from bridge.locallog.retention import Trim
from bridge.locallog.transaction import Append, StoreOffset
from bridge.locallog.writer import FULL_ADVICE, LogState, Writer
from bridge.messagelog import (
    NO_RECORDS,
    ConsumerKey,
    Durability,
    FromTimestamp,
    LogHealth,
    LogTotals,
    Messages,
    NewRecords,
    Next,
    OpenBatch,
    Page,
    Placement,
    Position,
    Receipt,
    Records,
    Retention,
    StoredNews,
    StoredOffset,
    TopicRef,
    check_append,
)
from bridge.telemetry.exemplars import traced_batch
from bridge.telemetry.metrics import LogMetrics

_LOG = structlog.get_logger("bridge.locallog")
_NO_TUNING: Final = Tuning()
# Where a page from these begins only the database knows.
_SOUGHT: Final = (FromTimestamp, Next)
# Retention waits for the writer like anybody else, but nobody waits for retention.
_RETENTION_DEADLINE_S: Final = 30.0
_DETAILS: Final = {
    LogState.OPEN: "",
    LogState.FULL: FULL_ADVICE,
    LogState.FAILED: "The disk or the database under the log failed.",
    LogState.CLOSED: "The log is closed.",
}


class LocalMessageLog:
    """`MessageLog`, `HealthProbe` and `StatsSource` on one SQLite file; made by `open`."""

    def __init__(self, *, files: Files, clock: Clock, observer: LogMetrics, news: StoredNews) -> None:
        completions = Completions(asyncio.get_running_loop())
        self._lock = files.lock
        self._clock = clock
        self._observer = observer
        self._news = news
        self._state_news = asyncio.Event()
        self._hot_reads = HotReads()
        self._lifetime = Lifetime()
        self._catalog = files.catalog
        self._space = files.space
        commits = Commits(files.writer, files.catalog, files.space, clock)
        self._writer = Writer(commits, completions, state_changed=self._state_changed, full=files.full)
        self._readers = Readers(files.readers, completions)
        admin = LocalAdmin(files.catalog, self._writer, self._lifetime)
        self.create_stream = admin.create_stream
        self.streams = admin.streams
        self.stream = admin.stream
        self.delete_stream = admin.delete_stream
        self.create_topic = admin.create_topic
        self.topics = admin.topics
        self.topic = admin.topic
        self.delete_topic = admin.delete_topic
        self.partitions_count = admin.partitions_count
        self.purge_topic = admin.purge_topic
        self.update_retention = admin.update_retention
        self.add_partitions = admin.add_partitions

    @classmethod
    async def open(
        cls,
        config: LocalLogConfig,
        *,
        clock: Clock,
        observer: LogMetrics,
        news: StoredNews | None = None,
        tuning: Tuning = _NO_TUNING,
    ) -> "LocalMessageLog":
        """Take the directory and open the log in it, made if it is not there.

        Args:
            news: told of every append.

        Raises:
            StartupError: if the directory is in use or unusable, or the log in it is damaged, foreign or newer.
        """
        started_s = clock.monotonic_s()
        files = await asyncio.to_thread(open_files, Path(config.data_dir), tuning)
        log = cls(files=files, clock=clock, observer=observer, news=news or StoredNews())
        observer.connection.set_state(log.health().state)
        totals = files.catalog.totals()
        _LOG.info(
            "embedded_log_opened",
            streams=totals.streams_count,
            topics=totals.topics_count,
            messages=totals.messages_count,
            seconds=round(clock.monotonic_s() - started_s, 3),
        )
        return log

    async def run(self) -> None:
        """The log's own background part: retention once a minute, the way out of a full disk, the news of a failed one.

        Raises:
            LocalLogFailed: as soon as the writer has failed, or once the directory was moved or emptied, so that nobody would
                find what is stored; the process must end.
        """
        while (state := self._writer.state) is not LogState.FAILED:
            self._state_news.clear()
            full = state is LogState.FULL
            pause_s = limits.LOCAL_FULL_RETRY_S if full else limits.RETENTION_INTERVAL_S
            try:
                # Not `wait_for`, which before Python 3.12 forgets a cancellation that comes with the event.
                async with asyncio.timeout(pause_s):
                    await self._state_news.wait()
            except TimeoutError:
                if not await asyncio.to_thread(self._lock.is_in_place):
                    raise LocalLogFailed("DATA_DIR was moved or emptied while it was served.") from None
                await self.retain()
                if full:
                    await self._look_again()
        raise LocalLogFailed(
            "The disk or the database under the embedded log failed."
        ) from self._writer.failure

    async def retain(self) -> None:
        """Remove what the topics' retention lets go, in short commits."""
        try:
            for topic in self._catalog.topics():
                if topic.retention != Retention():
                    while await self._writer.perform(
                        Trim(topic), deadline=Deadline.after(_RETENTION_DEADLINE_S, self._clock)
                    ):
                        pass
        except DiskFull:
            # The log has told of it, once.
            pass
        except LogError as error:
            _LOG.warning("retention_put_off", reason=error.code)

    async def _look_again(self) -> None:
        with suppress(LogError):
            await self._writer.perform(Probe(), deadline=Deadline.after(_RETENTION_DEADLINE_S, self._clock))

    async def close(self) -> None:
        """Finish what was accepted, move it into the database, let the directory go."""
        if not self._lifetime.closed:
            self._lifetime.closed = True
            # Readers first: the writer's last checkpoint needs them gone.
            await self._readers.close()
            await self._writer.close()
            self._lock.release()

    # --- messages -----------------------------------------------------------------------------------------------

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        self._lifetime.check(deadline, write=True)
        partition = self._catalog.topic(topic).partition_for(placement)
        # Not by `sealed`: to ask for the kind of a batch once more takes 1,000 instructions.
        if isinstance(messages, OpenBatch):
            records = messages.seal()
            if not records:
                raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
            size_bytes = messages.size_bytes
        else:
            records = NewRecords.of(messages)
            size_bytes = check_append(records)
        change = Append(partition, records, size_bytes)
        started_s = self._clock.monotonic_s()
        try:
            receipt: Receipt = await self._writer.perform(change, deadline=deadline)
        except LogError as error:
            self._observer.append_failures.add(error.code)
            raise
        self._observer.appended(
            topic.stream,
            topic.topic,
            messages=receipt.messages_count,
            payload_bytes=records.payload_bytes,
            seconds=self._clock.monotonic_s() - started_s,
            traced=traced_batch(records.headers, self._clock),
        )
        self._hot_reads.newest.stored(change.partition, change.stored)
        self._news.stored(topic, receipt)
        return receipt

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        self._lifetime.check(deadline, write=False)
        if not 1 <= count <= limits.PAGE_MESSAGES_MAX:
            raise BadRequest(
                f"A page has 1 to {limits.PAGE_MESSAGES_MAX} messages.", limit=limits.PAGE_MESSAGES_MAX
            )
        state = self._catalog.topic(topic)
        partition = state.partition(partition_id)
        marks = partition.marks
        started_s = self._clock.monotonic_s()
        start = None if isinstance(position, _SOUGHT) else marks.start_of(position, count)
        records: Records | None = None
        if start is not None:
            is_empty = start >= marks.next_offset
            records = NO_RECORDS if is_empty else self._hot_reads.find(partition, marks, start, count)
        if records is None:
            read = await self._readers.run(
                lambda connection: queries.read(connection, partition.key, marks, position, count),
                deadline=deadline,
            )
            self._check_still_there(topic, state)
            if partition.successor is partition:
                if read.lost:
                    raise damaged()
                records = read.records
                self._hot_reads.offer(partition, marks, start, count, read)
            else:
                # Purged meanwhile: what was found may be a part, or another's. It was empty, at some moment.
                marks, records = EMPTY, NO_RECORDS
        if not records or records.offsets[-1] + 1 == marks.next_offset:
            self._hot_reads.newest.reached(partition, marks.next_offset)
        self._observer.read(
            topic.stream,
            topic.topic,
            messages=len(records),
            payload_bytes=records.payload_bytes,
            seconds=self._clock.monotonic_s() - started_s,
        )
        return Page(partition_id, marks.next_offset, records)

    # --- stored offsets -----------------------------------------------------------------------------------------

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        self._lifetime.check(deadline, write=False)
        state = self._catalog.topic(topic)
        partition = state.partition(partition_id)
        offset = await self._readers.run(
            lambda connection: queries.stored_offset(connection, partition.key, consumer), deadline=deadline
        )
        self._check_still_there(topic, state)
        if offset is None or partition.successor is not partition:
            return None
        return StoredOffset(offset, partition.marks.next_offset)

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        self._lifetime.check(deadline, write=True)
        partition = self._catalog.topic(topic).partition(partition_id)
        await self._writer.perform(StoreOffset(partition, consumer, offset), deadline=deadline)

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        self._lifetime.check(deadline, write=True)
        partition = self._catalog.topic(topic).partition(partition_id)
        await self._writer.perform(StoreOffset(partition, consumer, None), deadline=deadline)

    # --- health and figures -------------------------------------------------------------------------------------

    def health(self) -> LogHealth:
        state = LogState.CLOSED if self._lifetime.closed else self._writer.state
        return LogHealth(
            kind="local",
            state=state,
            ready=state is LogState.OPEN,
            detail=_DETAILS[state],
            durability=Durability.PERSISTED,
        )

    async def probe(self, *, deadline: Deadline) -> None:
        """Write and read something; a log that was full opens again by this. That it is full is no error: `health` says it.

        Raises:
            LogError: if either fails.
        """
        self._lifetime.check(deadline, write=True)
        with suppress(DiskFull):
            await self._writer.perform(Probe(), deadline=deadline)
        await self._readers.run(lambda connection: connection.execute("select 1").get, deadline=deadline)

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        """Counts over all streams; what they take of the disk is measured on the way."""
        self._lifetime.check(deadline, write=False)
        measured = await self._readers.run(lambda _: self._space.measured(), deadline=deadline)
        self._observer.disk_measured(measured)
        return self._catalog.totals()

    def _check_still_there(self, topic: TopicRef, state: TopicState) -> None:
        """Keys of a deleted topic are given out again: what was read may be another's."""
        if state.deleted:
            self._catalog.stream(topic.stream)
            raise TopicNotFound

    def _state_changed(self, state: LogState) -> None:
        self._observer.connection.set_state(state)
        self._state_news.set()
