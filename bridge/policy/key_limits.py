"""How much a key may take of its own (pure): requests and bytes, for all who have it together.

Both are token buckets beside those of the addresses. Of bytes a body is taken whole, also where it is longer than what is
there: nobody waits in its middle. The key is then behind, and may send again once it has caught up.
"""

from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple

from bridge.limits import KEY_DEBT_S_MAX
from bridge.policy.key_ring import KeyLimits, KeyRing
from bridge.policy.rate_limits import ACKNOWLEDGING, RateVerdict, TokenBucketSupport

#: The names of these limits, in headers.
REQUESTS: Final = "key"
BYTES: Final = "key-bytes"


class KeyVerdictOfLimit(NamedTuple):
    """What one bucket says; *name*, *quota* and *window_s* tell which (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    quota: int
    window_s: int
    verdict: RateVerdict


@lru_cache(1024)
def _window_s(limits: KeyLimits) -> int:
    return max(1, ceil(limits.burst / (limits.requests_per_s or 1)))


class KeyLimiter:
    """Takes what is asked for, by the limits that the ring has now.

    Args:
        buckets: where they are counted, shared by the workers of a machine.
    """

    def __init__(self, ring: KeyRing, buckets: TokenBucketSupport) -> None:
        self._ring = ring
        self._buckets = buckets

    def request(self, key_id: str, *, acknowledges: bool = False) -> KeyVerdictOfLimit | None:
        """One more request with this key; None where it has no limit.

        Args:
            acknowledges: acks, nacks and extensions have a bucket of their own, of the same size.
        """
        limits = self._limits(key_id)
        if limits is None or limits.requests_per_s is None:
            return None
        name = f"{REQUESTS}-{ACKNOWLEDGING}" if acknowledges else REQUESTS
        verdict = self._buckets.acquire_tokens(f"{name} {key_id}", 1 / limits.requests_per_s, limits.burst, 1)
        return KeyVerdictOfLimit(name, limits.burst, _window_s(limits), verdict)

    def may_send(self, key_id: str) -> KeyVerdictOfLimit | None:
        """Whether it is not behind with its bytes; None where it has no limit of them."""
        limits = self._limits(key_id)
        if limits is None or limits.bytes_per_s is None:
            return None
        verdict = self._buckets.acquire_tokens(
            f"{BYTES} {key_id}", 1 / limits.bytes_per_s, limits.bytes_per_s, 0
        )
        return KeyVerdictOfLimit(BYTES, limits.bytes_per_s, 1, verdict)

    def sent(self, key_id: str, bytes_count: int) -> None:
        """So many bytes came with this key, or are about to."""
        limits = self._limits(key_id)
        if limits is not None and limits.bytes_per_s is not None:
            self._buckets.spend_tokens(
                f"{BYTES} {key_id}", 1 / limits.bytes_per_s, bytes_count, debt_s_max=1 + KEY_DEBT_S_MAX
            )

    def _limits(self, key_id: str) -> KeyLimits | None:
        key = self._ring.key(key_id)
        return None if key is None else key.limits
