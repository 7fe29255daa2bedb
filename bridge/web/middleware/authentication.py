"""Who calls (shell over `policy.key_ring`): every request that goes on from here has its principal."""

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeAlias

import structlog
from aiohttp import hdrs, web
from multidict import istr

from bridge.errors import TooManyFailedKeys, Unauthorized
from bridge.policy.access import ANONYMOUS, Principal
from bridge.policy.api_keys import KeyVerdict, bearer_tokens
from bridge.policy.client_address import limit_key
from bridge.policy.key_ring import TokenJudge
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.requests import CLIENT_CERTIFICATE
from bridge.web.shared_limits import SharedLimits
from bridge.web.wire.queries import TICKET

_API_KEY: Final = istr("X-API-Key")
# A key in a URL stands in every proxy's log; said once an hour, not for every request.
_WARNING_INTERVAL_S: Final = 3600.0
# What somebody may have made up. Who shows a key or token that was right once has no need to guess.
_GUESSES: Final = (KeyVerdict.WRONG, KeyVerdict.UNKNOWN_SIGNER)
# By a name of their own: to find a member of an enumeration takes 400 instructions.
_MISSING, _UNKNOWN_SIGNER = KeyVerdict.MISSING, KeyVerdict.UNKNOWN_SIGNER
_LetIn: TypeAlias = Callable[[Exchange, Principal | KeyVerdict], Awaitable[None] | None]
#: What pages open without a header of their own.
_OPENED_BY_PAGES: Final = ("/messages/stream", "/ws")


def open_to_all(_: Services, __: Rules) -> Gate:
    """Whoever calls is anonymous, and may everything that is served here."""

    def let_in(_: web.Request, exchange: Exchange) -> None:
        exchange.principal = ANONYMOUS

    return Gate(let_in)


def authentication(services: Services, rules: Rules) -> Gate:
    """Let through who has the key, and everyone to the bypass paths; where no key is configured, everyone everywhere."""
    if rules.credentials.is_open:
        return open_to_all(services, rules)
    judge, tokens = rules.credentials.judge, rules.credentials.tokens
    let_in, clock = _door(services, rules), services.clock
    without_key = _side_door(services, rules, let_in)
    bypass = frozenset(services.http.auth_bypass_paths)
    log = structlog.get_logger("bridge.web")
    warn_again_s = clock.monotonic_s()

    async def learn(exchange: Exchange, tokens: TokenJudge, token: str) -> None:
        later = let_in(exchange, await tokens.judge_anew(token, clock.wall_s()))
        if later is not None:
            await later

    def authenticate(request: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        nonlocal warn_again_s
        path, has_query, _ = exchange.target.partition("?")
        if path in bypass:
            exchange.principal = ANONYMOUS
            return None
        headers = exchange.headers
        header = headers.getall(_API_KEY, ())
        authorization = headers.getall(hdrs.AUTHORIZATION, ())
        bearer = bearer_tokens(authorization) if authorization else ()
        query = request.query.getall("api_key", ()) if has_query else ()
        now_s = clock.wall_s()
        found = judge(header, bearer, query, exchange.client, now_s)
        if found is _MISSING:
            return without_key(request, exchange, path, now_s)
        if found is _UNKNOWN_SIGNER and tokens is not None:
            return learn(exchange, tokens, bearer[0])
        if (later := let_in(exchange, found)) is not None:
            return later
        if query and not header and not bearer and clock.monotonic_s() >= warn_again_s:
            warn_again_s = clock.monotonic_s() + _WARNING_INTERVAL_S
            log.warning("key_in_query_is_deprecated", use="X-API-Key")
        return None

    return Gate(authenticate)


def _side_door(
    services: Services, rules: Rules, let_in: _LetIn
) -> Callable[[web.Request, Exchange, str, float], Awaitable[None] | None]:
    """For who shows neither key nor token: a page with a ticket, or whose certificate the connection has."""
    ring, shared = rules.credentials.ring, services.shared_limits

    def without_key(
        request: web.Request, exchange: Exchange, path: str, now_s: float
    ) -> Awaitable[None] | None:
        client = exchange.client
        tickets = request.query.getall(TICKET, ()) if path.endswith(_OPENED_BY_PAGES) else ()
        if tickets:
            if len(tickets) > 1:
                return let_in(exchange, KeyVerdict.WRONG)
            found = rules.tickets.redeem(tickets[0], client, now_s)
            if shared is None or isinstance(found, KeyVerdict):
                return let_in(exchange, found)
            return once_for_all(shared, exchange, found, tickets[0])
        shown = request.get(CLIENT_CERTIFICATE)
        if shown is None or ring is None:
            return let_in(exchange, KeyVerdict.MISSING)
        return let_in(exchange, ring.judge_certificate(shown.names, client, now_s))

    async def once_for_all(shared: SharedLimits, exchange: Exchange, found: Principal, ticket: str) -> None:
        # Where it has no answer, it is enough that the ticket was not used here.
        let_in(exchange, KeyVerdict.EXPIRED if await shared.is_first_use(ticket) is False else found)

    return without_key


def _door(services: Services, rules: Rules) -> _LetIn:
    """What lets a principal in, and answers whoever is refused, where all replicas count that later."""
    failed, metrics, keys = rules.lockout.failed, services.metrics.http, services.metrics.keys
    shared = services.shared_limits

    def let_in(exchange: Exchange, found: Principal | KeyVerdict) -> Awaitable[None] | None:
        if isinstance(found, Principal):
            exchange.principal = found
            if found.key_id is not None:
                keys.let_in(found.key_id)
            return None
        if found not in _GUESSES:
            refuse(found, 0)
        address = limit_key(exchange.client)
        wait_ms = failed(address)
        if shared is None or wait_ms:
            refuse(found, wait_ms)
        return refuse_by_all(shared, found, address)

    async def refuse_by_all(shared: SharedLimits, found: KeyVerdict, address: str) -> None:
        # Where it has no answer, what was counted here holds.
        refuse(found, await shared.key_failed(address) or 0)

    def refuse(found: KeyVerdict, wait_ms: int) -> NoReturn:
        metrics.auth_failures.add("locked_out" if wait_ms else found.value)
        if wait_ms:
            raise TooManyFailedKeys(retry_after_ms=wait_ms)
        raise Unauthorized

    return let_in
