"""The default stream and topic, made at start (shell)."""

import structlog

from bridge.clock import Clock, Deadline
from bridge.errors import AlreadyExists
from bridge.messagelog import MessageLog, TopicRef

__all__ = ("make_default_topic",)

_log = structlog.get_logger("bridge.background")


async def make_default_topic(
    log: MessageLog, topic: TopicRef, *, partitions_count: int, clock: Clock, timeout_s: float
) -> None:
    """
    Make what is missing of stream and topic; one step for `retry_until_done`.

    Any number of bridges may do this at once: whoever comes second finds it there. A topic that is there stays as
    it is, with the partitions it has.

    Raises:
        LogError: if the log does not answer within *timeout_s*.
        StreamNotFound, TopicNotFound: if somebody removes the stream or the topic meanwhile.
    """
    deadline = Deadline.after(timeout_s, clock)
    try:
        await log.create_stream(topic.stream, deadline=deadline)
    except AlreadyExists:
        pass
    else:
        _log.info("stream_created", stream=topic.stream)
    try:
        await log.create_topic(topic, partitions_count=partitions_count, deadline=deadline)
    except AlreadyExists:
        # Looked at as a whole, so that the log also sees whether its durability is what was configured.
        present = (await log.topic(topic, deadline=deadline)).partitions_count
        if present != partitions_count:
            _log.warning("default_topic_partitions", present=present, configured=partitions_count)
    else:
        _log.info("topic_created", stream=topic.stream, topic=topic.topic, partitions=partitions_count)
