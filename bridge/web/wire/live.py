"""What a live stream asks for (pure): the query string and `Last-Event-ID` as checked values.

Who cannot set a header when it comes back puts the id into the query: `event-source-polyfill` as `lastEventId`, which it
writes in place of one that is there already, others as `last_event_id`, or once more behind the one from before.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.errors import BadRequest
from bridge.limits import EVENT_TYPE_CHARS_MAX, LIVE_EVENT_TYPES_MAX
from bridge.messagelog import First, FromTimestamp, Last
from bridge.web.wire.cursors import NamedPartitions, read_partitions
from bridge.web.wire.queries import TAKES_TIME, names_of, unique_parameters
from bridge.web.wire.times import start_of

LiveStart: TypeAlias = str | First | Last | FromTimestamp
"""The token of a cursor, or where else a stream begins; `Last` is after everything there is."""

_EVENT_TYPE: Final = "event_type"
_TYPE: Final = f"[^,]{{1,{EVENT_TYPE_CHARS_MAX}}}"
LAST_EVENT_ID: Final = "Last-Event-ID"
_ID_PARAMETERS: Final = frozenset({"lastEventId", "last_event_id"})
_FROM: Final = TAKES_TIME.format("from", "first, last")


class LiveParameters(msgspec.Struct, kw_only=True):
    """What an event stream takes."""

    cursor: (
        Annotated[
            str,
            Meta(description="Where the stream begins: `first`, `last`, or a cursor; or `from`, not both"),
        ]
        | UnsetType
    ) = UNSET
    from_: Annotated[
        str,
        Meta(
            description="Where the stream begins: the oldest message, what comes from now on, or a time",
            extra_json_schema={"anyOf": [{"enum": ["first", "last"]}, {"format": "date-time"}]},
        ),
    ] = msgspec.field(name="from", default="last")
    partitions: NamedPartitions | UnsetType = UNSET
    event_type: (
        Annotated[
            str,
            Meta(
                description="Only events of these types, as `a,b`, or the parameter again and again; for event streams",
                extra_json_schema={"pattern": f"^{_TYPE}(,{_TYPE}){{0,{LIVE_EVENT_TYPES_MAX - 1}}}$"},
            ),
        ]
        | UnsetType
    ) = UNSET
    last_event_id: (
        Annotated[
            str,
            Meta(
                description="Event streams alone: `Last-Event-ID`, for who cannot set the header (`lastEventId` will do)"
            ),
        ]
        | UnsetType
    ) = UNSET


# `event-source-polyfill` adds `padding=true` where it takes React Native for a browser that needs some; nothing is done.
_PARAMETERS: Final = names_of(LiveParameters) - _ID_PARAMETERS - {_EVENT_TYPE} | {"padding"}


class LastSeen(NamedTuple):
    """Where a reader says that it stands: the token, and which parameter or header said it."""

    token: str
    path: str


class LiveQuery(NamedTuple):
    """One stream.

    Attributes:
        partitions: in order; None for all, those added later too.
        start: where a reader begins that has seen nothing yet.
        last_seen: the reader has been at each of these places: the furthest of them holds, and *start* only where it is
            further still.
        event_types: only events of these; all messages if empty.
    """

    partitions: tuple[int, ...] | None
    start: LiveStart
    last_seen: tuple[LastSeen, ...]
    event_types: frozenset[str]


def read_live_query(pairs: Iterable[tuple[str, str]], last_event_ids: Sequence[str]) -> LiveQuery:
    """The stream that a query string and the values of `Last-Event-ID` ask for.

    A reader that comes back sends the same query as the first time, and where it stands in the header or in a parameter:
    that holds against `cursor` and `from`.

    Raises:
        BadRequest: if a parameter is unknown, there twice (but `event_type`, and ids), malformed or out of bounds, or two
            of them contradict each other; `path` is its name.
    """
    others: list[tuple[str, str]] = []
    types: list[str] = []
    last_seen = [LastSeen(value, LAST_EVENT_ID) for value in last_event_ids if value]
    if len(last_event_ids) > 1:
        raise BadRequest(f"There is more than one '{LAST_EVENT_ID}'.", path=LAST_EVENT_ID)
    for name, value in pairs:
        if name == _EVENT_TYPE:
            types += value.split(",")
        elif name not in _ID_PARAMETERS:
            others.append((name, value))
        elif value:
            last_seen.append(LastSeen(value, name))
    given = unique_parameters(others, _PARAMETERS)
    partitions = read_partitions(given.get("partitions"))
    return LiveQuery(partitions, _start(given), tuple(last_seen), _event_types(types))


def _start(given: dict[str, str]) -> LiveStart:
    cursor, begin = given.get("cursor"), given.get("from")
    if cursor is not None and begin is not None:
        raise BadRequest("A stream starts in one place: give 'cursor' or 'from'.", path="from")
    if begin is not None:
        return start_of(begin, path="from", takes=_FROM)
    match cursor:
        case None | "last":
            return Last()
        case "first":
            return First()
        case token:
            return token


def _event_types(types: Sequence[str]) -> frozenset[str]:
    if len(types) > LIVE_EVENT_TYPES_MAX:
        raise BadRequest(
            f"A filter has at most {LIVE_EVENT_TYPES_MAX} event types.",
            path=_EVENT_TYPE,
            limit=LIVE_EVENT_TYPES_MAX,
        )
    for each in types:
        if not 1 <= len(each) <= EVENT_TYPE_CHARS_MAX:
            raise BadRequest(
                f"An event type has 1 to {EVENT_TYPE_CHARS_MAX} characters.",
                path=_EVENT_TYPE,
                limit=EVENT_TYPE_CHARS_MAX,
            )
    return frozenset(types)
