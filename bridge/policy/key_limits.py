"""How much a key may take of its own (pure): requests and bytes, for all who have it together.

Both are token buckets beside those of the addresses. Of bytes a body is taken whole, also where it is longer than what is
there: nobody waits in its middle. The key is then behind, and may send again once it has caught up.
"""

from typing import Final

from bridge.limits import KEY_DEBT_S_MAX
from bridge.policy.key_ring import KeyLimits, KeyRing
from bridge.policy.rate_limits import ACKNOWLEDGING, BucketDraw

#: The names of these limits, in headers.
REQUESTS: Final = "key"
BYTES: Final = "key-bytes"


class KeyLimiter:
    """What requests ask of the buckets of keys, by the limits that the ring has now."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def request(self, key_id: str, bytes_count: int = 0, *, acknowledges: bool = False) -> list[BucketDraw]:
        """Of one more request with this key, and *bytes_count* of its body; nothing where it has no limits.

        Args:
            acknowledges: acks, nacks and extensions have a bucket of their own, of the same size.
        """
        limits = self._limits(key_id)
        if limits is None or limits.requests_per_s is None:
            return self.bytes(key_id, bytes_count)
        name = f"{REQUESTS}-{ACKNOWLEDGING}" if acknowledges else REQUESTS
        bucket = BucketDraw(name, f"{name} {key_id}", 1 / limits.requests_per_s, limits.burst)
        return [bucket, *self.bytes(key_id, bytes_count)]

    def bytes(self, key_id: str, count: int) -> list[BucketDraw]:
        """Of *count* bytes with this key, that came or are about to; nothing where it has no limit of them."""
        limits = self._limits(key_id)
        if limits is None or limits.bytes_per_s is None:
            return []
        per_s = limits.bytes_per_s
        return [BucketDraw(BYTES, f"{BYTES} {key_id}", 1 / per_s, per_s, count, 1 + KEY_DEBT_S_MAX)]

    def _limits(self, key_id: str) -> KeyLimits | None:
        key = self._ring.key(key_id)
        return None if key is None else key.limits
