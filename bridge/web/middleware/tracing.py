"""A span for every request (shell over `telemetry.tracing`)."""

from aiohttp import web

from bridge.telemetry.logs import REQUEST_SCOPE
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.access_log import CLIENT_GONE
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules


def tracing(services: Services, _: Rules) -> Gate | None:
    """Begin a span with the request and end it with the answer; None where nobody collects spans."""
    spans = services.tracing.spans
    if spans is None:
        return None

    def begin(_: web.Request, exchange: Exchange) -> None:
        exchange.span = span = spans.begin(exchange.method, exchange.route, exchange.trace)
        exchange.trace = span.context
        REQUEST_SCOPE.set((exchange.request_id, exchange.client, span.context.trace_id))

    def end(exchange: Exchange, status: int) -> None:
        if exchange.span is not None:
            exchange.span.end(status, exchange.error_code)

    def answered(_: web.Request, exchange: Exchange, answer: web.StreamResponse) -> None:
        end(exchange, answer.status)

    def gone(_: web.Request, exchange: Exchange, __: BaseException) -> None:
        end(exchange, CLIENT_GONE)

    return Gate(begin, answered, gone)
