"""A span for every request (shell over `telemetry.tracing`)."""

from aiohttp import web

from bridge.telemetry.logs import REQUEST_SCOPE
from bridge.web.keys import EXCHANGE, Services
from bridge.web.middleware.access_log import CLIENT_GONE, route_of
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules


def tracing(services: Services, _: Rules) -> Gate | None:
    """Begin a span with the request and end it with the answer; None where nobody collects spans."""
    spans = services.tracing.spans
    if spans is None:
        return None

    def begin(request: web.Request) -> None:
        exchange = request[EXCHANGE]
        exchange.span = span = spans.begin(request.method, route_of(request), exchange.trace)
        exchange.trace = span.context
        REQUEST_SCOPE.set((exchange.request_id, exchange.client, span.context.trace_id))

    def end(request: web.Request, status: int) -> None:
        exchange = request[EXCHANGE]
        if exchange.span is not None:
            exchange.span.end(status, exchange.error_code)

    def answered(request: web.Request, answer: web.StreamResponse) -> None:
        end(request, answer.status)

    def gone(request: web.Request, _: BaseException) -> None:
        end(request, CLIENT_GONE)

    return Gate(begin, answered, gone)
