"""How keys come in, what is said of them, and when wrong ones are answered with "later" (pure)."""

from collections.abc import Sequence
from enum import StrEnum
from math import ceil
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from bridge.clock import Clock
from bridge.limits import FAILED_KEYS_BURST, FAILED_KEYS_BURST_S, FAILED_KEYS_PER_MINUTE

_BEARER: Final = "bearer "


class KeyVerdict(StrEnum):
    """Why a key is refused, for figures alone: the caller is told "401" each time."""

    MISSING = "missing"
    WRONG = "wrong"
    #: These three are for who has shown the right key.
    REVOKED = "revoked"
    EXPIRED = "expired"
    NETWORK = "network"
    #: Of a token: what it is signed with is not known, or not yet.
    UNKNOWN_SIGNER = "unknown_signer"


def bearer_tokens(authorization: Sequence[str]) -> Sequence[str]:
    """The tokens in lines of `Authorization` (RFC 6750, section 2.1); none where the lines are of other schemes.

    Several lines, one of them of this scheme, are given back as they are, so that they are refused as two keys are: the
    field is allowed once (RFC 9110, section 11.6.2).
    """
    tokens = [
        line[len(_BEARER) :].strip(" ") for line in authorization if line[: len(_BEARER)].lower() == _BEARER
    ]
    return authorization if tokens and len(authorization) > 1 else tokens


#: At once, and by the minute.
FAILED_KEY_WINDOWS: Final[tuple[RateLimitItem, ...]] = (
    RateLimitItemPerSecond(FAILED_KEYS_BURST, FAILED_KEYS_BURST_S, namespace="failed-keys"),
    RateLimitItemPerMinute(FAILED_KEYS_PER_MINUTE, namespace="failed-keys"),
)


class Lockout:
    """Counts wrong keys by address in two fixed windows: at once, and by the minute.

    It is asked about wrong keys only, so whoever shares an address with a guesser still gets in with the right one.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._windows = FixedWindowRateLimiter(storage)
        self._clock = clock

    def failed(self, address: str) -> int:
        """A wrong key came from *address*.

        Returns:
            Milliseconds until the next one is answered with 401 again; 0 where this one is. One that is refused is
            not counted: the wait does not grow by waiting badly.
        """
        wait_s = 0.0
        for item in FAILED_KEY_WINDOWS:
            if not self._windows.test(item, address):
                ends_s, _ = self._windows.get_window_stats(item, address)
                wait_s = max(wait_s, ends_s - self._clock.monotonic_s())
        if wait_s > 0:
            return ceil(wait_s * 1000)
        for item in FAILED_KEY_WINDOWS:
            self._windows.hit(item, address)
        return 0
