"""Time as a value that is handed in (leaf; the only module that reads the machine's clocks)."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from bridge.limits import SECONDS_REMEMBERED_MAX

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_YEAR_9999_US: Final = 253_402_300_799_999_999


class Clock(Protocol):
    """Two clocks: one that never goes back, for waits; one that people understand, for stamps."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary point, never going back."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""

    def wall_s(self) -> float:
        """The same in seconds, as ends of keys and tokens and Python's own times count them."""


class SystemClock:
    """The machine's own clocks."""

    # As they are, since they are asked ten times for each request.
    monotonic_s = staticmethod(time.monotonic)
    wall_s = staticmethod(time.time)

    def now_us(self) -> int:
        return time.time_ns() // 1000


# A struct, since every request has one: a frozen dataclass takes 0.8 us to make and this 0.05.
class Deadline(msgspec.Struct, frozen=True):
    """The moment by which a request must have its answer.

    Attributes:
        at_s: reading of *clock* (`monotonic_s`) at which the time is up.
        clock: the clock it is measured by; not the event loop's, which under uvloop counts from elsewhere.
    """

    at_s: float
    clock: Clock

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The moment *seconds* from now."""
        return cls(clock.monotonic_s() + seconds, clock)

    def remaining_s(self) -> float:
        """Seconds left, 0.0 once the time is up; made for `asyncio.timeout`."""
        remaining_s = self.at_s - self.clock.monotonic_s()
        return remaining_s if remaining_s > 0 else 0.0


def rfc3339(time_us: int) -> str:
    """A moment as text, UTC with microseconds; one that no calendar holds is told as the nearest that it does.

    Args:
        time_us: microseconds since the epoch, UTC, any 64-bit number.
    """
    if not 0 <= time_us <= _YEAR_9999_US:
        time_us = 0 if time_us < 0 else _YEAR_9999_US
    # Cut out of the number: a third of what `divmod` and a format with a width take.
    return f"{_to_the_second(time_us // 1_000_000)}.{str(time_us)[-6:].zfill(6)}Z"


@lru_cache(SECONDS_REMEMBERED_MAX)
def _to_the_second(seconds: int) -> str:
    # Answers and the messages of a page share their second, and calendars are dear.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
