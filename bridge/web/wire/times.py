"""Times in requests, reads that begin at one, and the type of those in answers (pure)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from bridge.errors import BadRequest
from bridge.events import instant_of
from bridge.messagelog import First, FromTimestamp, Last

Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A moment in an answer, as `clock.rfc3339` writes it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_us_of(text: str) -> int:
    """The moment that *text* tells, in microseconds since the epoch, UTC; one before it counts as the epoch.

    A leap second counts as the second behind it.

    Raises:
        ValueError: if it is no RFC 3339 time with a zone.
    """
    try:
        since = instant_of(text) - _EPOCH
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError("no time") from error
    return max(0, since // timedelta(microseconds=1))


def moment_of(text: str, *, path: str, takes: str) -> FromTimestamp:
    """The first message at or after the time that *text* tells, as of `time_us_of`.

    Raises:
        BadRequest: if it is no such time; *path* says where it stood, *takes* what may stand there.
    """
    try:
        return FromTimestamp(time_us_of(text))
    except ValueError:
        raise BadRequest(takes, path=path) from None


def start_of(text: str, *, path: str, takes: str) -> First | Last | FromTimestamp:
    """Where a read begins: `first`, `last`, or as `moment_of`, which says what is raised."""
    match text:
        case "first":
            return First()
        case "last":
            return Last()
        case _:
            return moment_of(text, path=path, takes=takes)
