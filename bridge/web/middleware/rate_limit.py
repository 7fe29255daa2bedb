"""How many requests an address may make (shell over `policy.rate_limits`)."""

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from bridge.errors import RateLimited
from bridge.policy.client_address import limit_key
from bridge.policy.rate_limits import (
    GROUPS_MARK,
    BucketDraw,
    RateLimit,
    RateVerdict,
    acknowledgement_key,
    is_acknowledgement,
)
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.shared_limits import SharedLimits

#: Whole targets, as they stand in the request line: a probe that is refused takes a healthy process out of service.
#: They cost no more than a refusal would, so letting them through gives a flood nothing.
PROBES: Final = frozenset({("GET", "/health"), ("GET", "/ready")})


_PROBED: Final = frozenset(target for _, target in PROBES)


def rate_limit(services: Services, rules: Rules) -> Gate | None:
    """Refuse what is too much, before anything dearer looks at it; None where the limit is off.

    Acks, nacks and extensions have a bucket of their own, of the same size: who receives as fast as he may can still say
    what he has done, else it would come again.
    """
    rate = rules.rate
    if rate is None:
        return None
    take, requests, acknowledgements = rules.buckets.acquire_tokens, rate.requests, rate.acknowledgements
    metrics, shared = services.metrics.http, services.shared_limits

    def limit_rate(_: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        method, target = exchange.method, exchange.target
        limit, key = requests, limit_key(exchange.client)
        if GROUPS_MARK in target and is_acknowledgement(method, target):
            limit, key = acknowledgements, acknowledgement_key(key)
        is_probe = target in _PROBED and (method, target) in PROBES
        verdict = take(limit, key, 0 if is_probe else 1)
        if shared is None or is_probe or not verdict.allowed:
            judge(exchange, limit, verdict)
            return None
        return limit_by_all(shared, exchange, BucketDraw(limit, key), verdict)

    async def limit_by_all(
        shared: SharedLimits, exchange: Exchange, draw: BucketDraw, here: RateVerdict
    ) -> None:
        verdicts = await shared.take((draw,))
        judge(exchange, draw.limit, verdicts[0] if verdicts else here)

    def judge(exchange: Exchange, limit: RateLimit, verdict: RateVerdict) -> None:
        """Tell the client what is left, and refuse what is not."""
        exchange.policies, exchange.left = limit.policy, limit.told(verdict)
        if verdict.allowed:
            return
        exchange.lines += (
            f"X-RateLimit-Limit: {limit.burst}\r\nX-RateLimit-Remaining: {verdict.remaining}\r\n"
        )
        metrics.rate_limited.add()
        raise RateLimited(retry_after_ms=verdict.retry_after_ms)

    return Gate(limit_rate)
