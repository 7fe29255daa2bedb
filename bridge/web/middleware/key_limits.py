"""How much a key may take (shell over `policy.key_limits`)."""

from aiohttp import hdrs, web

from bridge.errors import RateLimited
from bridge.policy.key_limits import BYTES, KeyVerdictOfLimit
from bridge.policy.rate_limits import is_acknowledgement
from bridge.web.keys import EXCHANGE, Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules


def refusal_of(found: KeyVerdictOfLimit) -> RateLimited:
    """What is told of a limit that was passed."""
    what = "bytes" if found.name == BYTES else "requests"
    return RateLimited(f"Too many {what} with this key.", retry_after_ms=found.verdict.retry_after_ms)


def key_limits(services: Services, rules: Rules) -> Gate | None:
    """
    Refuse what is too much for the key that was shown; None where there is no file of keys.

    A body counts by its `Content-Length` before it is read, a chunked one by what was read of it, afterwards.
    """
    limiter, keys, metrics = rules.key_limiter, services.metrics.keys, services.metrics.http
    if limiter is None:
        return None

    def check(exchange: Exchange, key_id: str, found: KeyVerdictOfLimit | None) -> None:
        if found is None:
            return
        _tell(exchange, found)
        if not found.verdict.allowed:
            metrics.rate_limited.add()
            keys.limited(key_id)
            raise refusal_of(found)

    def limit(request: web.Request) -> None:
        exchange = request[EXCHANGE]
        key_id = exchange.key_id
        if key_id is None:
            return
        acknowledges = is_acknowledgement(request.method, request.raw_path)
        check(exchange, key_id, limiter.request(key_id, acknowledges=acknowledges))
        check(exchange, key_id, limiter.may_send(key_id))
        if length := request.content_length:
            limiter.sent(key_id, length)

    def count(request: web.Request) -> None:
        key_id = request[EXCHANGE].key_id
        if key_id is not None and hdrs.TRANSFER_ENCODING in request.headers:
            limiter.sent(key_id, request.content.total_bytes)

    return Gate(limit, answered=lambda request, _: count(request), failed=lambda request, _: count(request))


def _tell(exchange: Exchange, found: KeyVerdictOfLimit) -> None:
    name, quota, window_s, verdict = found
    if name == BYTES and verdict.allowed:
        # Nobody plans by what is left of them.
        return
    unit = ';qu="content-bytes"' if name == BYTES else ""
    _add(exchange, "RateLimit-Policy: ", f'"{name}";q={quota};w={window_s}{unit}')
    _add(exchange, "RateLimit: ", f'"{name}";r={verdict.remaining};t={verdict.reset_s}')
    if not verdict.allowed:
        exchange.lines += f"X-RateLimit-Limit: {quota}\r\nX-RateLimit-Remaining: {verdict.remaining}\r\n"


def _add(exchange: Exchange, field: str, item: str) -> None:
    """One more item of the list in this field, which the address may have begun."""
    lines = exchange.lines
    if field in lines:
        exchange.lines = lines.replace(field, f"{field}{item}, ", 1)
    else:
        exchange.lines = f"{lines}{field}{item}\r\n"
