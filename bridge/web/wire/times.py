"""Times in requests, and the type of those in answers (pure)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from bridge.events import instant_of

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
