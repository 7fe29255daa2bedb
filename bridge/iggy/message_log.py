"""Apache Iggy as a `MessageLog` (shell)."""

import random
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.config import IggyConfig
from bridge.errors import (
    ConfigError,
    NotFound,
    PartitionNotFound,
    StreamNotFound,
    TopicNotFound,
)
from bridge.iggy import wire
from bridge.iggy.address import parse_connection_string
from bridge.iggy.appending import IggyAppending
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation, unexplained
from bridge.iggy.pages import HotReplies, MessageSizes
from bridge.iggy.shared_reads import SharedReads
from bridge.iggy.state import State
from bridge.iggy.topics import end_offset
from bridge.messagelog import (
    NO_RECORDS,
    ConsumerKey,
    Durability,
    First,
    FromOffset,
    HealthProbe,
    Last,
    LogHealth,
    LogTotals,
    MessageLog,
    Page,
    Position,
    Records,
    StatsSource,
    StoredOffset,
    TopicRef,
)
from bridge.telemetry.metrics import LogMetrics

__all__ = ("IggyMessageLog",)

_log = structlog.get_logger("bridge.iggy")


class IggyMessageLog(IggyAppending):
    """
    A log on an Iggy server.

    Retention by size is Iggy's own: it divides the topic's size among its partitions. A stored offset of an int
    consumer shares its place with any name that hashes to that number (Iggy keeps 32 bits).

    Args:
        durability: what topics get that are made here without their own.

    Raises:
        ConfigError: if the connection string cannot be used.
    """

    def __init__(
        self,
        config: IggyConfig,
        *,
        durability: Durability,
        clock: Clock,
        observer: LogMetrics,
        rng: random.Random | None = None,
    ) -> None:
        if config.connection_string is None:
            raise ConfigError(("IGGY_CONNECTION_STRING: not set",))
        connection = IggyConnection(
            config,
            parse_connection_string(config.connection_string),
            clock=clock,
            observer=observer,
            rng=random.Random() if rng is None else rng,  # noqa: S311 (jitter, no secret)
        )
        super().__init__(connection, durability=durability, clock=clock, observer=observer)
        self._sizes = MessageSizes()
        self._hot_replies = HotReplies()
        self._shared_reads: SharedReads[Page] = SharedReads(self._session.too_late)

    # --- life -------------------------------------------------------------------------------------------------

    async def start(self, deadline: Deadline | None = None) -> None:
        """
        Try to connect once; returns without a connection if Iggy is not there, and `run` goes on trying.

        Raises:
            StartupError: if no further attempt is allowed.
        """
        await self._connection.start(deadline)

    async def run(self) -> None:
        """
        Keep the connection; ends after `close`.

        Raises:
            StartupError: if the attempts to connect have run out.
        """
        await self._connection.run()

    async def close(self) -> None:
        self._session.close()
        self._connection.close()

    # --- messages ---------------------------------------------------------------------------------------------

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        begun_s = self._clock.monotonic_s()
        page = await self._shared_reads.read(
            # The type as well: positions are tuples, and the same number means an offset or a time.
            (topic, partition_id, type(position), position, count),
            lambda: self._read(topic, partition_id, position, count, deadline),
            deadline=deadline,
        )
        records = Records.of(page.messages)
        self._observer.read(
            *topic,
            messages=len(records),
            payload_bytes=records.payload_bytes,
            seconds=self._clock.monotonic_s() - begun_s,
        )
        return page

    async def _read(
        self, topic: TopicRef, partition_id: int, position: Position, count: int, deadline: Deadline
    ) -> Page:
        """A page whose end is exact: in a reply without messages Iggy says 0 of a partition with one message as well."""
        page = await self._read_in_steps(topic, partition_id, position, count, deadline)
        if (
            page.messages
            or page.end_offset
            or isinstance(position, First | Last)
            or position == FromOffset(0)
        ):
            return page
        if not await self._holds_messages(topic, partition_id, deadline):
            return page
        if not isinstance(position, FromOffset):
            # That one may have come after the reply, and belong to the page.
            page = await self._read_in_steps(topic, partition_id, position, count, deadline)
        return page._replace(end_offset=max(page.end_offset, 1))

    async def _holds_messages(self, topic: TopicRef, partition_id: int, deadline: Deadline) -> bool:
        found = await self._session.call(
            self._connection.read_lane,
            lambda client: client.get_topic(*topic),
            Operation.TOPIC,
            write=False,
            deadline=deadline,
        )
        partitions = () if found is None else found.partitions
        return any(each.id == partition_id and end_offset(each) for each in partitions)

    async def _read_in_steps(
        self, topic: TopicRef, partition_id: int, position: Position, count: int, deadline: Deadline
    ) -> Page:
        runs: list[Records] = []
        left = count
        record_bytes = current_offset = 0
        if (
            isinstance(position, Last)
            and self._sizes.step(topic, partition_id, wanted=count, page_bytes=0) < count
        ):
            # The newest are asked for by offset: a reply in steps must begin with the oldest of them.
            newest = await self._poll(topic, partition_id, position, 1, limits.PAGE_BYTES_MAX, deadline)
            position = FromOffset(max(0, newest.current_offset + 1 - count))
        while left > 0 and record_bytes < limits.PAGE_BYTES_MAX:
            step = self._sizes.step(topic, partition_id, wanted=left, page_bytes=record_bytes)
            room_bytes = limits.PAGE_BYTES_MAX - record_bytes
            polled = await self._poll(topic, partition_id, position, step, room_bytes, deadline)
            found = polled.records
            self._sizes.learn(topic, partition_id, messages=len(found), record_bytes=polled.record_bytes)
            current_offset = polled.current_offset
            if runs and record_bytes + polled.record_bytes > limits.PAGE_BYTES_MAX:
                break
            if not found:
                break
            runs.append(found)
            left -= len(found)
            record_bytes += polled.record_bytes
            if polled.cut or len(found) < step or found.offsets[-1] >= current_offset:
                break
            position = FromOffset(found.offsets[-1] + 1)
        records = Records.joined(runs) if runs else NO_RECORDS
        if runs:
            current_offset = max(current_offset, records.offsets[-1])
        return Page(partition_id, current_offset + 1 if runs or current_offset else 0, records)

    async def _poll(
        self,
        topic: TopicRef,
        partition_id: int,
        position: Position,
        count: int,
        page_bytes_max: int,
        deadline: Deadline,
    ) -> wire.PolledPage:
        body = wire.poll_request(topic, partition_id, position, count)
        reply = await self._raw(topic, partition_id, wire.POLL, body, write=False, deadline=deadline)
        try:
            return self._hot_replies.parsed(
                topic, partition_id, reply, count_max=count, page_bytes_max=page_bytes_max
            )
        except wire.WireError as error:
            _log.exception("iggy_reply_malformed", fault=str(error))
            raise unexplained(Operation.POLL, write=False) from None

    # --- stored offsets ---------------------------------------------------------------------------------------

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        body = wire.offset_request(topic, partition_id, consumer)
        reply = await self._raw(topic, partition_id, wire.GET_OFFSET, body, write=False, deadline=deadline)
        if not reply:
            # Iggy answers the same for a topic that does not exist.
            await self.name_missing(topic, partition_id, deadline=deadline)
        try:
            return wire.parse_offset(reply)
        except wire.WireError as error:
            _log.exception("iggy_reply_malformed", fault=str(error))
            raise unexplained(Operation.POLL, write=False) from None

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        body = wire.store_offset_request(topic, partition_id, consumer, offset)
        await self._raw(topic, partition_id, wire.STORE_OFFSET, body, write=True, deadline=deadline)

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        body = wire.delete_offset_request(topic, partition_id, consumer)
        try:
            await self._raw(topic, partition_id, wire.DELETE_OFFSET, body, write=True, deadline=deadline)
        except (StreamNotFound, TopicNotFound, PartitionNotFound):
            raise
        except NotFound:
            return

    async def _raw(
        self, topic: TopicRef, partition_id: int, code: int, body: bytes, *, write: bool, deadline: Deadline
    ) -> bytes:
        try:
            return await self._read_lane_call(code, body, Operation.POLL, write=write, deadline=deadline)
        except NotFound as error:
            self.forget(topic)
            if type(error) is NotFound:
                look = partial(self.name_missing, topic, partition_id, deadline=deadline)
                await (self._looked(look) if write else look())
            raise

    # --- health -----------------------------------------------------------------------------------------------

    def health(self) -> LogHealth:
        connection = self._connection
        detail = connection.detail
        if connection.state is State.CONNECTED and not connection.ready:
            detail = "The Iggy server did not answer several requests in a row; it is left alone for a while."
        return LogHealth(
            kind="iggy",
            state=connection.state.value,
            ready=connection.ready,
            detail=detail,
            durability=self._durability,
            server_version=connection.server_version,
            warnings=self.warnings,
        )

    async def probe(self, *, deadline: Deadline) -> None:
        await self._session.probe(deadline)

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        stats = await self._admin(
            lambda client: client.get_stats(), Operation.STREAM, write=False, deadline=deadline
        )
        return LogTotals(
            streams_count=stats.streams_count,
            topics_count=stats.topics_count,
            messages_count=stats.messages_count,
            size_bytes=stats.messages_size_bytes,
        )


if TYPE_CHECKING:
    _log_conforms: type[MessageLog] = IggyMessageLog
    _probe_conforms: type[HealthProbe] = IggyMessageLog
    _stats_conforms: type[StatsSource] = IggyMessageLog
