"""Groups as requests and answers spell them (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import orjson
from msgspec import Meta

from bridge.errors import BadRequest, SerializationError
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery, GroupInfo, SeekResult, SeekTo, TokenResult
from bridge.limits import (
    GROUP_DELIVERIES_MAX,
    GROUP_NACK_DELAY_MS_MAX,
    GROUP_RECEIVE_MESSAGES_MAX,
    GROUP_TOKENS_MAX,
    GROUP_VISIBILITY_MS_MAX,
    GROUP_VISIBILITY_MS_MIN,
    OFFSET_MAX,
    PARTITIONS_MAX,
    WAIT_MS_MAX,
)
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, Records
from bridge.web.wire.envelopes import decode_envelope
from bridge.web.wire.pages import PageEncoder
from bridge.web.wire.queries import PARTITION_ID_MAX
from bridge.web.wire.times import rfc3339, time_us_of

__all__ = (
    "AckRequest",
    "ReceiveRequest",
    "SeekRequest",
    "arguments_as_fields",
    "deliveries_json",
    "delivery_lines",
    "group_json",
    "groups_json",
    "messages_of",
    "read_ack",
    "read_receive",
    "read_seek",
    "seek_json",
    "token_results_json",
)

_Visibility = Annotated[int, Meta(ge=GROUP_VISIBILITY_MS_MIN, le=GROUP_VISIBILITY_MS_MAX)]
_Tokens = Annotated[list[str], Meta(min_length=1, max_length=GROUP_TOKENS_MAX)]
_RECEIVE_MESSAGES: Final = 10


class ReceiveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST .../receive` asks for; None takes what is configured."""

    count: Annotated[int, Meta(ge=1)] | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 0
    visibility_ms: _Visibility | None = None
    max_deliveries: Annotated[int, Meta(ge=1, le=GROUP_DELIVERIES_MAX)] | None = None

    def messages_max(self, page_messages_max: int) -> int:
        """
        How many messages are asked for; more than a page holds, or than `GROUP_RECEIVE_MESSAGES_MAX`, nobody gets.

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


class _AckBody(msgspec.Struct, forbid_unknown_fields=True):
    tokens: _Tokens


class _NackBody(msgspec.Struct, forbid_unknown_fields=True):
    tokens: _Tokens
    delay_ms: Annotated[int, Meta(ge=0, le=GROUP_NACK_DELAY_MS_MAX)] = 0


class _ExtendBody(msgspec.Struct, forbid_unknown_fields=True):
    tokens: _Tokens
    visibility_ms: _Visibility | None = None


class _Offset(msgspec.Struct, forbid_unknown_fields=True):
    partition_id: Annotated[int, Meta(ge=0, le=PARTITION_ID_MAX)]
    offset: Annotated[int, Meta(ge=0, le=OFFSET_MAX)]


class _Offsets(msgspec.Struct, forbid_unknown_fields=True):
    offsets: Annotated[list[_Offset], Meta(min_length=1, max_length=PARTITIONS_MAX)]


class _SeekBody(msgspec.Struct, forbid_unknown_fields=True):
    to: str | _Offsets
    dry_run: bool = False


class AckRequest(NamedTuple):
    """The tokens that an ack, nack or extension is for; *delay_ms* as `Groups.acknowledge` takes it."""

    tokens: list[str]
    delay_ms: int | None


class SeekRequest(NamedTuple):
    """Where a group goes on: everywhere alike, or by partition; *dry_run* only says where."""

    to: SeekTo | Mapping[int, SeekTo]
    dry_run: bool


_RECEIVE: Final = msgspec.json.Decoder(ReceiveRequest)
_ACK: Final = msgspec.json.Decoder(_AckBody)
_NACK: Final = msgspec.json.Decoder(_NackBody)
_EXTEND: Final = msgspec.json.Decoder(_ExtendBody)
_SEEK: Final = msgspec.json.Decoder(_SeekBody)


def read_receive(body: bytes) -> ReceiveRequest:
    """
    What `POST .../receive` asks for.

    Args:
        body: `{"count"?, "wait_ms"?, "visibility_ms"?, "max_deliveries"?}`, or nothing.

    Raises:
        SerializationError: if it is anything else.
    """
    return decode_envelope(body, _RECEIVE) if body else ReceiveRequest()


def read_ack(body: bytes, kind: AckKind) -> AckRequest:
    """
    What `POST .../ack`, `.../nack` or `.../extend` is for.

    Args:
        body: `{"tokens": [token, ...]}`, 1..`GROUP_TOKENS_MAX` of them; of a nack with `delay_ms`, of an extension with
            `visibility_ms`, neither of which must be there.

    Raises:
        SerializationError: if it is anything else.
    """
    if kind is AckKind.NACK:
        nack = decode_envelope(body, _NACK)
        return AckRequest(nack.tokens, nack.delay_ms)
    if kind is AckKind.EXTEND:
        extend = decode_envelope(body, _EXTEND)
        return AckRequest(extend.tokens, extend.visibility_ms)
    return AckRequest(decode_envelope(body, _ACK).tokens, None)


def read_seek(body: bytes) -> SeekRequest:
    """
    Where `PUT .../offsets` lets a group go on.

    Args:
        body: `{"to": "first" | "last" | RFC 3339 time | {"offsets": [{"partition_id", "offset"}, ...]}, "dry_run"?}`.

    Raises:
        SerializationError, BadRequest: if it is anything else.
    """
    asked = decode_envelope(body, _SEEK)
    if isinstance(asked.to, str):
        return SeekRequest(_position(asked.to), asked.dry_run)
    # There is no text in it but keys: "to" and "offsets", perhaps "dry_run", and two for each partition.
    keys = 2 + 2 * len(asked.to.offsets) + (b'"dry_run"' in body)
    if body.count(b'"') != 2 * keys:
        raise SerializationError("An object names a key twice.", path="$.to")
    positions: dict[int, SeekTo] = {}
    for index, each in enumerate(asked.to.offsets):
        if each.partition_id in positions:
            raise BadRequest("The partition is there twice.", path=f"$.to.offsets[{index}].partition_id")
        positions[each.partition_id] = FromOffset(each.offset)
    return SeekRequest(positions, asked.dry_run)


def _position(text: str) -> SeekTo:
    if text == "first":
        return First()
    if text == "last":
        return Last()
    try:
        return FromTimestamp(time_us_of(text))
    except ValueError:
        raise BadRequest(
            "A group goes on at first, last, an RFC 3339 time with a zone, or offsets.", path="$.to"
        ) from None


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
    """What was delivered."""
    return Records.of([each.message for each in deliveries])


def deliveries_json(deliveries: Sequence[Delivery], messages: Records, pages: PageEncoder) -> bytes:
    """`{"messages": [...], "count"}`: each as `delivery_lines` shows it."""
    return b'{"messages":[%b],"count":%d}' % (
        b",".join(delivery_lines(deliveries, messages, pages)),
        len(deliveries),
    )


def delivery_lines(deliveries: Sequence[Delivery], messages: Records, pages: PageEncoder) -> list[bytes]:
    """
    Each as in a page (`PageEncoder.lines`), with what its lease is.

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
    """`{"results": [{"token", "outcome", "lease_expires_at"?}, ...], "done"}`, in the order of the tokens."""
    results: list[dict[str, Any]] = []
    for each in token_results:
        result: dict[str, Any] = {"token": each.token, "outcome": each.outcome}
        if each.expires_at_us is not None:
            result["lease_expires_at"] = rfc3339(each.expires_at_us)
        results.append(result)
    done = sum(each.outcome == "done" for each in token_results)
    return orjson.dumps({"results": results, "done": done})


def group_json(group: GroupInfo) -> bytes:
    """One group with its partitions."""
    return orjson.dumps(_group(group) | {"partitions": [each._asdict() for each in group.partitions]})


def groups_json(groups: Sequence[GroupInfo]) -> bytes:
    """A list of groups, without their partitions."""
    return orjson.dumps(list(map(_group, groups)))


def _group(group: GroupInfo) -> dict[str, Any]:
    return {
        "name": group.name,
        "members": group.members,
        "lag": group.lag,
        "in_flight": group.in_flight,
        "partitions_count": len(group.partitions),
        "used_at": rfc3339(group.used_at_us),
    }


def seek_json(moved: Sequence[SeekResult], *, dry_run: bool) -> bytes:
    """`{"dry_run", "partitions": [{"partition_id", "from_offset", "to_offset"}, ...]}`."""
    return orjson.dumps({"dry_run": dry_run, "partitions": [each._asdict() for each in moved]})
