"""What browsers ask before they call (shell over `policy.origins`); `identity` puts the fields of the answers in."""

from aiohttp import hdrs, web

from bridge.errors import Forbidden
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules


def cors(_: Services, rules: Rules) -> Gate | None:
    """Answer preflights, which carry no key; None where no other origin may call."""
    origins = rules.origins
    if not origins.enabled:
        return None

    def answer_preflight(_: web.Request, exchange: Exchange) -> web.StreamResponse | None:
        if exchange.method != hdrs.METH_OPTIONS:
            return None
        headers = exchange.headers
        origin = headers.get(hdrs.ORIGIN)
        if origin is None or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in headers:
            return None
        allowed = origins.preflight_headers(origin, headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ""))
        if allowed is None:
            raise Forbidden("Pages of this origin may not call.", path="Origin")
        return web.Response(status=204, headers=allowed)

    return Gate(answer_preflight)
