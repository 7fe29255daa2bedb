"""One log line and one count for every request (shell)."""

from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bridge.limits import LOG_FIELD_CHARS_MAX
from bridge.web.keys import CLIENT, REQUEST_ID, Services
from bridge.web.rules import Rules

__all__ = ("UNMATCHED", "access_log", "route_of")

#: Stands for the route where no route was found; raw paths are no label.
UNMATCHED: Final = "unmatched"
# What nginx writes where the client was gone before the answer.
_CLIENT_GONE: Final = 499
_PROBES: Final = frozenset({"/health", "/ready"})


def route_of(request: web.Request) -> str:
    """The template of the route, such as `/streams/{stream}`, or `UNMATCHED`."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


def access_log(services: Services, _: Rules) -> Middleware:
    """
    Log and count what was answered; the query is left out, since it may hold the key, and so is every payload.

    Probes that went well are logged as "debug": they would be most of the lines and tell nothing.
    """
    metrics, clock = services.metrics, services.clock
    log = structlog.get_logger("bridge.access")

    @web.middleware
    async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
        started_s = clock.monotonic_s()
        metrics.request_started()
        status, body_bytes = _CLIENT_GONE, 0
        try:
            response = await handler(request)
            status = response.status
            body_bytes = 0 if request.method == hdrs.METH_HEAD else _body_bytes(response)
        finally:
            seconds = clock.monotonic_s() - started_s
            route = route_of(request)
            metrics.request_finished(request.method, route, status, seconds)
            (log.debug if route in _PROBES and status == web.HTTPOk.status_code else log.info)(
                "request",
                method=request.method,
                route=route,
                path=request.raw_path.partition("?")[0][:LOG_FIELD_CHARS_MAX],
                status=status,
                duration_ms=round(seconds * 1000, 3),
                bytes=body_bytes,
                client=request[CLIENT],
                request_id=request[REQUEST_ID],
            )
        return response

    return log_access


def _body_bytes(response: web.StreamResponse) -> int:
    length = response.content_length
    return response.body_length if length is None else length
