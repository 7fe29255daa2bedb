"""How many requests an address may make (shell over `policy.rate_limits`)."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bridge.errors import RateLimited
from bridge.policy.client_address import limit_key
from bridge.policy.rate_limits import (
    ACKNOWLEDGING,
    ADDRESS,
    GROUPS_MARK,
    RateVerdict,
    acknowledgement_key,
    is_acknowledgement,
    policy_of,
)
from bridge.telemetry.metrics import HttpMetrics
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import RateRule, Rules
from bridge.web.shared_limits import SharedLimits

#: Whole targets, as they stand in the request line: a probe that is refused takes a healthy process out of service.
#: They cost no more than a refusal would, so letting them through gives a flood nothing.
PROBES: Final = frozenset({("GET", "/health"), ("GET", "/ready")})


_PROBED: Final = frozenset(target for _, target in PROBES)


def state_header(verdict: RateVerdict, name: str = ADDRESS) -> str:
    """`RateLimit` (draft-ietf-httpapi-ratelimit-headers): *r* requests left, all of them back after *t* seconds."""
    return f'"{name}";r={verdict.remaining};t={verdict.reset_s}'


def rate_limit(services: Services, rules: Rules) -> Gate | None:
    """Refuse what is too much, before anything dearer looks at it; None where the limit is off.

    Acks, nacks and extensions have a bucket of their own, of the same size: who receives as fast as he may can still say
    what he has done, else it would come again.
    """
    rate = rules.rate
    if rate is None:
        return None
    take, interval_s, burst = rules.buckets.acquire_tokens, 1 / rate.per_s, rate.burst
    judge, shared = _judging(services.metrics.http, rate), services.shared_limits

    def limit_rate(_: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        method, target = exchange.method, exchange.target
        name, key = ADDRESS, limit_key(exchange.client)
        if GROUPS_MARK in target and is_acknowledgement(method, target):
            name, key = ACKNOWLEDGING, acknowledgement_key(key)
        is_probe = target in _PROBED and (method, target) in PROBES
        verdict = take(key, interval_s, burst, 0 if is_probe else 1)
        if shared is None or is_probe or not verdict.allowed:
            judge(exchange, name, verdict)
            return None
        return limit_by_all(shared, exchange, name, key, verdict)

    async def limit_by_all(
        shared: SharedLimits, exchange: Exchange, name: str, key: str, here: RateVerdict
    ) -> None:
        verdicts = await shared.take((rate.draw(name, key),))
        judge(exchange, name, verdicts[0] if verdicts else here)

    return Gate(limit_rate)


def _judging(metrics: HttpMetrics, rate: RateRule) -> Callable[[Exchange, str, RateVerdict], None]:
    """What tells the client what is left, and refuses what is not."""
    policies = {name: policy_of(name, rate.burst, 1 / rate.per_s) for name in (ADDRESS, ACKNOWLEDGING)}

    def judge(exchange: Exchange, name: str, verdict: RateVerdict) -> None:
        exchange.policies = policies[name]
        exchange.left = f'"{name}";r={verdict.remaining};t={verdict.reset_s}'
        if verdict.allowed:
            return
        exchange.lines += f"X-RateLimit-Limit: {rate.burst}\r\nX-RateLimit-Remaining: {verdict.remaining}\r\n"
        metrics.rate_limited.add()
        raise RateLimited(retry_after_ms=verdict.retry_after_ms)

    return judge
