"""Reads by cursor (pure): the query string as checked values, and their answers."""

from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import BadRequest
from bridge.flow.following.batches import Positions, RecordBatch, Start
from bridge.flow.following.topic_reader import TopicPage
from bridge.limits import CURSOR_PARTITIONS_MAX, OFFSET_MAX
from bridge.messagelog import First, Last, TopicRef
from bridge.policy.cursors import Cursor, Cursors
from bridge.policy.names import parse_integer
from bridge.web.wire.pages import PageEncoder, PlacedMessage, single_lines
from bridge.web.wire.queries import (
    PARTITION_ID_MAX,
    Count,
    MinCount,
    WaitMs,
    names_of,
    read_wait,
    unique_parameters,
)

NamedPartitions = Annotated[
    str,
    Meta(
        description="Only these, as `0,2`; of pages and lines with `cursor`",
        extra_json_schema={"pattern": "^[0-9]{1,10}(,[0-9]{1,10})*$"},
    ),
]


class CursorLinesParameters(msgspec.Struct, kw_only=True):
    """What lines of several partitions take."""

    cursor: Annotated[
        str,
        Meta(description="Reads all partitions: `first`, `last`, or the `next_cursor` of the page before"),
    ]
    partitions: NamedPartitions | UnsetType = UNSET
    count: Count = 10


class CursorParameters(CursorLinesParameters, kw_only=True):
    """What a page of several partitions takes."""

    wait_ms: WaitMs = 0
    min_count: MinCount = 1


_LINES_PARAMETERS: Final = names_of(CursorLinesParameters)
_POLL_PARAMETERS: Final = names_of(CursorParameters)
_PAGE: Final = b'{"messages":[%b],"count":%d,"next_cursor":"%b","gaps":%b}'
_GAP_LINE: Final = b'{"cursor":"%b","gap":%b}\n'


class MissingMessages(msgspec.Struct):
    """Messages `from_offset` up to, not including, `to_offset` that are no longer there.

    Where `to_offset` is less, the partition was purged and is read anew.
    """

    partition_id: Annotated[int, Meta(ge=0)]
    from_offset: Annotated[int, Meta(ge=0)]
    to_offset: Annotated[int, Meta(ge=0)]


class CursorPage(msgspec.Struct):
    """Messages of several partitions, in order within each."""

    messages: list[PlacedMessage]
    count: Annotated[int, Meta(ge=0)]
    next_cursor: Annotated[str, Meta(description="Where the next page begins")]
    gaps: list[MissingMessages]


class CursorLine(PlacedMessage, kw_only=True):
    """One line of a read by cursor."""

    cursor: Annotated[str, Meta(description="Goes on behind this message")]


class GapLine(msgspec.Struct):
    """The line that stands where messages are no longer there."""

    cursor: str
    gap: MissingMessages


class CursorQuery(NamedTuple):
    """A read by cursor.

    Attributes:
        partitions: None for all, those added later too.
        messages_max: 0 for all that there is, of lines.
        messages_min: how many to wait for.
    """

    start: Start
    partitions: tuple[int, ...] | None
    messages_max: int
    messages_min: int
    wait_s: float


def read_cursor_query(
    pairs: Iterable[tuple[str, str]], cursors: Cursors, topic: TopicRef, *, count_max: int
) -> CursorQuery:
    """The poll that a query string with a `cursor` asks for.

    Args:
        count_max: a larger `count` is cut to this.

    Raises:
        BadRequest: if a parameter is unknown, there twice, malformed or out of bounds, if the cursor is none of this
            topic, or if it is of other partitions than `partitions`; `path` is its name.
    """
    given = unique_parameters(pairs, _POLL_PARAMETERS)
    start, partitions = _start(given, cursors, topic)
    count = parse_integer(given.get("count", "10"), name="count", minimum=1, maximum=OFFSET_MAX)
    messages_min, wait_s = read_wait(given, count=count, count_max=count_max)
    return CursorQuery(start, partitions, min(count, count_max), messages_min, wait_s)


def read_cursor_lines_query(
    pairs: Iterable[tuple[str, str]], cursors: Cursors, topic: TopicRef
) -> CursorQuery:
    """The stream of lines likewise; all there is without `count`."""
    given = unique_parameters(pairs, _LINES_PARAMETERS)
    start, partitions = _start(given, cursors, topic)
    count = (
        parse_integer(given["count"], name="count", minimum=1, maximum=OFFSET_MAX) if "count" in given else 0
    )
    return CursorQuery(start, partitions, count, 0, 0.0)


def _start(given: dict[str, str], cursors: Cursors, topic: TopicRef) -> tuple[Start, tuple[int, ...] | None]:
    partitions = read_partitions(given.get("partitions"))
    match given["cursor"]:
        case "first":
            return First(), partitions
        case "last":
            return Last(), partitions
        case token:
            return read_cursor(token, cursors, topic, partitions)


def read_cursor(
    token: str, cursors: Cursors, topic: TopicRef, partitions: tuple[int, ...] | None
) -> tuple[Positions, tuple[int, ...] | None]:
    """Where *token* stands, and of which partitions: its own, or *partitions* of one that is of all.

    Raises:
        BadRequest: if it is none of this topic, or of other partitions.
    """
    cursor = cursors.read(token, topic)
    if cursor.every:
        return cursor.positions, partitions
    named = tuple(partition_id for partition_id, _ in cursor.positions)
    if partitions is not None and partitions != named:
        raise BadRequest("The cursor is of other partitions.", path="partitions")
    return cursor.positions, named


def read_partitions(text: str | None) -> tuple[int, ...] | None:
    """The parameter `partitions`, in order; None where it was not given.

    Raises:
        BadRequest: if it is no list of numbers, or of too many.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) > CURSOR_PARTITIONS_MAX:
        raise BadRequest(
            f"A cursor is of at most {CURSOR_PARTITIONS_MAX} partitions.",
            path="partitions",
            limit=CURSOR_PARTITIONS_MAX,
        )
    return tuple(
        sorted(
            {parse_integer(part, name="partitions", minimum=0, maximum=PARTITION_ID_MAX) for part in parts}
        )
    )


def cursor_page_json(page: TopicPage, pages: PageEncoder, next_cursor: str) -> bytes:
    """`{"messages": [{"partition_id", ...}], "count", "next_cursor", "gaps": [...]}`, messages as in a page."""
    return _PAGE % (
        b",".join([pages.joined(records, lead=b'{"partition_id":%d,' % each) for each, records in page.runs]),
        page.messages_count,
        next_cursor.encode(),
        orjson.dumps([gap._asdict() for gap in page.gaps]),
    )


def cursor_lines(entry: RecordBatch, cursors: Cursors, cursor: Cursor, pages: PageEncoder) -> bytes:
    """A line for each message, with its `cursor` and its `partition_id`; for a gap one with `gap`.

    Args:
        cursor: at *entry*'s positions before it.
    """
    if entry.gap is not None:
        after = cursors.token(cursor._replace(positions=entry.positions_after))
        return _GAP_LINE % (after.encode(), orjson.dumps(entry.gap._asdict()))
    tokens = cursors.tokens(cursor, entry.partition_id, [offset + 1 for offset in entry.records.offsets])
    lead = b'"partition_id":%d,' % entry.partition_id
    lines = single_lines(pages.lines(entry.records, lead=lead, once=True))
    return b"".join([b'{"cursor":"%b",%b\n' % each for each in zip(tokens, lines, strict=True)])
