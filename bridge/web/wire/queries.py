"""What `GET .../messages` asks for (pure): the query string of a page, or of a stream, as checked values."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import BadRequest
from bridge.limits import CONSUMER_ID_MAX, OFFSET_MAX, WAIT_MS_MAX
from bridge.messagelog import ConsumerKey, FromOffset, FromTimestamp, Last, Next, Position
from bridge.policy.names import NAME_SCHEMA, check_name, parse_flag, parse_integer, shown_name
from bridge.web.wire.times import moment_of, start_of

# Taken and ignored everywhere: the middleware has read it, for the original's clients.
_KEY_PARAMETER: Final = "api_key"
#: Likewise, of pages.
TICKET: Final = "ticket"
_DIGITS: Final = frozenset("0123456789")
# Any number is a legal question for a page, a topic grows to that many partitions, and ids are 32 bits in Iggy.
PARTITION_ID_MAX: Final = 2**32 - 1
#: Told of a parameter that takes a time, and what else.
TAKES_TIME: Final = "The query parameter '{}' takes {}, or an RFC 3339 time with a zone, its '+' as %2B."
_FROM: Final = TAKES_TIME.format("from", "first, last, next")
_UNTIL: Final = TAKES_TIME.format("until", "an offset")

Count = Annotated[
    int, Meta(ge=1, le=OFFSET_MAX, description="Messages at most; a page has no more than POLL_MAX_COUNT")
]


WaitMs = Annotated[int, Meta(ge=0, le=WAIT_MS_MAX, description="Pages alone: how long to wait for messages")]
MinCount = Annotated[
    int, Meta(ge=1, le=OFFSET_MAX, description="Pages alone: messages that end the wait; at most `count`")
]


class ReadParameters(msgspec.Struct, kw_only=True):
    """What every read of one partition takes."""

    partition_id: Annotated[int, Meta(ge=0, le=PARTITION_ID_MAX)] = 0
    consumer_id: Annotated[
        int, Meta(ge=1, le=CONSUMER_ID_MAX, description="Whose stored offset counts; or `consumer`")
    ] = 1
    consumer: (
        Annotated[
            str, Meta(description="The same by name, instead of `consumer_id`", extra_json_schema=NAME_SCHEMA)
        ]
        | UnsetType
    ) = UNSET
    offset: (
        Annotated[int, Meta(ge=0, le=OFFSET_MAX, description="Where the read begins; or `from`, not both")]
        | UnsetType
    ) = UNSET
    from_: Annotated[
        str,
        Meta(
            description="Where the read begins: the oldest message, the newest ones, behind the consumer's stored "
            "offset (what counts without `offset` and `from`), or at a time. With `cursor` there is none; an event "
            "stream takes `first`, `last` and a time",
            extra_json_schema={"anyOf": [{"enum": ["first", "last", "next"]}, {"format": "date-time"}]},
        ),
    ] = msgspec.field(name="from", default="next")
    count: Count = 10
    auto_commit: Annotated[
        bool, Meta(description="Store the offset of the last message for the consumer; for pages alone")
    ] = False


class PollParameters(ReadParameters, kw_only=True):
    """What a page of one partition takes."""

    wait_ms: WaitMs = 0
    min_count: MinCount = 1


class BulkParameters(ReadParameters, kw_only=True):
    """What lines of one partition take."""

    until: (
        Annotated[
            str,
            Meta(
                description="Lines alone: the offset, or the time, before which they end",
                extra_json_schema={"anyOf": [{"pattern": "^[0-9]{1,18}$"}, {"format": "date-time"}]},
            ),
        ]
        | UnsetType
    ) = UNSET


class ReadyParameters(msgspec.Struct, kw_only=True):
    """What a readiness probe takes; others are passed over, since some probes add one of their own."""

    deep: (
        Annotated[
            Literal["1"], Meta(description="Store a message and read it back as well, once a second at most")
        ]
        | UnsetType
    ) = UNSET


def is_deep(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a probe asks for a round trip.

    Raises:
        BadRequest: if `deep` is there and not once 1.
    """
    given = [value for name, value in pairs if name == "deep"]
    if given and given != ["1"]:
        raise BadRequest("The query parameter 'deep' takes 1, or is left out.", path="deep")
    return bool(given)


def names_of(parameters: type[msgspec.Struct]) -> frozenset[str]:
    """The names of the query that *parameters* describes."""
    return frozenset(parameters.__struct_encode_fields__)


_POLL_PARAMETERS: Final = names_of(PollParameters)
_BULK_PARAMETERS: Final = names_of(BulkParameters)


class PollQuery(NamedTuple):
    """One poll: up to *messages_max* messages of a partition from *position*; *commit* stores how far *consumer* came.

    Attributes:
        messages_min: how many to wait for, for up to *wait_s* seconds.
    """

    partition_id: int
    consumer: ConsumerKey
    position: Position
    messages_max: int
    commit: bool
    messages_min: int = 1
    wait_s: float = 0.0


def read_poll_query(pairs: Iterable[tuple[str, str]], *, count_max: int) -> PollQuery:
    """The poll that a query string asks for.

    Args:
        pairs: decoded parameters in the order they came.
        count_max: a larger `count` is cut to this.

    Raises:
        BadRequest: if a parameter is unknown, there twice, malformed or out of bounds, or two of them contradict
            each other; `path` is its name.
    """
    given = unique_parameters(pairs, _POLL_PARAMETERS)
    consumer = _consumer(given)
    count = parse_integer(given.get("count", "10"), name="count", minimum=1, maximum=OFFSET_MAX)
    messages_min, wait_s = read_wait(given, count=count, count_max=count_max)
    return PollQuery(
        partition_id=_partition_id(given),
        consumer=consumer,
        position=_position(given, consumer),
        messages_max=min(count, count_max),
        commit=parse_flag(given.get("auto_commit", "false"), name="auto_commit"),
        messages_min=messages_min,
        wait_s=wait_s,
    )


def read_wait(given: dict[str, str], *, count: int, count_max: int) -> tuple[int, float]:
    """`min_count` and `wait_ms`, the latter in seconds.

    Args:
        count: how many messages were asked for.
        count_max: how many an answer has at most.

    Raises:
        BadRequest: if one is malformed or out of bounds.
    """
    if "wait_ms" not in given and "min_count" not in given:
        return 1, 0.0
    messages_min = parse_integer(given.get("min_count", "1"), name="min_count", minimum=1, maximum=count)
    wait_ms = parse_integer(given.get("wait_ms", "0"), name="wait_ms", minimum=0, maximum=WAIT_MS_MAX)
    return min(messages_min, count_max), wait_ms / 1000


class BulkQuery(NamedTuple):
    """One stream: the messages of a partition from *position* on.

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
    """The stream that a query string asks for.

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


def unique_parameters(pairs: Iterable[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """The parameters by name, without the API key.

    Args:
        pairs: decoded parameters in the order they came.
        known: the names that the route takes.

    Raises:
        BadRequest: if a parameter is unknown or there twice.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in (_KEY_PARAMETER, TICKET):
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
    if start is None or start == "next":
        return Next(consumer)
    return start_of(start, path="from", takes=_FROM)


def _until(text: str | None) -> FromOffset | FromTimestamp | None:
    if text is None:
        return None
    if _DIGITS.issuperset(text):
        return FromOffset(parse_integer(text, name="until", minimum=0, maximum=OFFSET_MAX))
    return moment_of(text, path="until", takes=_UNTIL)
