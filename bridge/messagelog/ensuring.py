"""Topics of the bridge's own, made where they are missing (shell over the port)."""

from contextlib import suppress

from bridge.clock import Deadline
from bridge.errors import AlreadyExists, StreamNotFound
from bridge.messagelog.port import MessageLog
from bridge.messagelog.values import Retention, TopicRef


async def ensure_topic(
    log: MessageLog,
    topic: TopicRef,
    *,
    retention: Retention = Retention(),  # noqa: B008 (frozen)
    with_stream: bool,
    deadline: Deadline,
) -> None:
    """Make a topic of one partition, unless it is there; others may be making the same. One that is there stays as it is.

    Args:
        with_stream: make its stream too, where that is missing.

    Raises:
        StreamNotFound: if the stream is missing and is not to be made, or somebody removes it meanwhile.
        LogError: as `MessageLog.create_topic`.
    """
    try:
        await _make(log, topic, retention, deadline)
    except StreamNotFound:
        if not with_stream:
            raise
        with suppress(AlreadyExists):
            await log.create_stream(topic.stream, deadline=deadline)
        await _make(log, topic, retention, deadline)


async def _make(log: MessageLog, topic: TopicRef, retention: Retention, deadline: Deadline) -> None:
    with suppress(AlreadyExists):
        await log.create_topic(topic, partitions_count=1, retention=retention, deadline=deadline)
