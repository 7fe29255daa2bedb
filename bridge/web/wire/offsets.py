"""Stored offsets as requests and answers spell them (pure)."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bridge.errors import BadRequest, PartitionNotFound, SerializationError
from bridge.limits import OFFSET_MAX, PARTITIONS_MAX
from bridge.messagelog import ConsumerKey, PartitionInfo, StoredOffset, TopicInfo, TopicRef
from bridge.web.wire.envelopes import decode_envelope
from bridge.web.wire.queries import PARTITION_ID_MAX


class OffsetBody(msgspec.Struct, forbid_unknown_fields=True):
    """The offset of the last message that was consumed."""

    offset: Annotated[int, Meta(ge=0, le=OFFSET_MAX)]


class PlacedOffset(msgspec.Struct, forbid_unknown_fields=True):
    """An offset of one partition."""

    partition_id: Annotated[int, Meta(ge=0, le=PARTITION_ID_MAX)]
    offset: Annotated[int, Meta(ge=0, le=OFFSET_MAX)]


class OffsetsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Offsets of several partitions, each of them once."""

    offsets: Annotated[list[PlacedOffset], Meta(min_length=1, max_length=PARTITIONS_MAX)]


_Stored = Annotated[
    Annotated[int, Meta(ge=0)] | None,
    Meta(description="Of the last message consumed; null where none is stored"),
]
_Current = Annotated[int, Meta(ge=0, description="Of the newest message; 0 where there is none")]
_Lag = Annotated[int, Meta(ge=0, description="Messages kept after the offset; all where none is stored")]


class PartitionProgress(msgspec.Struct):
    """How far a consumer came in one of several partitions."""

    partition_id: Annotated[int, Meta(ge=0)]
    offset: _Stored
    current_offset: _Current
    lag: _Lag

    @classmethod
    def of(cls, partition: PartitionInfo, stored: StoredOffset | None) -> "PartitionProgress":
        """What *partition* and the offset, looked at one after the other, say together.

        Args:
            stored: asked for after *partition*, so that there may be more messages by then.
        """
        if stored is None:
            return cls(partition.id, None, current_offset(partition.end_offset), partition.messages_count)
        grown = max(stored.end_offset - partition.end_offset, 0)
        behind = max(stored.end_offset - 1 - stored.offset, 0)
        lag = min(behind, partition.messages_count + grown)
        return cls(partition.id, stored.offset, current_offset(stored.end_offset), lag)


class ConsumerOffset(msgspec.Struct):
    """How far a consumer came in one partition."""

    consumer: str
    stream: str
    topic: str
    partition_id: Annotated[int, Meta(ge=0)]
    offset: _Stored
    current_offset: _Current
    lag: _Lag


class ConsumerOffsets(msgspec.Struct):
    """How far a consumer came in several partitions; the lag is that of these together."""

    consumer: str
    stream: str
    topic: str
    lag: Annotated[int, Meta(ge=0)]
    partitions: list[PartitionProgress]


_OFFSET: Final = msgspec.json.Decoder(OffsetBody)
_OFFSETS: Final = msgspec.json.Decoder(OffsetsBody)


def current_offset(end_offset: int) -> int:
    """The offset of the newest message of a partition that ends at *end_offset*; 0 where it is empty."""
    return max(end_offset - 1, 0)


def read_offset(body: bytes) -> int:
    """The offset that `PUT .../offsets/{partition}` stores.

    Raises:
        SerializationError: if *body* is no `OffsetBody`.
    """
    return decode_envelope(body, _OFFSET).offset


def read_offsets(body: bytes) -> dict[int, int]:
    """The offsets that `PUT .../offsets` stores, by partition, in their order.

    Raises:
        SerializationError, BadRequest: if *body* is no `OffsetsBody`, or names a partition twice.
    """
    entries = decode_envelope(body, _OFFSETS).offsets
    # There is no text in it but keys: one for the list, two for each entry.
    if body.count(b'"') != 2 * (1 + 2 * len(entries)):
        raise SerializationError("An object names a key twice.", path="$")
    return by_partition(entries, at="$.offsets")


def by_partition(entries: Sequence[PlacedOffset], *, at: str) -> dict[int, int]:
    """The offsets by partition, in their order; *at* is where they stand in the body.

    Raises:
        BadRequest: if a partition is there twice.
    """
    placed: dict[int, int] = {}
    for index, entry in enumerate(entries):
        if entry.partition_id in placed:
            raise BadRequest("The partition is there twice.", path=f"{at}[{index}].partition_id")
        placed[entry.partition_id] = entry.offset
    return placed


def check_offsets(topic: TopicInfo, offsets: dict[int, int]) -> None:
    """Refuse what the log would refuse, before any of them is stored.

    Raises:
        PartitionNotFound: if there is no such partition; `path` says which.
        BadRequest: if an offset is beyond the newest message; `path` says which.
    """
    for index, (partition_id, offset) in enumerate(offsets.items()):
        if partition_id >= len(topic.partitions):
            raise PartitionNotFound(path=f"$.offsets[{index}].partition_id")
        if offset >= topic.partitions[partition_id].end_offset:
            raise BadRequest("The offset is beyond the newest message.", path=f"$.offsets[{index}].offset")


def offset_json(topic: TopicRef, consumer: ConsumerKey, progress: PartitionProgress) -> bytes:
    return msgspec.json.encode(
        ConsumerOffset(str(consumer), topic.stream, topic.topic, *msgspec.structs.astuple(progress))
    )


def offsets_json(topic: TopicRef, consumer: ConsumerKey, progress: Sequence[PartitionProgress]) -> bytes:
    return msgspec.json.encode(
        ConsumerOffsets(
            str(consumer),
            topic.stream,
            topic.topic,
            lag=sum(each.lag for each in progress),
            partitions=list(progress),
        )
    )
