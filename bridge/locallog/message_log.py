"""The embedded log behind the port (shell)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw
import structlog

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.config import LocalLogConfig
from bridge.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    LogError,
    Outcome,
    StartupError,
    TopicNotFound,
)
from bridge.locallog import queries
from bridge.locallog.catalog import Catalog, PartitionState, TopicState
from bridge.locallog.changes import CreateStream, CreateTopic, DeleteStream, DeleteTopic, Probe
from bridge.locallog.completions import Completions
from bridge.locallog.database import Tuning, load_catalog, open_reader, open_writer
from bridge.locallog.faults import LocalLogFailed
from bridge.locallog.hot_reads import HotReads
from bridge.locallog.lock import DirectoryLock
from bridge.locallog.reader import Readers
from bridge.locallog.retention import Trim
from bridge.locallog.transaction import Append, StoreOffset
from bridge.locallog.writer import LogState, Writer
from bridge.messagelog import (
    NO_RECORDS,
    ConsumerKey,
    Durability,
    First,
    FromOffset,
    Last,
    LogHealth,
    LogTotals,
    NewMessage,
    Page,
    Placement,
    Position,
    Receipt,
    Retention,
    StoredOffset,
    StreamInfo,
    TopicInfo,
    TopicRef,
    check_append,
)
from bridge.telemetry.port import LogObserver

__all__ = ("LocalMessageLog",)

_LOG = structlog.get_logger("bridge.locallog")
_NO_TUNING: Final = Tuning()
# Retention waits for the writer like anybody else, but nobody waits for retention.
_RETENTION_DEADLINE_S: Final = 30.0
_DETAILS: Final = {
    LogState.OPEN: "",
    LogState.FULL: "There is no space left for the log.",
    LogState.FAILED: "The disk or the database under the log failed.",
    LogState.CLOSED: "The log is closed.",
}


class LocalMessageLog:
    """`MessageLog`, `HealthProbe` and `StatsSource` on one SQLite file; made by `open`."""

    def __init__(
        self,
        *,
        lock: DirectoryLock,
        writer_connection: apsw.Connection,
        reader_connections: list[apsw.Connection],
        catalog: Catalog,
        clock: Clock,
        observer: LogObserver,
    ) -> None:
        completions = Completions(asyncio.get_running_loop())
        self._lock = lock
        self._catalog = catalog
        self._clock = clock
        self._observer = observer
        self._failed = asyncio.Event()
        self._closed = False
        self._hot_reads = HotReads()
        self._writer = Writer(
            writer_connection, catalog, completions, clock=clock, state_changed=self._state_changed
        )
        self._readers = Readers(reader_connections, completions)

    @classmethod
    async def open(
        cls, config: LocalLogConfig, *, clock: Clock, observer: LogObserver, tuning: Tuning = _NO_TUNING
    ) -> "LocalMessageLog":
        """
        Take the directory and open the log in it, made if it is not there.

        Raises:
            StartupError: if the directory is in use or unusable, or the log in it is damaged, foreign or newer.
        """
        started_s = clock.monotonic_s()
        lock, writer, readers, catalog = await asyncio.to_thread(_open_files, Path(config.data_dir), tuning)
        log = cls(
            lock=lock,
            writer_connection=writer,
            reader_connections=readers,
            catalog=catalog,
            clock=clock,
            observer=observer,
        )
        observer.connection_changed(LogState.OPEN)
        totals = catalog.totals()
        _LOG.info(
            "embedded log opened",
            streams=totals.streams_count,
            topics=totals.topics_count,
            messages=totals.messages_count,
            seconds=round(clock.monotonic_s() - started_s, 3),
        )
        return log

    async def run(self) -> None:
        """
        The log's own background part: retention once a minute, and the news of a failed disk.

        Raises:
            LocalLogFailed: as soon as the writer has failed; the process must end.
        """
        while not self._failed.is_set():
            try:
                await asyncio.wait_for(self._failed.wait(), limits.RETENTION_INTERVAL_S)
            except TimeoutError:
                await self.retain()
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
        except LogError as error:
            _LOG.warning("retention put off", reason=error.code)

    async def close(self) -> None:
        """Finish what was accepted, move it into the database, let the directory go."""
        if not self._closed:
            self._closed = True
            # Readers first: the writer's last checkpoint needs them gone.
            await self._readers.close()
            await self._writer.close()
            self._lock.release()

    # --- streams and topics -------------------------------------------------------------------------------------

    async def create_stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        self._check_write(deadline)
        info: StreamInfo = await self._writer.perform(CreateStream(name), deadline=deadline)
        return info

    async def streams(self, *, deadline: Deadline) -> tuple[StreamInfo, ...]:
        self._check_read(deadline)
        streams = self._catalog.streams
        return tuple(streams[name].info() for name in sorted(streams))

    async def stream(self, name: str, *, deadline: Deadline) -> StreamInfo:
        self._check_read(deadline)
        return self._catalog.stream(name).info()

    async def delete_stream(self, name: str, *, deadline: Deadline) -> None:
        self._check_write(deadline)
        await self._writer.perform(DeleteStream(name), deadline=deadline)

    async def create_topic(
        self,
        topic: TopicRef,
        *,
        partitions_count: int,
        durability: Durability | None = None,  # noqa: ARG002 (always persisted)
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        deadline: Deadline,
    ) -> TopicInfo:
        self._check_write(deadline)
        if not 1 <= partitions_count <= limits.PARTITIONS_MAX:
            raise BadRequest(
                f"A topic has 1 to {limits.PARTITIONS_MAX} partitions.", limit=limits.PARTITIONS_MAX
            )
        change = CreateTopic(topic, partitions_count=partitions_count, retention=retention)
        info: TopicInfo = await self._writer.perform(change, deadline=deadline)
        return info

    async def topics(self, stream: str, *, deadline: Deadline) -> tuple[TopicInfo, ...]:
        self._check_read(deadline)
        topics = self._catalog.stream(stream).topics
        return tuple(topics[name].info(with_partitions=False) for name in sorted(topics))

    async def topic(self, topic: TopicRef, *, deadline: Deadline) -> TopicInfo:
        self._check_read(deadline)
        return self._catalog.topic(topic).info(with_partitions=True)

    async def delete_topic(self, topic: TopicRef, *, deadline: Deadline) -> None:
        self._check_write(deadline)
        await self._writer.perform(DeleteTopic(topic), deadline=deadline)

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        self._check_read(deadline)
        return len(self._catalog.topic(topic).partitions)

    # --- messages -----------------------------------------------------------------------------------------------

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        self._check_write(deadline)
        size_bytes = check_append(messages)
        partition = self._catalog.topic(topic).place(placement)
        started_s = self._clock.monotonic_s()
        try:
            receipt: Receipt = await self._writer.perform(
                Append(partition, messages, size_bytes), deadline=deadline
            )
        except LogError as error:
            self._observer.append_failed(topic.stream, topic.topic, code=error.code)
            raise
        self._observer.appended(
            topic.stream,
            topic.topic,
            messages=receipt.messages_count,
            payload_bytes=sum(len(message.payload) for message in messages),
            seconds=self._clock.monotonic_s() - started_s,
        )
        return receipt

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        self._check_read(deadline)
        if not 1 <= count <= limits.PAGE_MESSAGES_MAX:
            raise BadRequest(
                f"A page has 1 to {limits.PAGE_MESSAGES_MAX} messages.", limit=limits.PAGE_MESSAGES_MAX
            )
        state = self._catalog.topic(topic)
        partition = state.partition(partition_id)
        marks = partition.marks
        started_s = self._clock.monotonic_s()
        records = NO_RECORDS
        if not _is_surely_empty(partition, position):
            found = self._hot_reads.find(partition, marks, position, count)
            if found is None:
                found = await self._readers.run(
                    lambda connection: queries.read(connection, partition.key, marks, position, count),
                    deadline=deadline,
                )
                self._check_still_there(topic, state)
                self._hot_reads.offer(partition, marks, position, count, found)
            records = found
        self._observer.read(
            topic.stream,
            topic.topic,
            messages=len(records),
            payload_bytes=records.payload_bytes,
            seconds=self._clock.monotonic_s() - started_s,
        )
        return Page(partition_id, marks.newest_offset, records)

    # --- stored offsets -----------------------------------------------------------------------------------------

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        self._check_read(deadline)
        state = self._catalog.topic(topic)
        partition = state.partition(partition_id)
        offset = await self._readers.run(
            lambda connection: queries.stored_offset(connection, partition.key, consumer), deadline=deadline
        )
        self._check_still_there(topic, state)
        return None if offset is None else StoredOffset(offset, partition.marks.newest_offset)

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        self._check_write(deadline)
        partition = self._catalog.topic(topic).partition(partition_id)
        await self._writer.perform(StoreOffset(partition, consumer, offset), deadline=deadline)

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        self._check_write(deadline)
        partition = self._catalog.topic(topic).partition(partition_id)
        await self._writer.perform(StoreOffset(partition, consumer, None), deadline=deadline)

    # --- health and figures -------------------------------------------------------------------------------------

    def health(self) -> LogHealth:
        state = LogState.CLOSED if self._closed else self._writer.state
        return LogHealth(
            kind="local",
            state=state,
            ready=state is LogState.OPEN,
            detail=_DETAILS[state],
            durability=Durability.PERSISTED,
        )

    async def probe(self, *, deadline: Deadline) -> None:
        """
        Write and read something; a log that was full opens again by this.

        Raises:
            LogError: if either fails.
        """
        self._check_write(deadline)
        await self._writer.perform(Probe(), deadline=deadline)
        await self._readers.run(lambda connection: connection.execute("select 1").get, deadline=deadline)

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        self._check_read(deadline)
        return self._catalog.totals()

    # ------------------------------------------------------------------------------------------------------------

    def _check_read(self, deadline: Deadline) -> None:
        if self._closed:
            raise ConnectionFailed("The log is closed.")
        if deadline.remaining_s() <= 0:
            raise DeadlineExceeded

    def _check_write(self, deadline: Deadline) -> None:
        if self._closed:
            raise ConnectionFailed("The log is closed.", outcome=Outcome.NOT_WRITTEN)
        if deadline.remaining_s() <= 0:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)

    def _check_still_there(self, topic: TopicRef, state: TopicState) -> None:
        """Keys of a deleted topic are given out again: what was read may be another's."""
        if state.deleted:
            self._catalog.stream(topic.stream)
            raise TopicNotFound

    def _state_changed(self, state: LogState) -> None:
        self._observer.connection_changed(state)
        if state is LogState.FAILED:
            self._failed.set()


def _is_surely_empty(partition: PartitionState, position: Position) -> bool:
    marks = partition.marks
    match position:
        case FromOffset(offset):
            return offset >= marks.next_offset
        case First() | Last():
            return marks.first_offset == marks.next_offset
        case _:
            return False


def _open_files(
    directory: Path, tuning: Tuning
) -> tuple[DirectoryLock, apsw.Connection, list[apsw.Connection], Catalog]:
    lock = DirectoryLock(directory)
    try:
        writer = open_writer(directory, tuning)
    except StartupError:
        lock.release()
        raise
    try:
        catalog = load_catalog(writer)
        readers = [open_reader(directory, tuning) for _ in range(limits.LOCAL_READERS)]
    except StartupError:
        writer.close(True)
        lock.release()
        raise
    return lock, writer, readers, catalog
