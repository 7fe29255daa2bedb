"""One log line and one count for every request (shell)."""

from typing import Final

from aiohttp import hdrs, web

from bridge.limits import LOG_FIELD_CHARS_MAX
from bridge.telemetry.exemplars import traced
from bridge.telemetry.logs import log_request
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules

#: The status that nginx writes where the client was gone before the answer.
CLIENT_GONE: Final = 499
_OK: Final = web.HTTPOk.status_code
_PROBES: Final = frozenset({"/health", "/ready"})


def access_log(services: Services, _: Rules) -> Gate:
    """Log and count what was answered; the query is left out, since it may hold the key, and so is every payload.

    Probes that went well are logged as "debug": they would be most of the lines and tell nothing.
    """
    metrics, clock = services.metrics.http, services.clock

    def begin(_: web.Request, exchange: Exchange) -> None:
        exchange.started_s = clock.monotonic_s()
        metrics.request_started()

    def log(exchange: Exchange, status: int, body_bytes: int) -> None:
        seconds = clock.monotonic_s() - exchange.started_s
        method, route, trace, principal = exchange.method, exchange.route, exchange.trace, exchange.principal
        metrics.request_finished(method, route, status, seconds, traced(trace, clock))
        log_request(
            method,
            route,
            exchange.target.partition("?")[0][:LOG_FIELD_CHARS_MAX],
            exchange.client,
            status,
            seconds,
            body_bytes,
            exchange.request_id,
            status == _OK and route in _PROBES,
            exchange.error_code,
            None if trace is None else trace.trace_id,
            None if principal is None else principal.key_id,
        )

    def answered(_: web.Request, exchange: Exchange, answer: web.StreamResponse) -> None:
        log(exchange, answer.status, 0 if exchange.method == hdrs.METH_HEAD else _body_bytes(answer))

    def gone(_: web.Request, exchange: Exchange, __: BaseException) -> None:
        log(exchange, CLIENT_GONE, 0)

    return Gate(begin, answered, gone)


def _body_bytes(response: web.StreamResponse) -> int:
    # Not `isinstance`: of a class with an abstract ancestor it asks in Python, 0.3 us.
    body = getattr(response, "body", None)
    if type(body) is bytes:
        return len(body)
    length = response.content_length
    return response.body_length if length is None else length
