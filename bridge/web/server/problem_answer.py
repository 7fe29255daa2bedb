"""An error as an answer (shell over `web.wire.problems`)."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Final

import orjson

from bridge import errors
from bridge.errors import BridgeError
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.problems import CONTENT_TYPE, problem_object, retry_after_ms_of, row_of

# What 426 must carry (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
_WEBSOCKET: Final = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


def problem_answer(
    error: BridgeError,
    *,
    request_id: str,
    instance: str,
    trace_id: str | None = None,
    fields: Mapping[str, str] | None = None,
    rest_ms: int = 0,
) -> JsonAnswer:
    """The answer to *error*: `application/problem+json` (RFC 9457) with the members of the HTTP contract.

    Written as any other JSON is: refusals come by the thousand, and as a `web.Response` each cost what a stored message does.

    Args:
        instance: the route's template, or a URN with the request id where there is no route; never raw input.
        fields: what the status asks for besides, such as `Allow`.
        rest_ms: as of `retry_after_ms_of`.
    """
    row = row_of(type(error))
    body = problem_object(error, request_id=request_id, instance=instance, trace_id=trace_id, rest_ms=rest_ms)
    answer = JsonAnswer(orjson.dumps(body), status=row.status, content_type=CONTENT_TYPE)
    for name, value in (fields or {}).items():
        answer.add_field(name, value)
    retry_after_ms = retry_after_ms_of(error, row.status, rest_ms)
    if retry_after_ms is not None:
        answer.add_field("Retry-After", str(max(1, ceil(retry_after_ms / 1000))))
    if row.status == HTTPStatus.UNAUTHORIZED:
        answer.add_field("WWW-Authenticate", 'Bearer realm="bridge"')
    if isinstance(error, errors.InsufficientScope):
        # RFC 6750, section 3.1.
        answer.add_field("WWW-Authenticate", f'Bearer error="insufficient_scope", scope="{error.scope}"')
    if row.status == HTTPStatus.UPGRADE_REQUIRED:
        for name, value in _WEBSOCKET.items():
            answer.add_field(name, value)
    if row.closes:
        answer.force_close()
    return answer
