"""Which requests are refused for their form (shell over `policy.requests`)."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11, RawRequestMessage

from bridge.errors import BadRequest, HttpVersionNotSupported
from bridge.policy.requests import check_target
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.requests import UNSPOKEN_VERSION

# TRACE echoes what proxies added, CONNECT asks for a tunnel: no route may ever take them by accident.
_NEVER: Final = frozenset({hdrs.METH_TRACE, hdrs.METH_CONNECT})
_EVER: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def protocol(_: Services, __: Rules) -> Gate:
    """Refuse versions, methods, codings and targets that others on the way may read differently than we do."""

    def check_protocol(request: web.Request, exchange: Exchange) -> None:
        # A request in another version never keeps its connection (`requests`); the look-up costs, so it comes second.
        if exchange.message.should_close and UNSPOKEN_VERSION in request:
            raise HttpVersionNotSupported
        if exchange.method in _NEVER:
            raise web.HTTPMethodNotAllowed(exchange.method, _EVER)
        headers = exchange.headers
        message = exchange.message if hdrs.TRANSFER_ENCODING in headers else None
        if message is not None and message.chunked and _is_coded(message):
            exchange.closes = True
            raise BadRequest("The only transfer coding is chunked, in HTTP/1.1.", path="Transfer-Encoding")
        check_target(exchange.target, headers.get(hdrs.HOST, ""))

    return Gate(check_protocol)


def _is_coded(message: RawRequestMessage) -> bool:
    """Whether the body is in more than chunks, or those are in a version that has none (RFC 9112, section 6.1)."""
    codings = message.headers.getall(hdrs.TRANSFER_ENCODING, ())
    return [each.strip().lower() for each in codings] != ["chunked"] or message.version != HttpVersion11
