"""Who calls (shell over `policy.key_ring`): every request that goes on from here has its principal."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import istr

from bridge.errors import TooManyFailedKeys, Unauthorized
from bridge.policy.access import ANONYMOUS, Principal
from bridge.policy.api_keys import KeyVerdict, bearer_tokens
from bridge.policy.client_address import limit_key
from bridge.policy.key_ring import TokenJudge
from bridge.web.keys import EXCHANGE, PRINCIPAL, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules

_API_KEY: Final = istr("X-API-Key")
# A key in a URL stands in every proxy's log; said once an hour, not for every request.
_WARNING_INTERVAL_S: Final = 3600.0
_US_PER_S: Final = 1_000_000
# What somebody may have made up. Who shows a key or token that was right once has no need to guess.
_GUESSES: Final = (KeyVerdict.WRONG, KeyVerdict.UNKNOWN_SIGNER)


def open_to_all(_: Services, __: Rules) -> Gate:
    """Whoever calls is anonymous, and may everything that is served here."""

    def let_in(request: web.Request) -> None:
        request[PRINCIPAL] = ANONYMOUS

    return Gate(let_in)


def authentication(services: Services, rules: Rules) -> Gate:
    """Let through who has the key, and everyone to the bypass paths; where no key is configured, everyone everywhere."""
    if rules.credentials.is_open:
        return open_to_all(services, rules)
    judge, tokens = rules.credentials.judge, rules.credentials.tokens
    let_in, clock = _door(services, rules), services.clock
    bypass = frozenset(services.http.auth_bypass_paths)
    log = structlog.get_logger("bridge.web")
    warn_again_s = clock.monotonic_s()

    async def learn(request: web.Request, tokens: TokenJudge, token: str) -> None:
        let_in(request, await tokens.judge_anew(token, clock.now_us() / _US_PER_S))

    def authenticate(request: web.Request) -> Awaitable[None] | None:
        nonlocal warn_again_s
        path, has_query, _ = request.raw_path.partition("?")
        if path in bypass:
            request[PRINCIPAL] = ANONYMOUS
            return None
        headers = request.headers
        header = headers.getall(_API_KEY, ())
        authorization = headers.getall(hdrs.AUTHORIZATION, ())
        bearer = bearer_tokens(authorization) if authorization else ()
        query = request.query.getall("api_key", ()) if has_query else ()
        found = judge(
            header, bearer, query, client=request[EXCHANGE].client, now_s=clock.now_us() / _US_PER_S
        )
        if found is KeyVerdict.UNKNOWN_SIGNER and tokens is not None:
            return learn(request, tokens, bearer[0])
        let_in(request, found)
        if not header and not bearer and clock.monotonic_s() >= warn_again_s:
            warn_again_s = clock.monotonic_s() + _WARNING_INTERVAL_S
            log.warning("key_in_query_is_deprecated", use="X-API-Key")
        return None

    return Gate(authenticate)


def _door(services: Services, rules: Rules) -> Callable[[web.Request, Principal | KeyVerdict], None]:
    """What lets a principal in, and answers whoever is refused."""
    failed, metrics, keys = rules.lockout.failed, services.metrics.http, services.metrics.keys

    def let_in(request: web.Request, found: Principal | KeyVerdict) -> None:
        if not isinstance(found, KeyVerdict):
            request[PRINCIPAL] = found
            request[EXCHANGE].key_id = found.key_id
            if found.key_id is not None:
                keys.let_in(found.key_id)
            return
        wait_ms = failed(limit_key(request[EXCHANGE].client)) if found in _GUESSES else 0
        metrics.auth_failures.add("locked_out" if wait_ms else found.value)
        if wait_ms:
            raise TooManyFailedKeys(retry_after_ms=wait_ms)
        raise Unauthorized

    return let_in
