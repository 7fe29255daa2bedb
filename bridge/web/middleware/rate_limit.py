"""How many requests an address may make (shell over `policy.rate_limits`)."""

from math import ceil
from typing import Final

from aiohttp import web
from multidict import istr

from bridge.errors import RateLimited
from bridge.policy.client_address import limit_key
from bridge.policy.rate_limits import ACKNOWLEDGING, RateVerdict, acknowledgement_key, is_acknowledgement
from bridge.web.keys import CLIENT, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import RateRule, Rules
from bridge.web.server.answer_headers import ANSWER_HEADERS

#: Whole targets, as they stand in the request line: a probe that is refused takes a healthy process out of service.
#: They cost no more than a refusal would, so letting them through gives a flood nothing.
PROBES: Final = frozenset({("GET", "/health"), ("GET", "/ready")})


_ADDRESS: Final = "address"
_POLICY: Final = istr("RateLimit-Policy")
_STATE: Final = istr("RateLimit")


def policy_header(rate: RateRule, name: str = _ADDRESS) -> str:
    """`RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): *q* requests in the *w* seconds a full bucket takes."""
    return f'"{name}";q={rate.burst};w={max(1, ceil(rate.burst / rate.refill.amount))}'


def state_header(verdict: RateVerdict, name: str = _ADDRESS) -> str:
    """`RateLimit` (same draft): *r* requests left, all of them back after *t* seconds."""
    return f'"{name}";r={verdict.remaining};t={verdict.reset_s}'


def rate_limit(services: Services, rules: Rules) -> Gate | None:
    """
    Refuse what is too much, before anything dearer looks at it; None where the limit is off.

    Acks, nacks and extensions have a bucket of their own, of the same size: who receives as fast as he may can still say
    what he has done, else it would come again.
    """
    rate = rules.rate
    if rate is None:
        return None
    take, metrics = rate.limiter.bucket_of(rate.refill), services.metrics.http
    policies, burst = {name: policy_header(rate, name) for name in (_ADDRESS, ACKNOWLEDGING)}, str(rate.burst)

    def limit_rate(request: web.Request) -> None:
        method, target = request.method, request.raw_path
        name, key = _ADDRESS, limit_key(request[CLIENT])
        if is_acknowledgement(method, target):
            name, key = ACKNOWLEDGING, acknowledgement_key(key)
        verdict = take(key, 0 if (method, target) in PROBES else 1)
        headers = request[ANSWER_HEADERS]
        headers[_POLICY] = policies[name]
        headers[_STATE] = state_header(verdict, name)
        if verdict.allowed:
            return
        headers["X-RateLimit-Limit"] = burst
        headers["X-RateLimit-Remaining"] = str(verdict.remaining)
        metrics.rate_limited.add()
        raise RateLimited(retry_after_ms=verdict.retry_after_ms)

    return Gate(limit_rate)
