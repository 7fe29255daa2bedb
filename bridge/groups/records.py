"""What processes say to each other through the ledger, as bytes (pure).

A record is four bytes that name the format and its version, then MessagePack. What is not of this form, or out of
bounds, is no record: somebody else's message in that topic, or a newer bridge's.
"""

from collections.abc import Sequence
from enum import IntEnum
from itertools import starmap
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge import limits

_FORMAT: Final = b"BGL1"

_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS_MAX)]
_Id: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Offset: TypeAlias = Annotated[int, Meta(ge=0, le=limits.OFFSET_MAX)]
_Partition: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class AckKind(IntEnum):
    """What is done with a message that is out."""

    ACK = 0
    NACK = 1
    EXTEND = 2
    #: It never reached a consumer: it is free at once, and the delivery does not count.
    RELEASE = 3


class GroupRef(NamedTuple):
    """A group: its name counts within one topic."""

    stream: _Name
    topic: _Name
    group: _Name


class OffsetRange(NamedTuple):
    """The offsets from *start* up to, not including, *stop*."""

    start: _Offset
    stop: _Offset


class PartitionStart(NamedTuple):
    """Where a partition is taken up: *offset* is the next one; *epoch* of the state that this replaces, -1 for any."""

    partition_id: _Partition
    offset: _Offset
    epoch: Annotated[int, Meta(ge=-1, le=2**63 - 1)] = -1


def offset_ranges(offsets: Sequence[int]) -> tuple[OffsetRange, ...]:
    """*offsets*, in order and each once, as few ranges."""
    ranges: list[list[int]] = []
    for offset in offsets:
        if ranges and ranges[-1][1] == offset:
            ranges[-1][1] += 1
        else:
            ranges.append([offset, offset + 1])
    return tuple(starmap(OffsetRange, ranges))


class LeasedRanges(NamedTuple):
    """Messages of one partition and of one lease."""

    partition_id: _Partition
    lease_id: _Id
    ranges: Annotated[tuple[OffsetRange, ...], Meta(min_length=1, max_length=limits.GROUP_TOKENS_MAX)]


_Starts: TypeAlias = Annotated[
    tuple[PartitionStart, ...], Meta(min_length=1, max_length=limits.PARTITIONS_MAX)
]
_Ranges: TypeAlias = Annotated[
    tuple[OffsetRange, ...], Meta(min_length=1, max_length=limits.GROUP_RECEIVE_MESSAGES_MAX)
]
_Asked: TypeAlias = tuple[_Partition, _Ranges]


class _Record(Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    #: Random; by it the writer finds its own record, and for a lease it is the secret of its tokens.
    id: _Id


class Open(_Record, frozen=True, array_like=True, gc=False, tag=1):
    """Take up the partitions that the ledger does not know yet."""

    ref: GroupRef
    starts: _Starts


class Lease(_Record, frozen=True, array_like=True, gc=False, tag=2):
    """Give these messages out, as far as they are free, for *visibility_ms*; *counted* as a delivery or not."""

    ref: GroupRef
    visibility_ms: Annotated[int, Meta(ge=1, le=limits.GROUP_VISIBILITY_MS_MAX)]
    counted: bool
    asked: Annotated[tuple[_Asked, ...], Meta(min_length=1, max_length=limits.GROUP_RECORD_PARTS_MAX)]


class Acknowledge(_Record, frozen=True, array_like=True, gc=False, tag=3):
    """Ack, nack, extend or release; *delay_ms* is the new time out, or the delay of a nack."""

    ref: GroupRef
    kind: AckKind
    delay_ms: Annotated[int, Meta(ge=0, le=limits.GROUP_NACK_DELAY_MS_MAX)]
    leased: Annotated[tuple[LeasedRanges, ...], Meta(min_length=1, max_length=limits.GROUP_TOKENS_MAX)]


class Seek(_Record, frozen=True, array_like=True, gc=False, tag=4):
    """Forget leases, acks and counts of these partitions and go on at another offset."""

    ref: GroupRef
    starts: _Starts


class Advance(_Record, frozen=True, array_like=True, gc=False, tag=5):
    """What is before these offsets is no longer in the log."""

    ref: GroupRef
    starts: _Starts


class DeleteGroup(_Record, frozen=True, array_like=True, gc=False, tag=6):
    """The group is no more."""

    ref: GroupRef


class ExpireGroup(_Record, frozen=True, array_like=True, gc=False, tag=9):
    """The group is no more, if it was last used at *used_us*: its committed offsets are kept: it goes on there if it comes again."""

    ref: GroupRef
    used_us: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Heartbeat(_Record, frozen=True, array_like=True, gc=False, tag=7):
    """This process lives, and has receivers in these groups; replaces what it said before."""

    member_id: _Id
    ttl_ms: Annotated[int, Meta(ge=1, le=600_000)]
    refs: Annotated[tuple[GroupRef, ...], Meta(max_length=limits.GROUPS_MAX)]


class Leave(_Record, frozen=True, array_like=True, gc=False, tag=8):
    """This process serves no group any more."""

    member_id: _Id


Record: TypeAlias = (
    Open | Lease | Acknowledge | Seek | Advance | DeleteGroup | ExpireGroup | Heartbeat | Leave
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)


def encoded(record: Record) -> bytes:
    """The record as the payload of one message."""
    return _FORMAT + _encoder.encode(record)


def decoded(payload: bytes) -> Record | None:
    """The record that *payload* holds, None where it holds none."""
    if not payload.startswith(_FORMAT) or len(payload) > limits.GROUP_RECORD_BYTES_MAX:
        return None
    try:
        record = _decoder.decode(memoryview(payload)[len(_FORMAT) :])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return record if _is_bounded(record) else None


def _is_bounded(record: Record) -> bool:
    """Whether all its ranges together are as many messages as one request may concern; no schema can say that."""
    if isinstance(record, Lease):
        ranges = [each for _, some in record.asked for each in some]
        messages_max = limits.GROUP_RECEIVE_MESSAGES_MAX
    elif isinstance(record, Acknowledge):
        ranges = [each for some in record.leased for each in some.ranges]
        messages_max = limits.GROUP_TOKENS_MAX
    else:
        return True
    return sum(stop - start for start, stop in ranges) <= messages_max and all(
        start < stop for start, stop in ranges
    )
