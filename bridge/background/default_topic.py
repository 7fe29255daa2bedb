"""The default topic, made at start and made again when somebody deletes it (shell)."""

from typing import Protocol

import structlog

from bridge.clock import Clock, Deadline
from bridge.errors import AlreadyExists, StreamNotFound, TopicNotFound
from bridge.messagelog import MessageLog, TopicRef

_log = structlog.get_logger("bridge.background")


class _Kept(Protocol):
    """What is known of it elsewhere (`flow.kept_topic`)."""

    @property
    def topic(self) -> TopicRef: ...
    def missed(self) -> None: ...


class DefaultTopic:
    """Sees to it that the default topic is there; `look` is one step for `retry_until_done`.

    Any number of bridges may do this at once: whoever comes second finds it there. A topic that is there stays as it is,
    with the partitions it has.

    Args:
        kept: told where the topic is found missing.
        partitions_count: of a topic that is made here.
        timeout_s: for one look, with whatever has to be made.
    """

    def __init__(
        self, log: MessageLog, kept: _Kept, *, partitions_count: int, clock: Clock, timeout_s: float
    ) -> None:
        self._messages = log
        self._kept = kept
        self._partitions_count = partitions_count
        self._clock = clock
        self._timeout_s = timeout_s
        self._told_count = partitions_count

    async def look(self) -> None:
        """Make what is missing of stream and topic; where nothing is, one read of the log.

        Raises:
            LogError: if the log does not answer in time.
            StreamNotFound, TopicNotFound: if somebody removes the stream or the topic meanwhile.
        """
        deadline = Deadline.after(self._timeout_s, self._clock)
        try:
            await self._found(deadline)
        except StreamNotFound:
            self._kept.missed()
            await self._make_stream(deadline)
            await self._make_topic(deadline)
        except TopicNotFound:
            self._kept.missed()
            await self._make_topic(deadline)

    async def _found(self, deadline: Deadline) -> None:
        # Looked at as a whole, so that the log also sees whether its durability is what was configured.
        present = (await self._messages.topic(self._kept.topic, deadline=deadline)).partitions_count
        if present != self._told_count:
            self._told_count = present
            _log.warning("default_topic_partitions", present=present, configured=self._partitions_count)

    async def _make_stream(self, deadline: Deadline) -> None:
        stream = self._kept.topic.stream
        try:
            await self._messages.create_stream(stream, deadline=deadline)
        except AlreadyExists:
            return
        _log.info("stream_created", stream=stream)

    async def _make_topic(self, deadline: Deadline) -> None:
        topic, count = self._kept.topic, self._partitions_count
        try:
            await self._messages.create_topic(topic, partitions_count=count, deadline=deadline)
        except AlreadyExists:
            await self._found(deadline)
        else:
            _log.info("topic_created", stream=topic.stream, topic=topic.topic, partitions=count)
