"""What a request with raw messages says beside its body, and what it is told (pure)."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from bridge.clock import rfc3339
from bridge.errors import BadRequest
from bridge.limits import (
    HEADER_KEY_BYTES_MAX,
    HEADER_VALUE_BYTES_MAX,
    NDJSON_RANGES_TOLD,
    PARTITION_KEY_BYTES_MAX,
)
from bridge.messagelog import Balanced, Durability, Headers, Placement, Receipt, ToPartition, TopicRef
from bridge.policy.names import parse_integer
from bridge.web.bodies.ndjson import LineFault
from bridge.web.wire.answers import StoredAt
from bridge.web.wire.queries import PARTITION_ID_MAX, names_of, unique_parameters
from bridge.web.wire.submissions import placement_of
from bridge.web.wire.times import Time

_HEADER_PREFIX: Final = "message-header-"


class OnError(StrEnum):
    """What a line that is no message does to those after it."""

    STOP = "stop"
    SKIP = "skip"


class LineKind(StrEnum):
    """What a line of a body is."""

    #: The value is the message.
    VALUES = "values"
    #: An object as `GET` gives it: the message with its id and headers.
    MESSAGES = "messages"


class SendParameters(msgspec.Struct, kw_only=True):
    """What a request with raw messages takes; one of JSON has its key in the body, and takes none of these."""

    partition_key: (
        Annotated[
            str,
            Meta(
                description="Of bytes, text and lines: the same key always goes to one partition; or `partition_id`",
                extra_json_schema={"minLength": 1, "maxLength": PARTITION_KEY_BYTES_MAX},
            ),
        ]
        | UnsetType
    ) = UNSET
    partition_id: (
        Annotated[
            int, Meta(ge=0, le=PARTITION_ID_MAX, description="Of bytes, text and lines: into this partition")
        ]
        | UnsetType
    ) = UNSET
    on_error: Annotated[
        OnError, Meta(description="Of lines: what a line that is no message does to those behind it")
    ] = OnError.STOP
    lines: Annotated[
        LineKind,
        Meta(
            description="Of lines: a value is the message, or an object as reads give it, with id and headers"
        ),
    ] = LineKind.VALUES


_LINE_PARAMETERS: Final = names_of(SendParameters)
_PLACE_PARAMETERS: Final = _LINE_PARAMETERS - {"on_error", "lines"}


class MessageReceipt(msgspec.Struct):
    """One message that came as it is, stored."""

    success: bool
    id: Annotated[str, Meta(description="Of the message, made here", extra_json_schema={"format": "uuid"})]
    stream: str
    topic: str
    timestamp: Annotated[Time, Meta(description="When the bridge took it")]
    partition_id: Annotated[int, Meta(ge=0)]
    offset: StoredAt
    durability: Annotated[Durability, Meta(description="What this acknowledgement means")]


class RangeOfLines(msgspec.Struct):
    """Where messages of a body of lines are; `count` is less where those of others lie in between."""

    partition_id: Annotated[int, Meta(ge=0)]
    first_offset: StoredAt
    last_offset: StoredAt
    count: Annotated[int, Meta(ge=1)]


class RefusedLine(msgspec.Struct):
    """A line that is no message; the first has number 1."""

    line: Annotated[int, Meta(ge=1)]
    reason: str


class LinesReceipt(msgspec.Struct):
    """How far a body of lines came."""

    success: Annotated[bool, Meta(description="Whether every line is stored")]
    stream: str
    topic: str
    timestamp: Time
    stored: Annotated[int, Meta(ge=0, description="Messages that are surely in the log")]
    failed: Annotated[int, Meta(ge=0, description="Lines that are no messages, those in `errors` and more")]
    partitions: list[RangeOfLines]
    errors: list[RefusedLine]
    durability: Annotated[Durability | None, Meta(description="Null where nothing is stored")]


class StoredRanges:
    """Ranges in the order they began, joined where one follows the other.

    Beyond `NDJSON_RANGES_TOLD` what does not follow is joined as well, so that there is at most one more for each
    partition.
    """

    def __init__(self) -> None:
        self.found: list[RangeOfLines] = []
        self._latest: dict[int, RangeOfLines] = {}

    def add(self, receipt: Receipt) -> None:
        """Messages that were stored after all those before."""
        latest = self._latest.get(receipt.partition_id)
        if latest is None or not (self._follows(latest, receipt) or len(self.found) >= NDJSON_RANGES_TOLD):
            begun = RangeOfLines(receipt.partition_id, receipt.offset, _last(receipt), receipt.messages_count)
            self._latest[receipt.partition_id] = begun
            self.found.append(begun)
            return
        latest.count += receipt.messages_count
        if receipt.offset is not None:
            latest.last_offset = _last(receipt)
            if latest.first_offset is None:
                latest.first_offset = receipt.offset

    @staticmethod
    def _follows(latest: RangeOfLines, receipt: Receipt) -> bool:
        if receipt.offset is None or latest.last_offset is None:
            return receipt.offset is latest.last_offset
        return receipt.offset == latest.last_offset + 1


def _last(receipt: Receipt) -> int | None:
    return None if receipt.offset is None else receipt.offset + receipt.messages_count - 1


class SendQuery(NamedTuple):
    """Where messages go, and what becomes of a body with faulty lines."""

    placement: Placement
    on_error: OnError
    line_kind: LineKind = LineKind.VALUES


def read_send_query(pairs: Iterable[tuple[str, str]], *, lines: bool) -> SendQuery:
    """The query of a request with raw messages: `partition_key` or `partition_id`, and for lines `on_error` and `lines`.

    Args:
        pairs: decoded parameters in the order they came.

    Raises:
        BadRequest: if a parameter is unknown, there twice, malformed or out of bounds, or both places are given.
    """
    given = unique_parameters(pairs, _LINE_PARAMETERS if lines else _PLACE_PARAMETERS)
    if "partition_key" in given and "partition_id" in given:
        raise BadRequest("Give 'partition_key' or 'partition_id', not both.", path="partition_id")
    on_error = given.get("on_error", OnError.STOP)
    if on_error not in tuple(OnError):
        raise BadRequest("The query parameter 'on_error' takes stop or skip.", path="on_error")
    line_kind = given.get("lines", LineKind.VALUES)
    if line_kind not in tuple(LineKind):
        raise BadRequest("The query parameter 'lines' takes values or messages.", path="lines")
    return SendQuery(_placement(given), OnError(on_error), LineKind(line_kind))


def _placement(given: dict[str, str]) -> Placement:
    if "partition_key" in given:
        return placement_of(given["partition_key"], path="partition_key")
    if "partition_id" in given:
        return ToPartition(
            parse_integer(given["partition_id"], name="partition_id", minimum=0, maximum=PARTITION_ID_MAX)
        )
    return Balanced()


def message_headers(fields: Iterable[tuple[str, str]]) -> Headers:
    """The headers that every message of a request gets: `Message-Header-<name>: value`, names in lower case.

    Raises:
        BadRequest: if one has no name, is there twice, is no text, or does not have 1..255 bytes.
    """
    headers: dict[str, str] = {}
    for field, value in fields:
        lowered = field.lower()
        if not lowered.startswith(_HEADER_PREFIX):
            continue
        name = lowered.removeprefix(_HEADER_PREFIX)
        if not 1 <= len(name) <= HEADER_KEY_BYTES_MAX:
            raise BadRequest(
                f"A header of a message has a name of 1 to {HEADER_KEY_BYTES_MAX} bytes.",
                path="Message-Header",
                limit=HEADER_KEY_BYTES_MAX,
            )
        if name in headers:
            raise BadRequest("A header of a message is there twice.", path="Message-Header")
        try:
            value_bytes = len(value.encode())
        except UnicodeEncodeError:
            raise BadRequest("A header of a message is not UTF-8.", path="Message-Header") from None
        if not 1 <= value_bytes <= HEADER_VALUE_BYTES_MAX:
            raise BadRequest(
                f"A header of a message has a value of 1 to {HEADER_VALUE_BYTES_MAX} bytes.",
                path="Message-Header",
                limit=HEADER_VALUE_BYTES_MAX,
            )
        headers[name] = value
    return headers


def raw_receipt_json(message_id: str, topic: TopicRef, receipt: Receipt, accepted_us: int) -> bytes:
    """The answer to one message that came as it is."""
    return msgspec.json.encode(
        MessageReceipt(
            success=True,
            id=message_id,
            stream=topic.stream,
            topic=topic.topic,
            timestamp=rfc3339(accepted_us),
            partition_id=receipt.partition_id,
            offset=receipt.offset,
            durability=receipt.durability,
        )
    )


def progress(
    *,
    stored: int,
    ranges: Sequence[RangeOfLines],
    failed: int,
    faults: Sequence[LineFault],
    durability: Durability | None,
) -> dict[str, Any]:
    """How far a body of lines came.

    Args:
        stored: messages that are surely in the log.
        failed: faulty lines, those in *faults* and more.
        durability: None as long as nothing is stored.
    """
    return {
        "stored": stored,
        "failed": failed,
        "partitions": msgspec.to_builtins(ranges),
        "errors": [fault._asdict() for fault in faults],
        "durability": durability,
    }


def stored_json(members: dict[str, Any], topic: TopicRef, accepted_us: int) -> bytes:
    """The answer to a body of lines that was read to its end; *members* are its `progress`."""
    return orjson.dumps(
        {
            "success": not members["failed"],
            "stream": topic.stream,
            "topic": topic.topic,
            "timestamp": rfc3339(accepted_us),
            **members,
        }
    )
