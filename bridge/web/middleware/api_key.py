"""Who may call (shell over `policy.api_keys` and `policy.api_keys`)."""

from typing import Final

import structlog
from aiohttp import web
from multidict import istr

from bridge.errors import TooManyFailedKeys, Unauthorized
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.client_address import limit_key
from bridge.web.keys import CLIENT, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules

_API_KEY: Final = istr("X-API-Key")
# A key in a URL stands in every proxy's log; said once an hour, not for every request.
_WARNING_INTERVAL_S: Final = 3600.0


def api_key(services: Services, rules: Rules) -> Gate | None:
    """Let through who has the key, and everyone to the bypass paths; None where no key is configured."""
    if rules.key.verdict((), ()) is KeyVerdict.OPEN:
        return None
    judge, failed, metrics, clock = rules.key.verdict, rules.lockout.failed, services.metrics, services.clock
    bypass = frozenset(services.http.auth_bypass_paths)
    log = structlog.get_logger("bridge.web")
    warn_again_s = clock.monotonic_s()

    def check_key(request: web.Request) -> None:
        nonlocal warn_again_s
        path, has_query, _ = request.raw_path.partition("?")
        if path in bypass:
            return
        header = request.headers.getall(_API_KEY, ())
        query = request.query.getall("api_key", ()) if has_query else ()
        verdict = judge(header, query)
        if verdict is KeyVerdict.RIGHT:
            if not header and clock.monotonic_s() >= warn_again_s:
                warn_again_s = clock.monotonic_s() + _WARNING_INTERVAL_S
                log.warning("key_in_query_is_deprecated", use="X-API-Key")
            return
        wait_ms = failed(limit_key(request[CLIENT])) if verdict is KeyVerdict.WRONG else 0
        metrics.http.auth_failures.add("locked_out" if wait_ms else verdict.value)
        if wait_ms:
            raise TooManyFailedKeys(retry_after_ms=wait_ms)
        raise Unauthorized

    return Gate(check_key)
