"""The values that cross the port (pure). Times are microseconds since the epoch, UTC; offsets and ids count from 0."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec
import xxhash

HeaderValue: TypeAlias = str | bytes | bool | int | float
"""A header's value: text or bytes of 1..255 bytes, or a number of at most 64 bits when written here."""

Headers: TypeAlias = Mapping[str, HeaderValue]

ConsumerKey: TypeAlias = int | str
"""Who a stored offset belongs to: an id 1..1,000,000,000, or a name (see `policy.names`)."""


class Durability(StrEnum):
    """What an acknowledgement of a topic means."""

    #: On disk, synced, before the acknowledgement.
    PERSISTED = "persisted"
    #: In the memory of the Iggy server, or of its quorum; a killed single server loses it.
    REPLICATED = "replicated"


class TopicRef(NamedTuple):
    """A topic by the names of its stream and itself; names only, since Iggy gives ids away again after a deletion."""

    stream: str
    topic: str


NO_HEADERS: Final[Headers] = MappingProxyType({})


# A struct, since a frozen dataclass takes 0.8 us to make and this 0.04 us; they are made a thousand at a time.
class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message on its way in.

    Attributes:
        payload: 1..`MESSAGE_PAYLOAD_BYTES_MAX` bytes, kept as they are.
        id: 1..2^128-1, or 0 for "give it a random one".
        headers: keys of 1..255 bytes; at most `HEADERS_BYTES_MAX` in all.
    """

    payload: bytes
    id: int = 0
    headers: Headers = NO_HEADERS


class NewEvent(NewMessage, frozen=True, gc=False):
    """A message whose payload was checked at the door and is a domain event in every respect; a log may remember it."""


class Message(NamedTuple):
    """A message in the log.

    Attributes:
        offset: position in its partition.
        timestamp_us: when the log took it.
        id: 0..2^128-1.
        payload: the bytes that were sent.
        headers: by name; a header whose key is no text is left to the adapter to spell.
    """

    offset: int
    timestamp_us: int
    id: int
    payload: bytes
    headers: Headers


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Proof that messages are stored: *messages_count* of them at *offset*, *offset*+1, … of one partition.

    Attributes:
        offset: of the first message; None where the log confirmed without saying where.
        durability: what this acknowledgement means.
    """

    partition_id: int
    offset: int | None
    messages_count: int
    durability: Durability


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What may be removed: messages older than *age_s* seconds, and the oldest beyond *size_bytes* per topic.

    None means "never". A log may keep more than this for a while, never less.
    """

    age_s: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    id: int
    name: str
    created_at_us: int
    topics_count: int
    size_bytes: int
    messages_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionInfo:
    """One partition.

    Attributes:
        end_offset: the offset that the next message gets; 0 where there never was one, or none since a purge.
    """

    id: int
    end_offset: int
    size_bytes: int
    messages_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicInfo:
    """One topic; *partitions* in order of id (empty in lists of topics, where the log does not tell them)."""

    id: int
    stream_id: int
    name: str
    created_at_us: int
    partitions_count: int
    size_bytes: int
    messages_count: int
    durability: Durability
    retention: Retention
    partitions: tuple[PartitionInfo, ...] = ()


class StoredOffset(NamedTuple):
    """A consumer's position: *offset* is the last message consumed; *end_offset* the partition's, see `PartitionInfo`."""

    offset: int
    end_offset: int


class FromOffset(NamedTuple):
    """From this offset on; beyond the end gives an empty page, below the oldest kept starts at the oldest."""

    offset: int


class FromTimestamp(NamedTuple):
    """From the first message that the log took at or after this time."""

    timestamp_us: int


class First(NamedTuple):
    """From the oldest message kept."""


class Last(NamedTuple):
    """The newest messages, as many as were asked for."""


class Next(NamedTuple):
    """After the consumer's stored offset; from offset 0 where none is stored."""

    consumer: ConsumerKey


Position: TypeAlias = FromOffset | FromTimestamp | First | Last | Next


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTotals:
    streams_count: int
    topics_count: int
    messages_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHealth:
    """What an adapter knows of itself without asking anybody.

    Attributes:
        kind: "local" or "iggy".
        state: the adapter's own word, e.g. "open", "connected", "reconnecting", "closed".
        ready: whether a request has a chance right now.
        detail: one sentence when not ready or not well, else empty.
        durability: what new topics of this bridge get.
        server_version: of the Iggy server, once known.
        warnings: sentences for operators, e.g. topics whose durability is weaker than configured.
    """

    kind: str
    state: str
    ready: bool
    detail: str
    durability: Durability
    server_version: str | None = None
    warnings: tuple[str, ...] = ()


class ToPartition(NamedTuple):
    """Into this partition."""

    partition_id: int


class ByKey(msgspec.Struct, frozen=True, gc=False):
    """Into the partition of this key, 1..255 bytes; one key always goes to one partition while their number stays."""

    key: bytes


class Balanced(NamedTuple):
    """Into partitions in turn, a whole append into one."""


Placement: TypeAlias = ToPartition | ByKey | Balanced


def partition_of_key(key: bytes, partitions_count: int) -> int:
    """The partition, 0..*partitions_count*-1, where every Iggy client puts messages with this key.

    Source: Iggy's clients take xxh32 with seed 0, modulo the number of partitions; the contract suite compares
    with the SDK's own placement.
    """
    return xxhash.xxh32_intdigest(key, 0) % partitions_count
