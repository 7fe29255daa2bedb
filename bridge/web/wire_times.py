"""Times in answers (pure): RFC 3339, UTC, microseconds."""

from datetime import UTC, datetime, timedelta
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
    moment = _EPOCH + timedelta(microseconds=min(max(time_us, 0), _YEAR_9999_US))
    return moment.isoformat(timespec="microseconds") + "Z"
