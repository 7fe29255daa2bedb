"""What `GET .../messages` asks for (pure): the query string of a page, or of a stream, as checked values."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from bridge.errors import BadRequest
from bridge.limits import CONSUMER_ID_MAX, OFFSET_MAX
from bridge.messagelog import ConsumerKey, First, FromOffset, FromTimestamp, Last, Next, Position
from bridge.policy.names import check_name, parse_flag, parse_integer, shown_name

__all__ = (
    "PARTITION_ID_MAX",
    "BulkQuery",
    "PollQuery",
    "read_bulk_query",
    "read_poll_query",
    "refuse_query",
    "unique_parameters",
)

# Taken and ignored everywhere: the middleware has read it, for the original's clients.
_KEY_PARAMETER: Final = "api_key"
_POLL_PARAMETERS: Final = frozenset(
    {"partition_id", "consumer_id", "consumer", "offset", "from", "count", "auto_commit"}
)
_BULK_PARAMETERS: Final = _POLL_PARAMETERS | {"until"}
_DIGITS: Final = frozenset("0123456789")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Any number is a legal question for a page, a topic grows to that many partitions, and ids are 32 bits in Iggy.
PARTITION_ID_MAX: Final = 2**32 - 1


class PollQuery(NamedTuple):
    """One poll: up to *messages_max* messages of a partition from *position*; *commit* stores how far *consumer* came."""

    partition_id: int
    consumer: ConsumerKey
    position: Position
    messages_max: int
    commit: bool


def read_poll_query(pairs: Iterable[tuple[str, str]], *, count_max: int) -> PollQuery:
    """
    The poll that a query string asks for.

    Args:
        pairs: decoded parameters in the order they came.
        count_max: a larger `count` is cut to this.

    Raises:
        BadRequest: if a parameter is unknown, there twice, malformed or out of bounds, or two of them contradict
            each other; `path` is its name.
    """
    given = unique_parameters(pairs, _POLL_PARAMETERS)
    consumer = _consumer(given)
    return PollQuery(
        partition_id=_partition_id(given),
        consumer=consumer,
        position=_position(given, consumer),
        messages_max=min(
            parse_integer(given.get("count", "10"), name="count", minimum=1, maximum=OFFSET_MAX), count_max
        ),
        commit=parse_flag(given.get("auto_commit", "false"), name="auto_commit"),
    )


class BulkQuery(NamedTuple):
    """
    One stream: the messages of a partition from *position* on.

    Attributes:
        until: the stream ends before this offset, or before the first message taken at or after this time; None for
            the end of the partition as it is when the stream begins.
        messages_max: no more than so many; 0 for all.
    """

    partition_id: int
    position: Position
    until: FromOffset | FromTimestamp | None
    messages_max: int


def read_bulk_query(pairs: Iterable[tuple[str, str]]) -> BulkQuery:
    """
    The stream that a query string asks for.

    Raises:
        BadRequest: as `read_poll_query`; if it would store an offset, which nobody could know to be consumed; or if
            it asks for the newest messages without saying how many.
    """
    given = unique_parameters(pairs, _BULK_PARAMETERS)
    if parse_flag(given.get("auto_commit", "false"), name="auto_commit"):
        raise BadRequest(
            "A stream stores no offset: commit the last line's when it is done.", path="auto_commit"
        )
    position = _position(given, _consumer(given))
    if isinstance(position, Last) and "count" not in given:
        raise BadRequest("A stream of the newest messages needs their 'count'.", path="count")
    return BulkQuery(
        partition_id=_partition_id(given),
        position=position,
        until=_until(given.get("until")),
        messages_max=parse_integer(given["count"], name="count", minimum=1, maximum=OFFSET_MAX)
        if "count" in given
        else 0,
    )


def refuse_query(pairs: Iterable[tuple[str, str]]) -> None:
    """
    For routes that take no parameter but the key.

    Raises:
        BadRequest: if there is one.
    """
    unique_parameters(pairs, frozenset())


def unique_parameters(pairs: Iterable[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """
    The parameters by name, without the API key.

    Args:
        pairs: decoded parameters in the order they came.
        known: the names that the route takes.

    Raises:
        BadRequest: if a parameter is unknown or there twice.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name == _KEY_PARAMETER:
            continue
        if name not in known:
            shown = shown_name(name)
            raise BadRequest(
                f"There is no query parameter {shown} here.", path=name if name in shown else None
            )
        if name in given:
            raise BadRequest(f"The query parameter '{name}' is there twice.", path=name)
        given[name] = value
    return given


def _partition_id(given: dict[str, str]) -> int:
    return parse_integer(
        given.get("partition_id", "0"), name="partition_id", minimum=0, maximum=PARTITION_ID_MAX
    )


def _consumer(given: dict[str, str]) -> ConsumerKey:
    if "consumer" not in given:
        return parse_integer(
            given.get("consumer_id", "1"), name="consumer_id", minimum=1, maximum=CONSUMER_ID_MAX
        )
    if "consumer_id" in given:
        raise BadRequest("A consumer has a name or an id: give 'consumer' or 'consumer_id'.", path="consumer")
    return check_name(given["consumer"], kind="consumer")


def _position(given: dict[str, str], consumer: ConsumerKey) -> Position:
    start = given.get("from")
    if "offset" in given:
        if start is not None:
            raise BadRequest("A poll starts in one place: give 'offset' or 'from'.", path="from")
        return FromOffset(parse_integer(given["offset"], name="offset", minimum=0, maximum=OFFSET_MAX))
    match start:
        case None | "next":
            return Next(consumer)
        case "first":
            return First()
        case "last":
            return Last()
        case _:
            return FromTimestamp(
                _microseconds(start, name="from", takes="first, last, next, or an RFC 3339 time")
            )


def _until(text: str | None) -> FromOffset | FromTimestamp | None:
    if text is None:
        return None
    if _DIGITS.issuperset(text):
        return FromOffset(parse_integer(text, name="until", minimum=0, maximum=OFFSET_MAX))
    return FromTimestamp(_microseconds(text, name="until", takes="an offset, or an RFC 3339 time"))


def _microseconds(text: str, *, name: str, takes: str) -> int:
    try:
        moment = msgspec.convert(text, datetime)
        since = moment - _EPOCH
    except (msgspec.ValidationError, OverflowError, TypeError):
        raise BadRequest(
            f"The query parameter '{name}' takes {takes} with a zone, its '+' as %2B.", path=name
        ) from None
    return max(0, since // timedelta(microseconds=1))
