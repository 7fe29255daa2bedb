"""One log line and one count for every request (shell)."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bridge.limits import LOG_FIELD_CHARS_MAX
from bridge.telemetry.request_lines import RequestLines
from bridge.web.keys import CLIENT, REQUEST_ID, Services
from bridge.web.rules import Rules

__all__ = ("UNMATCHED", "access_log", "route_of")

#: Stands for the route where no route was found; raw paths are no label.
UNMATCHED: Final = "unmatched"
# What nginx writes where the client was gone before the answer.
_CLIENT_GONE: Final = 499
_OK: Final = web.HTTPOk.status_code
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
    tell = RequestLines().tell

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
            method = request.method
            metrics.request_finished(method, route, status, seconds)
            tell(
                method=method,
                route=route,
                path=request.raw_path.partition("?")[0][:LOG_FIELD_CHARS_MAX],
                status=status,
                seconds=seconds,
                body_bytes=body_bytes,
                client=request[CLIENT],
                request_id=request[REQUEST_ID],
                quiet=status == _OK and route in _PROBES,
            )
        return response

    return log_access


def _body_bytes(response: web.StreamResponse) -> int:
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        return len(response.body)
    length = response.content_length
    return response.body_length if length is None else length
