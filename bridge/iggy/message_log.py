"""Apache Iggy as a `MessageLog` (shell)."""

import random

import structlog

from bridge.clock import Clock, Deadline
from bridge.config import IggyConfig
from bridge.errors import ConfigError, NotFound, PartitionNotFound, StreamNotFound, TopicNotFound
from bridge.iggy import encoding
from bridge.iggy.address import parse_connection_string
from bridge.iggy.admin import IggyAdmin
from bridge.iggy.catalogue import TopicCatalogue
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation, unexplained
from bridge.iggy.reader import PageReader
from bridge.iggy.sender import Sender
from bridge.iggy.sent_events import SentEvents
from bridge.iggy.session import IggySession
from bridge.iggy.state import State
from bridge.messagelog import ConsumerKey, Durability, LogHealth, LogTotals, StoredOffset, TopicRef
from bridge.telemetry.metrics import LogMetrics

_log = structlog.get_logger("bridge.iggy")


class IggyMessageLog:
    """A log on an Iggy server.

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
        rng: random.Random,
    ) -> None:
        if config.connection_string is None:
            raise ConfigError(("IGGY_CONNECTION_STRING: not set",))
        self._durability = durability
        self._connection = IggyConnection(
            config,
            parse_connection_string(config.connection_string),
            clock=clock,
            observer=observer,
            rng=rng,
        )
        self._session = IggySession(self._connection)
        self._catalogue = catalogue = TopicCatalogue(self._session, durability=durability, clock=clock)
        self._admin = admin = IggyAdmin(self._session, catalogue, durability=durability)
        self.streams = catalogue.streams
        self.stream = catalogue.stream
        self.create_stream = admin.create_stream
        self.delete_stream = admin.delete_stream
        self.topics = catalogue.topics
        self.topic = catalogue.topic
        self.partitions_count = catalogue.partitions_count
        self.create_topic = admin.create_topic
        self.delete_topic = admin.delete_topic
        self.purge_topic = admin.purge_topic
        self.update_retention = admin.update_retention
        self.add_partitions = admin.add_partitions
        sent_events = SentEvents()
        self.append = Sender(self._session, catalogue, sent_events, clock=clock, observer=observer).append
        self._reader = PageReader(self._session, catalogue, sent_events, clock=clock, observer=observer)
        self.read = self._reader.read
        #: Keeps the connection, from the first dial on; ends after `close`, or by a `StartupError` when no attempt is left.
        self.run = self._connection.run
        #: Asks the server for a sign of life over a client of its own.
        self.probe = self._session.probe

    async def close(self) -> None:
        self._session.close()
        self._connection.close()

    # --- stored offsets ---------------------------------------------------------------------------------------

    async def stored_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> StoredOffset | None:
        body = encoding.offset_request(topic, partition_id, consumer)
        reply = await self._catalogue.partition_request(
            topic, partition_id, encoding.GET_OFFSET, body, write=False, deadline=deadline
        )
        if not reply:
            # Iggy answers the same for a topic that does not exist.
            await self._catalogue.name_missing(topic, partition_id, deadline=deadline)
        try:
            return encoding.parse_offset(reply)
        except encoding.WireError as error:
            _log.exception("iggy_reply_malformed", fault=str(error))
            raise unexplained(Operation.POLL, write=False) from None

    async def store_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, offset: int, *, deadline: Deadline
    ) -> None:
        body = encoding.store_offset_request(topic, partition_id, consumer, offset)
        await self._catalogue.partition_request(
            topic, partition_id, encoding.STORE_OFFSET, body, write=True, deadline=deadline
        )

    async def delete_offset(
        self, topic: TopicRef, partition_id: int, consumer: ConsumerKey, *, deadline: Deadline
    ) -> None:
        body = encoding.delete_offset_request(topic, partition_id, consumer)
        try:
            await self._catalogue.partition_request(
                topic, partition_id, encoding.DELETE_OFFSET, body, write=True, deadline=deadline
            )
        except (StreamNotFound, TopicNotFound, PartitionNotFound):
            raise
        except NotFound:
            return

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
            warnings=self._catalogue.warnings,
        )

    async def totals(self, *, deadline: Deadline) -> LogTotals:
        stats = await self._session.look(lambda client: client.get_stats(), Operation.STREAM, deadline)
        return LogTotals(
            streams_count=stats.streams_count,
            topics_count=stats.topics_count,
            messages_count=stats.messages_count,
            size_bytes=stats.messages_size_bytes,
        )
