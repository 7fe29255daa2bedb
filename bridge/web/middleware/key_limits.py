"""How much a key may take (shell over `policy.key_limits`)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aiohttp import hdrs, web

from bridge.errors import RateLimited
from bridge.policy.key_limits import BYTES, NO_LIMITS
from bridge.policy.rate_limits import (
    GROUPS_MARK,
    BucketDraw,
    RateVerdict,
    drawn,
    is_acknowledgement,
    spent,
)
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.shared_limits import SharedLimits

_Judge: TypeAlias = Callable[[Exchange, str, Sequence[BucketDraw], Sequence[RateVerdict]], None]


def refusal_of(name: str, verdict: RateVerdict) -> RateLimited:
    """What is told of a limit that was passed."""
    what = "bytes" if name == BYTES else "requests"
    return RateLimited(f"Too many {what} with this key.", retry_after_ms=verdict.retry_after_ms)


def key_limits(services: Services, rules: Rules) -> Gate | None:
    """Refuse what is too much for the key that was shown; None where there is no file of keys.

    A body counts by its `Content-Length` before it is read, a chunked one by what was read of it, afterwards.
    """
    ring, buckets, shared = rules.credentials.ring, rules.buckets, services.shared_limits
    if ring is None:
        return None
    judge = _judging(services)

    def limit(_: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        principal = exchange.principal
        key_id = None if principal is None else principal.key_id
        if key_id is None:
            return None
        limits = ring.limits(key_id)
        if limits is NO_LIMITS:
            return None
        target = exchange.target
        acknowledges = GROUPS_MARK in target and is_acknowledgement(exchange.method, target)
        draws = limits.request(int(exchange.headers.get(hdrs.CONTENT_LENGTH, 0)), acknowledges=acknowledges)
        here = drawn(buckets, draws)
        if shared is None or not here[-1].allowed:
            judge(exchange, key_id, draws, here)
            return None
        return limit_by_all(shared, exchange, key_id, draws, here)

    async def limit_by_all(
        shared: SharedLimits,
        exchange: Exchange,
        key_id: str,
        draws: Sequence[BucketDraw],
        here: Sequence[RateVerdict],
    ) -> None:
        judge(exchange, key_id, draws, await shared.take(draws) or here)

    def count(request: web.Request, exchange: Exchange, _: web.StreamResponse | BaseException) -> None:
        if hdrs.TRANSFER_ENCODING in exchange.headers and (key_id := exchange.key_id) is not None:
            draws = ring.limits(key_id).bytes(request.content.total_bytes)
            spent(buckets, draws)
            if shared is not None:
                shared.spend(draws)

    return Gate(limit, count, count)


def _judging(services: Services) -> _Judge:
    """What tells the client what is left, and refuses what is not."""
    keys, metrics = services.metrics.keys, services.metrics.http

    def judge(
        exchange: Exchange, key_id: str, draws: Sequence[BucketDraw], verdicts: Sequence[RateVerdict]
    ) -> None:
        for draw, verdict in zip(draws, verdicts):  # noqa: B905 (those behind a refusal were not asked)
            limit = draw.limit
            if verdict.allowed and limit.debt_s_max:
                # Of bytes nobody plans by what is left.
                continue
            policy, left = limit.policy, limit.told(verdict)
            if exchange.left:
                # The address has begun both lists.
                policy, left = f"{policy}, {exchange.policies}", f"{left}, {exchange.left}"
            exchange.policies, exchange.left = policy, left
            if not verdict.allowed:
                exchange.lines += (
                    f"X-RateLimit-Limit: {limit.burst}\r\nX-RateLimit-Remaining: {verdict.remaining}\r\n"
                )
                metrics.rate_limited.add()
                keys.limited(key_id)
                raise refusal_of(limit.name, verdict)

    return judge
