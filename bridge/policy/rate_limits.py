"""How many requests one address may make (pure): a token bucket as the generic cell rate algorithm (ITU-T I.371).

A bucket of *burst* tokens that come back one by one is a single number: the time at which it is full again. Acks, nacks and
extensions of groups are counted apart, so that receiving does not starve them.
"""

import re
from collections.abc import Iterable
from math import ceil, floor
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


#: The limit of an address, and the one that its acks, nacks and extensions draw on.
ADDRESS: Final = "address"
ACKNOWLEDGING: Final = "settling"


def take(
    full_at_s: float, now_s: float, interval_s: float, burst: int, cost: int = 1, debt_s_max: float = 0.0
) -> tuple[float, RateVerdict]:
    """Take *cost* tokens if they are there.

    Args:
        full_at_s: when the bucket is full again; in the past where it is full.
        interval_s: seconds in which one token comes back.
        burst: tokens of a full bucket.
        cost: 0 only looks.
        debt_s_max: with more than 0 it is enough that the bucket is not behind, and *cost* is spent, as by `spend`.

    Returns:
        When the bucket is full after this, and the verdict.
    """
    missing_s = full_at_s - now_s if full_at_s > now_s else 0.0
    spent_s = missing_s + cost * interval_s
    taken_s = missing_s if debt_s_max else spent_s
    capacity_s = burst * interval_s
    # A hundredth of a token: after a year of uptime floats are so coarse, and the last of a burst must still pass.
    left_s = capacity_s - taken_s + interval_s * 1e-2
    if left_s < 0:
        remaining = max(0, int((left_s + taken_s - missing_s) / interval_s))
        retry_after_ms = max(1, ceil((taken_s - capacity_s) * 1000))
        return full_at_s, RateVerdict(False, remaining, retry_after_ms, ceil(missing_s))
    if 0 < debt_s_max < spent_s:
        spent_s = debt_s_max
    return now_s + spent_s, RateVerdict(True, floor(left_s / interval_s), 0, ceil(taken_s))


def spend(full_at_s: float, now_s: float, *, interval_s: float, cost: int, debt_s_max: float) -> float:
    """Take *cost* tokens, also where they are not there: the bucket is full so much later.

    Args:
        debt_s_max: later than so many seconds from now it never is.
    """
    return min(max(full_at_s, now_s) + cost * interval_s, now_s + debt_s_max)


@runtime_checkable
class TokenBucketSupport(Protocol):
    """What a storage of `limits` offers beside the library's own windows, of which none has a burst."""

    def acquire_tokens(
        self, key: str, interval_s: float, burst: int, cost: int, debt_s_max: float = 0.0
    ) -> RateVerdict:
        """`take` on the bucket of *key* and keep the result, in one atomic step."""
        ...

    def spend_tokens(self, key: str, interval_s: float, cost: int, *, debt_s_max: float) -> None:
        """`spend` on the bucket of *key*, likewise."""
        ...


class BucketDraw(msgspec.Struct, frozen=True, gc=False):
    """What is asked of one bucket.

    Attributes:
        name: of the limit, as clients are told it.
        key: whose bucket it is.
        interval_s, burst: as of `take`.
        cost: tokens.
        policy: what clients are told of the limit (draft-ietf-httpapi-ratelimit-headers); "" where they are not.
        debt_s_max: 0 where they must all be there; else it is enough that the bucket is not behind, and they are spent.
    """

    name: str
    key: str
    interval_s: float
    burst: int
    cost: int = 1
    debt_s_max: float = 0.0
    policy: str = ""

    def verdict_of(self, full_at_s: float, now_s: float) -> RateVerdict:
        """What is said to this where the bucket is full at *full_at_s*."""
        return take(full_at_s, now_s, self.interval_s, self.burst, self.cost, self.debt_s_max)[1]


def policy_of(name: str, burst: int, interval_s: float) -> str:
    """What clients are told of a limit: *burst* in the *w* seconds, one at least, that a full bucket takes."""
    # Floats may make a little more than a whole second of it.
    return f'"{name}";q={burst};w={max(1, ceil(burst * interval_s - 1e-6))}'


def drawn(buckets: TokenBucketSupport, draws: Iterable[BucketDraw]) -> list[RateVerdict]:
    """Draw on one bucket after the other, until one refuses: nothing is taken of those behind it."""
    verdicts = []
    for each in draws:
        verdict = buckets.acquire_tokens(each.key, each.interval_s, each.burst, each.cost, each.debt_s_max)
        verdicts.append(verdict)
        if not verdict.allowed:
            break
    return verdicts


def spent(buckets: TokenBucketSupport, draws: Iterable[BucketDraw]) -> None:
    """Take what came already, whether it is there or not."""
    for each in draws:
        buckets.spend_tokens(each.key, each.interval_s, each.cost, debt_s_max=each.debt_s_max)


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
