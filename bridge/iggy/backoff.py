"""Delays between attempts to connect (pure; chance is handed in)."""

import random
from collections.abc import Iterator

__all__ = ("delays_s",)

# 2**32 times any base passes any ceiling; larger powers would overflow a float in a long outage.
_DOUBLINGS_MAX = 32


def delays_s(*, base_ms: int, ceiling_ms: int, attempts_max: int, rng: random.Random) -> Iterator[float]:
    """
    Seconds to wait after the first failed attempt, the second, and so on: full jitter over a doubling range.

    Attempt n is followed by anything from 0 to min(*ceiling_ms*, *base_ms* * 2**(n-1)), evenly spread, so that many
    bridges do not come back together.

    Args:
        base_ms: width of the first range, 1 or more.
        ceiling_ms: width of the widest range.
        attempts_max: attempts allowed; after the last one the iterator ends. 0 is without end.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
    """
    attempt = 1
    while attempts_max == 0 or attempt < attempts_max:
        range_ms = min(ceiling_ms, base_ms * 2 ** min(attempt - 1, _DOUBLINGS_MAX))
        yield rng.uniform(0, range_ms) / 1000
        attempt += 1
