"""Whether a request carries the right API key, and when wrong ones are answered with "later" (pure)."""

import hmac
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from math import ceil
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from bridge.clock import Clock
from bridge.limits import FAILED_KEYS_BURST, FAILED_KEYS_BURST_S, FAILED_KEYS_PER_MINUTE

_BEARER: Final = "bearer "


class KeyVerdict(StrEnum):
    """What was found; the last two never tell the caller more than "401"."""

    #: No key is configured: everyone may.
    OPEN = "open"
    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"


class ApiKeyRule:
    """
    One key, kept as its digest only.

    Digests of equal length are compared in constant time, so neither length nor a common prefix of the key shows
    in the time an answer takes.
    """

    def __init__(self, key: str | None) -> None:
        self._digest = None if key is None else _digest(key)

    def verdict(
        self, header: Sequence[str] = (), bearer: Sequence[str] = (), query: Sequence[str] = ()
    ) -> KeyVerdict:
        """
        What the key of a request is worth.

        Args:
            header: every `X-API-Key` line. Two of them are refused: a proxy in front may have checked the other one.
            bearer: as of `bearer_tokens`, likewise; beside a header it must be the same key.
            query: every `api_key` of the query; looked at only where there is neither.
        """
        if self._digest is None:
            return KeyVerdict.OPEN
        offered = header or bearer or query
        if not any(offered):
            return KeyVerdict.MISSING
        if len(offered) > 1 or (header and bearer and header != bearer):
            return KeyVerdict.WRONG
        if hmac.compare_digest(_digest(offered[0]), self._digest):
            return KeyVerdict.RIGHT
        return KeyVerdict.WRONG


def bearer_tokens(authorization: Sequence[str]) -> Sequence[str]:
    """
    The tokens in lines of `Authorization` (RFC 6750, section 2.1); none where the lines are of other schemes.

    Several lines, one of them of this scheme, are given back as they are, so that they are refused as two keys are: the
    field is allowed once (RFC 9110, section 11.6.2).
    """
    tokens = [
        line[len(_BEARER) :].strip(" ") for line in authorization if line[: len(_BEARER)].lower() == _BEARER
    ]
    return authorization if tokens and len(authorization) > 1 else tokens


def _digest(key: str) -> bytes:
    # Header bytes that are no UTF-8 arrive as lone surrogates; they are wrong, not an error.
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


_ITEMS: Final[tuple[RateLimitItem, ...]] = (
    RateLimitItemPerSecond(FAILED_KEYS_BURST, FAILED_KEYS_BURST_S, namespace="failed-keys"),
    RateLimitItemPerMinute(FAILED_KEYS_PER_MINUTE, namespace="failed-keys"),
)


class Lockout:
    """
    Counts wrong keys by address in two fixed windows: at once, and by the minute.

    It is asked about wrong keys only, so whoever shares an address with a guesser still gets in with the right one.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._windows = FixedWindowRateLimiter(storage)
        self._clock = clock

    def failed(self, address: str) -> int:
        """
        A wrong key came from *address*.

        Returns:
            Milliseconds until the next one is answered with 401 again; 0 where this one is. One that is refused is
            not counted: the wait does not grow by waiting badly.
        """
        wait_s = 0.0
        for item in _ITEMS:
            if not self._windows.test(item, address):
                ends_s, _ = self._windows.get_window_stats(item, address)
                wait_s = max(wait_s, ends_s - self._clock.monotonic_s())
        if wait_s > 0:
            return ceil(wait_s * 1000)
        for item in _ITEMS:
            self._windows.hit(item, address)
        return 0
