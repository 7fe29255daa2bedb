"""How many requests one address may make (pure): a token bucket as the generic cell rate algorithm (ITU-T I.371).

A bucket of *burst* tokens that come back one by one is a single number: the time at which it is full again. Acks, nacks and
extensions of groups are counted apart, so that receiving does not starve them.
"""

import re
from collections.abc import Iterable
from math import ceil, floor, inf
from typing import Final, Protocol, cast, runtime_checkable

import msgspec
from limits.storage import Storage


class RateVerdict(msgspec.Struct, frozen=True, gc=False):
    """What the bucket says.

    Attributes:
        remaining: whole tokens left after this request.
        retry_after_ms: when the tokens are there; 0 where the request may pass.
        reset_s: until the bucket is full again, whole seconds, rounded up.
    """

    allowed: bool
    remaining: int
    retry_after_ms: int
    reset_s: int


#: The names of the limit of an address, and of the one that its acks, nacks and extensions draw on.
ADDRESS: Final = "address"
ACKNOWLEDGING: Final = "settling"


class RateLimit:
    """How large a bucket is, and how fast its tokens come back; made once for all who have a bucket of it.

    Args:
        interval_s: seconds in which one token comes back.
        burst: tokens of a full bucket, one at least.
        debt_s_max: 0 where all tokens must be there; else it is enough that the bucket is not behind, and they are spent.
        unit: what a token is (draft-ietf-httpapi-ratelimit-headers); "" for a request.

    Attributes:
        name: as clients are told it.
        policy: what clients are told of the limit.
    """

    __slots__ = (
        "_capacity_s",
        "_full",
        "_full_taken_s",
        "_full_told",
        "_spent_s_max",
        "burst",
        "debt_s_max",
        "interval_s",
        "name",
        "policy",
    )

    def __init__(
        self, name: str, interval_s: float, burst: int, *, debt_s_max: float = 0.0, unit: str = ""
    ) -> None:
        self.name, self.interval_s, self.burst, self.debt_s_max = name, interval_s, burst, debt_s_max
        self._spent_s_max = debt_s_max or inf
        self._capacity_s = capacity_s = burst * interval_s
        # Floats may make a little more than a whole second of it.
        self.policy = f'"{name}";q={burst};w={max(1, ceil(capacity_s - 1e-6))}'
        if unit:
            self.policy += f';qu="{unit}"'
        # Who is far from the limit finds a full bucket each time, and is told the same.
        self._full_taken_s = -1.0
        self._full = self.take(0.0, 0.0)[1]
        self._full_told = _told(name, self._full)
        self._full_taken_s = 0.0 if debt_s_max else interval_s

    def take(self, full_at_s: float, now_s: float, cost: int = 1) -> tuple[float, RateVerdict]:
        """Take *cost* tokens if they are there.

        Args:
            full_at_s: when the bucket is full again; in the past where it is full.
            cost: 0 only looks.

        Returns:
            When the bucket is full after this, and the verdict.
        """
        interval_s = self.interval_s
        missing_s = full_at_s - now_s if full_at_s > now_s else 0.0
        spent_s = missing_s + cost * interval_s
        taken_s = missing_s if self.debt_s_max else spent_s
        if taken_s == self._full_taken_s:
            verdict = self._full
        else:
            # A hundredth of a token: after a year of uptime floats are so coarse, and the last of a burst must still pass.
            left_s = self._capacity_s - taken_s + interval_s * 1e-2
            if left_s < 0:
                remaining = max(0, int((left_s + taken_s - missing_s) / interval_s))
                retry_after_ms = max(1, ceil((taken_s - self._capacity_s) * 1000))
                return full_at_s, RateVerdict(False, remaining, retry_after_ms, ceil(missing_s))
            verdict = RateVerdict(True, floor(left_s / interval_s), 0, ceil(taken_s))
        if spent_s > self._spent_s_max:  # noqa: PLR1730 (each request asks: `min` takes 400 instructions)
            spent_s = self._spent_s_max
        return now_s + spent_s, verdict

    def spend(self, full_at_s: float, now_s: float, cost: int) -> float:
        """Take *cost* tokens, also where they are not there: the bucket is full so much later, within *debt_s_max*."""
        return min(max(full_at_s, now_s) + cost * self.interval_s, now_s + self.debt_s_max)

    def told(self, verdict: RateVerdict) -> str:
        """`RateLimit` (draft-ietf-httpapi-ratelimit-headers): *r* tokens left, all of them back after *t* seconds."""
        return self._full_told if verdict is self._full else _told(self.name, verdict)


def _told(name: str, verdict: RateVerdict) -> str:
    return f'"{name}";r={verdict.remaining};t={verdict.reset_s}'


@runtime_checkable
class TokenBucketSupport(Protocol):
    """What a storage of `limits` offers beside the library's own windows, of which none has a burst."""

    def acquire_tokens(self, limit: RateLimit, key: str, cost: int = 1) -> RateVerdict:
        """`RateLimit.take` on the bucket of *key* and keep the result, in one atomic step."""
        ...

    def spend_tokens(self, limit: RateLimit, key: str, cost: int) -> None:
        """`RateLimit.spend` on the bucket of *key*, likewise."""
        ...


class BucketDraw(msgspec.Struct, frozen=True, gc=False):
    """What is asked of one bucket: *cost* tokens of that of *key*."""

    limit: RateLimit
    key: str
    cost: int = 1


def drawn(buckets: TokenBucketSupport, draws: Iterable[BucketDraw]) -> list[RateVerdict]:
    """Draw on one bucket after the other, until one refuses: nothing is taken of those behind it."""
    verdicts = []
    for each in draws:
        verdict = buckets.acquire_tokens(each.limit, each.key, each.cost)
        verdicts.append(verdict)
        if not verdict.allowed:
            break
    return verdicts


def spent(buckets: TokenBucketSupport, draws: Iterable[BucketDraw]) -> None:
    """Take what came already, whether it is there or not."""
    for each in draws:
        buckets.spend_tokens(each.limit, each.key, each.cost)


def with_buckets(storage: Storage) -> TokenBucketSupport:
    """*storage* as one of token buckets.

    Raises:
        NotImplementedError: if it keeps none.
    """
    if not isinstance(storage, TokenBucketSupport):
        raise NotImplementedError(f"{type(storage).__name__} keeps no token buckets")
    return cast("TokenBucketSupport", storage)


_TARGET: Final = re.compile(r"/streams/[^/?]+/topics/[^/?]+/groups/[^/?]+/(?:ack|nack|extend)(?:\?.*)?")
#: In the target of every request that is an acknowledgement.
GROUPS_MARK: Final = "/groups/"


def is_acknowledgement(method: str, target: str) -> bool:
    """Whether a request is an ack, a nack or an extension.

    Args:
        target: as it stood in the request line; one that is spelled otherwise, with escapes, counts as any other.
    """
    return method == "POST" and GROUPS_MARK in target and _TARGET.fullmatch(target) is not None


def acknowledgement_key(key: str) -> str:
    """Under which the acks, nacks and extensions of an address are counted; *key* is that of its other requests."""
    return f"{ACKNOWLEDGING} {key}"
