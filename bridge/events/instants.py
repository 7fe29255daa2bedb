"""Moments as RFC 3339 writes them, leap seconds included (pure)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

_ONE_SECOND: Final = timedelta(seconds=1)
_SIXTIETH: Final = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}):60(?P<rest>(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))"
)


def instant_of(text: str) -> datetime:
    """The moment that *text* tells.

    A leap second is read as the second behind it, the first of the next month, as POSIX counts.

    Raises:
        ValueError: if it is no RFC 3339 time that a calendar of the years 1 to 9999 holds.
    """
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        earlier = before_leap_second(text)
        if earlier is None:
            raise ValueError("no time") from error
        return msgspec.convert(earlier, datetime) + _ONE_SECOND


def before_leap_second(text: str) -> str | None:
    """The time a second before *text*, in the same spelling, if that is a leap second; else None.

    A leap second is the 61st of the last minute of a month in UTC, whatever the zone it is written in. Which months have
    one is announced half a year ahead, so that any may.

    Source: RFC 3339, sections 5.6 and 5.7.
    """
    written = _SIXTIETH.fullmatch(text)
    if written is None:
        return None
    earlier = f"{written['minute']}:59{written['rest']}"
    try:
        following = msgspec.convert(earlier, datetime).astimezone(UTC) + _ONE_SECOND
    except (msgspec.ValidationError, OverflowError):
        return None
    return earlier if (following.day, following.hour, following.minute) == (1, 0, 0) else None
