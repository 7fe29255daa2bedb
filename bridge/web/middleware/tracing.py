"""A span for every request (shell over `telemetry.tracing`)."""

from typing import Final

from aiohttp import web

from bridge.telemetry.logs import REQUEST_SCOPE
from bridge.telemetry.tracing import RequestSpan
from bridge.web.keys import CLIENT, ERROR_CODE, REQUEST_ID, TRACE, Services
from bridge.web.middleware.access_log import CLIENT_GONE, route_of
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules

_SPAN: Final[web.RequestKey[RequestSpan]] = web.RequestKey("span")


def tracing(services: Services, _: Rules) -> Gate | None:
    """Begin a span with the request and end it with the answer; None where nobody collects spans."""
    spans = services.tracing.spans
    if spans is None:
        return None

    def begin(request: web.Request) -> None:
        span = spans.begin(request.method, route_of(request), request[TRACE])
        request[_SPAN], request[TRACE] = span, span.context
        REQUEST_SCOPE.set((request[REQUEST_ID], request[CLIENT], span.context.trace_id))

    def answered(request: web.Request, answer: web.StreamResponse) -> None:
        request[_SPAN].end(answer.status, request.get(ERROR_CODE))

    def gone(request: web.Request, _: BaseException) -> None:
        request[_SPAN].end(CLIENT_GONE, None)

    return Gate(begin, answered, gone)
