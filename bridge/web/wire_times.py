"""Times in answers (pure): RFC 3339, UTC, microseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ("rfc3339",)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_YEAR_9999_US: Final = 253_402_300_799_999_999


def rfc3339(time_us: int) -> str:
    """
    A moment as text; one that no calendar holds is told as the nearest that it does.

    Args:
        time_us: microseconds since the epoch, UTC, any 64-bit number.
    """
    seconds, fraction_us = divmod(min(max(time_us, 0), _YEAR_9999_US), 1_000_000)
    return f"{_to_the_second(seconds)}.{fraction_us:06d}Z"


@lru_cache(maxsize=128)
def _to_the_second(seconds: int) -> str:
    # Answers and the messages of a page share their second, and calendars are dear.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
