"""What Iggy says of streams and topics, in the port's words; and what of it may be believed for a while (pure)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from apache_iggy import Durability as IggyDurability
from apache_iggy import IggyExpiry, MaxTopicSize, Partition, Stream, StreamDetails, Topic, TopicDetails

from bridge import limits
from bridge.messagelog import Durability, PartitionInfo, Retention, StreamInfo, TopicInfo, TopicRef

#: The server's default for `messages_required_to_save`, where it does not say.
_SAVED_AFTER_DEFAULT: Final = 1024
_SEGMENT_STEP_BYTES: Final = 512
#: The server's default for `segment_size`, where it does not say.
_SEGMENT_BYTES_DEFAULT: Final = 1024**3
#: Segments that the size allowed for one partition is cut into: one is open and never removed.
_SEGMENTS_PER_PARTITION: Final = 4


def durability_of(options: Mapping[Any, Any]) -> Durability:
    """What an acknowledgement of a topic with these effective options means.

    Measured: after SIGKILL a topic keeps what it acknowledged only if it saves after each message; that it is synced
    to the disk as well is said by `durability`, or `enforce_fsync` on servers before 0.9.0.
    """
    synced = options.get("durability") == "persisted" or options.get("enforce_fsync") in (True, "true")
    saved_after = options.get("messages_required_to_save", _SAVED_AFTER_DEFAULT)
    return Durability.PERSISTED if synced and str(saved_after) == "1" else Durability.REPLICATED


def topic_options(durability: Durability, retention: Retention, partitions_count: int) -> dict[str, Any]:
    """Keyword arguments for the SDK's `create_topic`.

    Iggy removes whole sealed segments and divides a topic's size among its partitions, so a topic that may lose
    messages gets small segments; one that keeps everything keeps the server's default of 1 GiB.
    """
    options: dict[str, Any] = {}
    if durability is Durability.PERSISTED:
        options["durability"] = IggyDurability.PERSISTED
        options["consumer_offset_durability"] = IggyDurability.PERSISTED
        options["messages_required_to_save"] = 1
    if retention.age_s is None and retention.size_bytes is None:
        return options
    segment_bytes = limits.IGGY_SEGMENT_BYTES_MAX
    if retention.size_bytes is not None:
        share = retention.size_bytes // partitions_count // _SEGMENTS_PER_PARTITION
        segment_bytes = min(limits.IGGY_SEGMENT_BYTES_MAX, max(limits.IGGY_SEGMENT_BYTES_MIN, share))
        segment_bytes -= segment_bytes % _SEGMENT_STEP_BYTES
        options["max_topic_size"] = MaxTopicSize.Custom(max(retention.size_bytes, segment_bytes))
    if retention.age_s is not None:
        options["message_expiry"] = IggyExpiry.ExpireDuration(timedelta(seconds=retention.age_s))
    options["segment_size"] = segment_bytes
    return options


def retention_options(topic: TopicDetails, retention: Retention) -> dict[str, Any]:
    """Keyword arguments for the SDK's `update_topic`, all of the retention.

    The size of segments was fixed when the topic was made, and Iggy refuses a topic smaller than one of them.
    """
    expiry: Any = IggyExpiry.NeverExpire()
    if retention.age_s is not None:
        expiry = IggyExpiry.ExpireDuration(timedelta(seconds=retention.age_s))
    size: Any = MaxTopicSize.Unlimited()
    if retention.size_bytes is not None:
        segment_bytes = int(_options(topic).get("segment_size", _SEGMENT_BYTES_DEFAULT))
        size = MaxTopicSize.Custom(max(retention.size_bytes, segment_bytes))
    return {"message_expiry": expiry, "max_topic_size": size}


def stream_info(stream: Stream | StreamDetails) -> StreamInfo:
    return StreamInfo(
        id=stream.id,
        name=stream.name,
        created_at_us=stream.created_at,
        topics_count=stream.topics_count,
        size_bytes=stream.size,
        messages_count=stream.messages_count,
    )


def topic_info(topic: Topic | TopicDetails, *, stream_id: int) -> TopicInfo:
    """A topic; with its partitions if the SDK told them."""
    options = _options(topic)
    expiry, size = topic.message_expiry, topic.max_topic_size
    partitions = topic.partitions if isinstance(topic, TopicDetails) else []
    return TopicInfo(
        id=topic.id,
        stream_id=stream_id,
        name=topic.name,
        created_at_us=topic.created_at,
        partitions_count=topic.partitions_count,
        size_bytes=topic.size,
        messages_count=topic.messages_count,
        durability=durability_of(options),
        retention=Retention(
            age_s=_seconds(expiry.duration) if isinstance(expiry, IggyExpiry.ExpireDuration) else None,
            size_bytes=size.bytes if isinstance(size, MaxTopicSize.Custom) else None,
        ),
        partitions=tuple(
            PartitionInfo(
                id=partition.id,
                end_offset=end_offset(partition),
                size_bytes=partition.size,
                messages_count=partition.messages_count,
            )
            for partition in sorted(partitions, key=lambda partition: partition.id)
        ),
    )


def end_offset(partition: Partition) -> int:
    """Iggy's own offset is that of the newest message, and 0 as well where there is none."""
    return partition.current_offset + 1 if partition.messages_count or partition.current_offset else 0


def _options(topic: Topic | TopicDetails) -> dict[Any, Any]:
    """What is in effect: what was asked for, and the server's own for the rest."""
    return {**topic.derived_options.to_scalar_dict(), **topic.options.to_scalar_dict()}


def _seconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds()))


@dataclass(slots=True)
class KnownTopic:
    """What is believed of a topic until *until_s*.

    Attributes:
        turn: the partition that the next balanced append goes to, modulo their count.
    """

    partitions_count: int
    durability: Durability
    until_s: float
    turn: int = 0

    def next_partition(self) -> int:
        partition_id = self.turn % self.partitions_count
        self.turn += 1
        return partition_id


class TopicCache:
    """Topics looked at lately, at most `TOPIC_CACHE_ENTRIES_MAX`, each for `TOPIC_CACHE_TTL_S`."""

    def __init__(self) -> None:
        self._topics: OrderedDict[TopicRef, KnownTopic] = OrderedDict()

    def get(self, topic: TopicRef, now_s: float) -> KnownTopic | None:
        known = self._topics.get(topic)
        return known if known is not None and now_s < known.until_s else None

    def put(self, topic: TopicRef, info: TopicInfo, now_s: float) -> KnownTopic:
        """Believe *info* from now on; the turn of balanced appends goes on."""
        known = self._topics.pop(topic, None)
        turn = 0 if known is None else known.turn
        known = KnownTopic(info.partitions_count, info.durability, now_s + limits.TOPIC_CACHE_TTL_S, turn)
        self._topics[topic] = known
        if len(self._topics) > limits.TOPIC_CACHE_ENTRIES_MAX:
            self._topics.popitem(last=False)
        return known

    def drop(self, topic: TopicRef) -> None:
        self._topics.pop(topic, None)

    def drop_stream(self, stream: str) -> None:
        for topic in [topic for topic in self._topics if topic.stream == stream]:
            del self._topics[topic]
