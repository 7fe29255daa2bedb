"""Times in requests and answers (pure): RFC 3339, in answers UTC with microseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from bridge.events import instant_of

Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A moment in an answer, as `rfc3339` writes it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_EPOCH_UTC: Final = _EPOCH.replace(tzinfo=UTC)
_YEAR_9999_US: Final = 253_402_300_799_999_999


def rfc3339(time_us: int) -> str:
    """
    A moment as text; one that no calendar holds is told as the nearest that it does.

    Args:
        time_us: microseconds since the epoch, UTC, any 64-bit number.
    """
    if not 0 <= time_us <= _YEAR_9999_US:
        time_us = 0 if time_us < 0 else _YEAR_9999_US
    # Cut out of the number: a third of what `divmod` and a format with a width take.
    return f"{_to_the_second(time_us // 1_000_000)}.{str(time_us)[-6:].zfill(6)}Z"


def time_us_of(text: str) -> int:
    """
    The moment that *text* tells, in microseconds since the epoch, UTC; one before it counts as the epoch.

    A leap second counts as the second behind it.

    Raises:
        ValueError: if it is no RFC 3339 time with a zone.
    """
    try:
        since = instant_of(text) - _EPOCH_UTC
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError("no time") from error
    return max(0, since // timedelta(microseconds=1))


@lru_cache(maxsize=128)
def _to_the_second(seconds: int) -> str:
    # Answers and the messages of a page share their second, and calendars are dear.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
