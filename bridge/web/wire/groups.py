"""Groups as requests and answers spell them (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.clock import rfc3339
from bridge.errors import BadRequest, SerializationError
from bridge.groups.partition import AckOutcome
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery, GroupInfo, SeekResult, SeekTo, TokenResult
from bridge.limits import (
    GROUP_DELIVERIES_MAX,
    GROUP_NACK_DELAY_MS_MAX,
    GROUP_RECEIVE_MESSAGES_MAX,
    GROUP_TOKENS_MAX,
    GROUP_VISIBILITY_MS_MAX,
    GROUP_VISIBILITY_MS_MIN,
    WAIT_MS_MAX,
)
from bridge.messagelog import FromOffset, Records
from bridge.web.wire.envelopes import decode_envelope
from bridge.web.wire.offsets import OffsetsBody, by_partition
from bridge.web.wire.pages import PageEncoder, PlacedMessage
from bridge.web.wire.times import Time, start_of

_Visibility = Annotated[int, Meta(ge=GROUP_VISIBILITY_MS_MIN, le=GROUP_VISIBILITY_MS_MAX)]
_Tokens = Annotated[list[str], Meta(min_length=1, max_length=GROUP_TOKENS_MAX)]
_RECEIVE_MESSAGES: Final = 10
_TAKES: Final = "A group goes on at first, last, an RFC 3339 time with a zone, or offsets."


class ReceiveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How many messages a worker wants, and for how long; what is left out takes what is configured."""

    count: Annotated[int, Meta(ge=1, description="More than POLL_MAX_COUNT or 1000 is refused")] | None = None
    wait_ms: Annotated[
        int, Meta(ge=0, le=WAIT_MS_MAX, description="How long to wait for the first message")
    ] = 0
    visibility_ms: _Visibility | None = None
    max_deliveries: Annotated[int, Meta(ge=1, le=GROUP_DELIVERIES_MAX)] | None = None

    def messages_max(self, page_messages_max: int) -> int:
        """How many messages are asked for; more than a page holds, or than `GROUP_RECEIVE_MESSAGES_MAX`, nobody gets.

        Raises:
            BadRequest: if that is too many: a worker that counts on it would take fewer for the end of what there is.
        """
        count_max = min(page_messages_max, GROUP_RECEIVE_MESSAGES_MAX)
        if self.count is None:
            return min(_RECEIVE_MESSAGES, count_max)
        if self.count > count_max:
            raise BadRequest(
                f"A group gives at most {count_max} messages at once.", path="$.count", limit=count_max
            )
        return self.count


class AckBody(msgspec.Struct, forbid_unknown_fields=True):
    """The messages that are settled for good."""

    tokens: _Tokens


class NackBody(msgspec.Struct, forbid_unknown_fields=True):
    """The messages that are to come again, after `delay_ms`."""

    tokens: _Tokens
    delay_ms: Annotated[int, Meta(ge=0, le=GROUP_NACK_DELAY_MS_MAX)] = 0


class ExtendBody(msgspec.Struct, forbid_unknown_fields=True):
    """The messages whose lease ends `visibility_ms` from now; without it what is configured."""

    tokens: _Tokens
    visibility_ms: _Visibility | None = None


_Place = Annotated[
    str,
    Meta(
        description="`first`, `last`, or the RFC 3339 time of the first message",
        extra_json_schema={"anyOf": [{"enum": ["first", "last"]}, {"format": "date-time"}]},
    ),
]


class SeekBody(msgspec.Struct, forbid_unknown_fields=True):
    """Where a group goes on; an offset is that of the next message it gets."""

    to: _Place | OffsetsBody
    dry_run: bool = False


class DeliveredMessage(PlacedMessage, kw_only=True):
    """A message under a lease."""

    token: Annotated[str, Meta(description="What `ack`, `nack` and `extend` take")]
    delivery_count: Annotated[int, Meta(ge=1)]
    lease_expires_at: Time


class DeliveriesAnswer(msgspec.Struct):
    """What a group was given; nothing where there was nothing in time."""

    messages: list[DeliveredMessage]
    count: Annotated[int, Meta(ge=0)]


class TokenOutcome(msgspec.Struct, omit_defaults=True):
    """What became of one token.

    `done`; `settled` where the message was acked before; `expired` where it was given to another since.
    """

    token: str
    outcome: AckOutcome
    lease_expires_at: Annotated[Time, Meta(description="Where a lease was extended")] | UnsetType = UNSET


class TokensAnswer(msgspec.Struct):
    """The outcome of each token, in their order."""

    results: list[TokenOutcome]
    done: Annotated[int, Meta(ge=0, description="How many were done")]


class GroupRow(msgspec.Struct):
    """A group as a list shows it."""

    name: str
    members: Annotated[
        Sequence[str], Meta(description="Processes that have receivers for it, or had within 10 s")
    ]
    lag: Annotated[int, Meta(ge=0, description="Messages after the committed offsets")]
    in_flight: Annotated[int, Meta(ge=0, description="Messages out under a lease")]
    partitions_count: Annotated[int, Meta(ge=0)]
    used_at: Time
    dead_letter_topic: Annotated[
        str, Meta(description="Name, in the same stream, of the topic that gets what it gives up")
    ]


class PartitionOfGroup(msgspec.Struct):
    """How far a group came in one partition."""

    partition_id: Annotated[int, Meta(ge=0)]
    committed_offset: Annotated[
        int | None, Meta(description="Everything up to here is settled; null where nothing is")
    ]
    end_offset: Annotated[int, Meta(ge=0, description="The next message will be here")]
    lag: Annotated[int, Meta(ge=0)]
    in_flight: Annotated[int, Meta(ge=0)]
    waiting: Annotated[
        int, Meta(ge=0, description="Messages that came back and were not given out again yet")
    ]
    owner: Annotated[str | None, Meta(description="The process that looks after it")]


class GroupAnswer(GroupRow):
    """A group with its partitions."""

    partitions: list[PartitionOfGroup]


class MovedPartition(msgspec.Struct):
    """A partition in which a group was, or would be, moved."""

    partition_id: Annotated[int, Meta(ge=0)]
    from_offset: Annotated[int, Meta(ge=0)]
    to_offset: Annotated[int, Meta(ge=0, description="Of the next message that the group gets")]


class SeekAnswer(msgspec.Struct):
    """Where a group goes on, or would."""

    dry_run: bool
    partitions: list[MovedPartition]


class AckRequest(NamedTuple):
    """The tokens that an ack, nack or extension is for; *delay_ms* as `Groups.acknowledge` takes it."""

    tokens: list[str]
    delay_ms: int | None


class SeekRequest(NamedTuple):
    """Where a group goes on: everywhere alike, or by partition; *dry_run* only says where."""

    to: SeekTo | Mapping[int, SeekTo]
    dry_run: bool


_RECEIVE: Final = msgspec.json.Decoder(ReceiveRequest)
_ACK: Final = msgspec.json.Decoder(AckBody)
_NACK: Final = msgspec.json.Decoder(NackBody)
_EXTEND: Final = msgspec.json.Decoder(ExtendBody)
_SEEK: Final = msgspec.json.Decoder(SeekBody)


def read_receive(body: bytes) -> ReceiveRequest:
    """What `POST .../receive` asks for.

    Raises:
        SerializationError: if *body* is no `ReceiveRequest`, and not empty.
    """
    return decode_envelope(body, _RECEIVE) if body else ReceiveRequest()


def read_ack(body: bytes, kind: AckKind) -> AckRequest:
    """What `POST .../ack`, `.../nack` or `.../extend` is for.

    Raises:
        SerializationError: if *body* is no `AckBody`, `NackBody` or `ExtendBody`.
    """
    if kind is AckKind.NACK:
        nack = decode_envelope(body, _NACK)
        return AckRequest(nack.tokens, nack.delay_ms)
    if kind is AckKind.EXTEND:
        extend = decode_envelope(body, _EXTEND)
        return AckRequest(extend.tokens, extend.visibility_ms)
    return AckRequest(decode_envelope(body, _ACK).tokens, None)


def read_seek(body: bytes) -> SeekRequest:
    """Where `PUT .../offsets` lets a group go on.

    Raises:
        SerializationError, BadRequest: if *body* is no `SeekBody`.
    """
    asked = decode_envelope(body, _SEEK)
    if isinstance(asked.to, str):
        return SeekRequest(start_of(asked.to, path="$.to", takes=_TAKES), asked.dry_run)
    # There is no text in it but keys: "to" and "offsets", perhaps "dry_run", and two for each partition.
    keys = 2 + 2 * len(asked.to.offsets) + (b'"dry_run"' in body)
    if body.count(b'"') != 2 * keys:
        raise SerializationError("An object names a key twice.", path="$.to")
    offsets = by_partition(asked.to.offsets, at="$.to.offsets")
    return SeekRequest({each: FromOffset(offset) for each, offset in offsets.items()}, asked.dry_run)


@contextmanager
def arguments_as_fields(*, in_path: frozenset[str] = frozenset()) -> Iterator[None]:
    """A fault of an argument of `Groups` is one of the body's field of the same name, but for those *in_path*."""
    try:
        yield
    except BadRequest as error:
        if error.path is not None and error.path not in in_path and not error.path.startswith("$"):
            error.path = f"$.{error.path}"
        raise


def messages_of(deliveries: Sequence[Delivery]) -> Records:
    return Records.of([each.message for each in deliveries])


def deliveries_json(deliveries: Sequence[Delivery], messages: Records, pages: PageEncoder) -> bytes:
    """`{"messages": [...], "count"}`: each as `delivery_lines` shows it."""
    return b'{"messages":[%b],"count":%d}' % (
        b",".join(delivery_lines(deliveries, messages, pages)),
        len(deliveries),
    )


def delivery_lines(deliveries: Sequence[Delivery], messages: Records, pages: PageEncoder) -> list[bytes]:
    """Each as in a page (`PageEncoder.lines`), with what its lease is.

    That is `partition_id`, `token`, `delivery_count` and `lease_expires_at`.

    Args:
        messages: of *deliveries* (`messages_of`).
    """
    lines = pages.lines(messages)
    return [
        b'{"partition_id":%d,"token":"%b","delivery_count":%d,"lease_expires_at":"%b",%b'
        % (
            each.partition_id,
            each.token.encode(),
            each.delivery_count,
            rfc3339(each.expires_at_us).encode(),
            line[1:],
        )
        for each, line in zip(deliveries, lines, strict=True)
    ]


def token_results_json(token_results: Sequence[TokenResult]) -> bytes:
    """The outcome of each, in the order of the tokens."""
    results = [
        TokenOutcome(
            each.token, each.outcome, UNSET if each.expires_at_us is None else rfc3339(each.expires_at_us)
        )
        for each in token_results
    ]
    done = sum(each.outcome == "done" for each in token_results)
    return msgspec.json.encode(TokensAnswer(results, done))


def group_json(group: GroupInfo) -> bytes:
    partitions = [PartitionOfGroup(*each) for each in group.partitions]
    return msgspec.json.encode(GroupAnswer(*_row(group), partitions))


def groups_json(groups: Sequence[GroupInfo]) -> bytes:
    """A list of groups, without their partitions."""
    return msgspec.json.encode([GroupRow(*_row(each)) for each in groups])


def _row(group: GroupInfo) -> tuple[str, Sequence[str], int, int, int, str, str]:
    """The fields of `GroupRow`."""
    return (
        group.name,
        group.members,
        group.lag,
        group.in_flight,
        len(group.partitions),
        rfc3339(group.used_at_us),
        group.dead_letter_topic,
    )


def seek_json(moved: Sequence[SeekResult], *, dry_run: bool) -> bytes:
    """Where the group goes on in each partition."""
    return msgspec.json.encode(SeekAnswer(dry_run, [MovedPartition(*each) for each in moved]))
