"""How much a key may take (shell over `policy.key_limits`)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from aiohttp import hdrs, web

from bridge.errors import RateLimited
from bridge.limits import KEY_DRAWS_REMEMBERED_MAX
from bridge.policy.key_limits import BYTES
from bridge.policy.rate_limits import BucketDraw, RateVerdict, drawn, is_acknowledgement, spent
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
    limiter, buckets, shared = rules.key_limiter, rules.buckets, services.shared_limits
    if limiter is None:
        return None
    judge = _judging(services)

    def limit(request: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        key_id = exchange.key_id
        if key_id is None:
            return None
        acknowledges = is_acknowledgement(exchange.method, exchange.target)
        draws = limiter.request(key_id, request.content_length or 0, acknowledges=acknowledges)
        here = drawn(buckets, draws)
        if shared is None or not here or not here[-1].allowed:
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
        key_id = exchange.key_id
        if key_id is not None and hdrs.TRANSFER_ENCODING in exchange.headers:
            draws = limiter.bytes(key_id, request.content.total_bytes)
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
        for draw, verdict in zip(draws, verdicts, strict=False):
            _tell(exchange, draw, verdict)
            if not verdict.allowed:
                metrics.rate_limited.add()
                keys.limited(key_id)
                raise refusal_of(draw.name, verdict)

    return judge


def _tell(exchange: Exchange, draw: BucketDraw, verdict: RateVerdict) -> None:
    name, quota = draw.name, draw.burst
    if name == BYTES and verdict.allowed:
        # Nobody plans by what is left of them.
        return
    _add(exchange, "RateLimit-Policy: ", _policy(draw))
    _add(exchange, "RateLimit: ", f'"{name}";r={verdict.remaining};t={verdict.reset_s}')
    if not verdict.allowed:
        exchange.lines += f"X-RateLimit-Limit: {quota}\r\nX-RateLimit-Remaining: {verdict.remaining}\r\n"


@lru_cache(KEY_DRAWS_REMEMBERED_MAX)
def _policy(draw: BucketDraw) -> str:
    unit = ';qu="content-bytes"' if draw.name == BYTES else ""
    return f'"{draw.name}";q={draw.burst};w={draw.window_s}{unit}'


def _add(exchange: Exchange, field: str, item: str) -> None:
    """One more item of the list in this field, which the address may have begun."""
    lines = exchange.lines
    if field in lines:
        exchange.lines = lines.replace(field, f"{field}{item}, ", 1)
    else:
        exchange.lines = f"{lines}{field}{item}\r\n"
