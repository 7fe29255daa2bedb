"""How much a key may take of its own (pure): requests and bytes, for all who have it together.

Both are token buckets beside those of the addresses. Of bytes a body is taken whole, also where it is longer than what is
there: nobody waits in its middle. The key is then behind, and may send again once it has caught up.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from bridge.limits import KEY_DEBT_S_MAX, KEY_DRAWS_REMEMBERED_MAX
from bridge.policy.key_ring import KeyLimits, KeyRing
from bridge.policy.rate_limits import ACKNOWLEDGING, BucketDraw

#: The names of these limits, in headers.
REQUESTS: Final = "key"
BYTES: Final = "key-bytes"


class KeyLimiter:
    """What requests ask of the buckets of keys, by the limits that the ring has now."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def request(
        self, key_id: str, bytes_count: int = 0, *, acknowledges: bool = False
    ) -> Sequence[BucketDraw]:
        """Of one more request with this key, and *bytes_count* of its body; nothing where it has no limits.

        Args:
            acknowledges: acks, nacks and extensions have a bucket of their own, of the same size.
        """
        limits = self._limits(key_id)
        if limits is None:
            return ()
        of_bytes = _of_bytes(key_id, limits, bytes_count)
        if limits.requests_per_s is None:
            return of_bytes
        return (_of_a_request(key_id, limits, acknowledges), *of_bytes)

    def bytes(self, key_id: str, count: int) -> Sequence[BucketDraw]:
        """Of *count* bytes with this key, that came or are about to; nothing where it has no limit of them."""
        limits = self._limits(key_id)
        return () if limits is None else _of_bytes(key_id, limits, count)

    def _limits(self, key_id: str) -> KeyLimits | None:
        key = self._ring.key(key_id)
        return None if key is None else key.limits


@lru_cache(KEY_DRAWS_REMEMBERED_MAX)
def _of_a_request(key_id: str, limits: KeyLimits, acknowledges: bool) -> BucketDraw:
    name = f"{REQUESTS}-{ACKNOWLEDGING}" if acknowledges else REQUESTS
    return BucketDraw(name, f"{name} {key_id}", 1 / (limits.requests_per_s or 1), limits.burst)


def _of_bytes(key_id: str, limits: KeyLimits, count: int) -> tuple[BucketDraw, ...]:
    per_s = limits.bytes_per_s
    if per_s is None:
        return ()
    return (BucketDraw(BYTES, f"{BYTES} {key_id}", 1 / per_s, per_s, count, 1 + KEY_DEBT_S_MAX),)
