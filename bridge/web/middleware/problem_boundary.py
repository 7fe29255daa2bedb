"""Where errors become answers (shell over `web.wire.problems`)."""

from math import ceil
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import hdrs, web

from bridge import errors
from bridge.errors import BridgeError
from bridge.web.keys import UNMATCHED, Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.problem_answer import problem_answer
from bridge.web.wire.problems import row_of

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_OF_AIOHTTP: Final[dict[int, type[BridgeError]]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
}


def problem_boundary(_: Services, __: Rules) -> Gate:
    """Answer every error as problem+json; what nobody expected is logged with its traceback and tells nothing.

    A client that is gone, and a cancelled request, need no answer: both pass.
    """
    log = structlog.get_logger("bridge.web")

    def answer_problem(
        request: web.Request, exchange: Exchange, error: BaseException
    ) -> web.StreamResponse | None:
        if isinstance(error, BridgeError):
            if row_of(type(error)).status == _SERVER_ERROR:
                log.error("request_failed", code=error.code, exc_info=error)
            return _answer(request, exchange, error)
        if isinstance(error, web.HTTPException):
            if error.status < _CLIENT_ERROR:
                # aiohttp takes it as raised alone.
                return web.Response(status=error.status, headers=error.headers)
            allow = error.headers.get(hdrs.ALLOW)
            return _answer(
                request, exchange, _of_aiohttp(error.status), None if allow is None else {hdrs.ALLOW: allow}
            )
        if isinstance(error, ConnectionError) or not isinstance(error, Exception):
            return None
        log.error("request_failed", code=errors.InternalError.code, exc_info=error)
        return _answer(request, exchange, errors.InternalError())

    return Gate(None, failed=answer_problem)


def _of_aiohttp(status: int) -> BridgeError:
    fallback = errors.InternalError if status >= _SERVER_ERROR else errors.BadRequest
    return _OF_AIOHTTP.get(status, fallback)()


def _answer(
    request: web.Request, exchange: Exchange, error: BridgeError, fields: dict[str, str] | None = None
) -> web.StreamResponse:
    exchange.error_code = error.code
    exchange.refused = error.is_refusal
    if request.writer.output_size > 0:
        # Part of another answer is out already: an end in the middle is the only thing left that says "failed".
        raise ConnectionResetError("the answer had begun") from error
    rest_s = exchange.rules.admission.refusals.next_rest_s(exchange.services.clock.monotonic_s())
    route, given_id, trace = exchange.route, exchange.request_id, exchange.trace
    instance = f"urn:bridge:request:{quote(given_id)}" if route == UNMATCHED else route
    return problem_answer(
        error,
        request_id=given_id,
        instance=instance,
        trace_id=None if trace is None else trace.trace_id,
        fields=fields,
        rest_ms=ceil(rest_s * 1000),
    )
