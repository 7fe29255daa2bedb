"""How much a key may take of its own (pure): requests and bytes, for all who have it together.

Both are token buckets beside those of the addresses. Of bytes a body is taken whole, also where it is longer than what is
there: nobody waits in its middle. The key is then behind, and may send again once it has caught up.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from bridge.limits import KEY_DEBT_S_MAX
from bridge.policy.rate_limits import ACKNOWLEDGING, BucketDraw, RateLimit

#: The names of these limits, in headers.
REQUESTS: Final = "key"
BYTES: Final = "key-bytes"
#: A second is what a full bucket may be short of.
_DEBT_S_MAX: Final = 1 + KEY_DEBT_S_MAX


class KeyLimits(msgspec.Struct, frozen=True, gc=False):
    """What the holders of a key may take together, all of them, wherever they are; made once, with the key.

    Attributes:
        requests, acknowledgements: what one more takes; empty for no limit. Acks, nacks and extensions have a bucket of their
            own, of the same size.
        body: of bytes; None for no limit.
    """

    requests: tuple[BucketDraw, ...] = ()
    acknowledgements: tuple[BucketDraw, ...] = ()
    body: RateLimit | None = None
    body_key: str = ""

    @classmethod
    def of(cls, key_id: str, requests_per_s: int | None, burst: int, bytes_per_s: int | None) -> "KeyLimits":
        """What a file of keys says of one.

        Args:
            requests_per_s, bytes_per_s: None for no limit.
            burst: requests at once.
        """
        if requests_per_s is None and bytes_per_s is None:
            return NO_LIMITS
        requests, acknowledgements = (
            ()
            if requests_per_s is None
            else (BucketDraw(RateLimit(name, 1 / requests_per_s, burst), f"{name} {key_id}"),)
            for name in (REQUESTS, f"{REQUESTS}-{ACKNOWLEDGING}")
        )
        body = None
        if bytes_per_s is not None:
            body = RateLimit(
                BYTES, 1 / bytes_per_s, bytes_per_s, debt_s_max=_DEBT_S_MAX, unit="content-bytes"
            )
        return cls(requests, acknowledgements, body, f"{BYTES} {key_id}")

    def request(self, bytes_count: int = 0, *, acknowledges: bool = False) -> Sequence[BucketDraw]:
        """What one more request takes, and *bytes_count* of its body."""
        draws = self.acknowledgements if acknowledges else self.requests
        return draws if self.body is None else (*draws, BucketDraw(self.body, self.body_key, bytes_count))

    def bytes(self, count: int) -> Sequence[BucketDraw]:
        """What *count* bytes take, that came or are about to."""
        return () if self.body is None else (BucketDraw(self.body, self.body_key, count),)


#: Of a key that has none.
NO_LIMITS: Final = KeyLimits()
