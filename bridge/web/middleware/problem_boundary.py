"""Where errors become answers (shell over `web.problems`)."""

from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bridge import errors
from bridge.errors import BridgeError
from bridge.web.keys import REQUEST_ID, Services
from bridge.web.middleware.access_log import UNMATCHED, route_of
from bridge.web.problems import problem_response, row_of
from bridge.web.rules import Rules

__all__ = ("problem_boundary",)

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_OF_AIOHTTP: Final[dict[int, type[BridgeError]]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
}


def problem_boundary(_: Services, __: Rules) -> Middleware:
    """
    Answer every error as problem+json; what nobody expected is logged with its traceback and tells nothing.

    A client that is gone, and a cancelled request, need no answer: both pass.
    """
    log = structlog.get_logger("bridge.web")

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except BridgeError as error:
            if row_of(type(error)).status == _SERVER_ERROR:
                log.exception("request_failed", code=error.code)
            return _answer(request, error)
        except web.HTTPException as raised:
            if raised.status < _CLIENT_ERROR:
                raise
            allow = raised.headers.get(hdrs.ALLOW)
            return _answer(
                request, _of_aiohttp(raised.status), None if allow is None else {hdrs.ALLOW: allow}
            )
        except ConnectionError:
            raise
        except Exception:
            log.exception("request_failed", code=errors.InternalError.code)
            return _answer(request, errors.InternalError())

    return answer_problems


def _of_aiohttp(status: int) -> BridgeError:
    fallback = errors.InternalError if status >= _SERVER_ERROR else errors.BadRequest
    return _OF_AIOHTTP.get(status, fallback)()


def _answer(request: web.Request, error: BridgeError, headers: dict[str, str] | None = None) -> web.Response:
    if request.writer.output_size > 0:
        # Part of another answer is out already: an end in the middle is the only thing left that says "failed".
        raise ConnectionResetError("the answer had begun") from error
    route, given_id = route_of(request), request[REQUEST_ID]
    instance = f"urn:bridge:request:{quote(given_id)}" if route == UNMATCHED else route
    return problem_response(error, request_id=given_id, instance=instance, headers=headers)
