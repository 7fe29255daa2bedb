"""Headers of requests and answers as the document tells them (pure)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from bridge.limits import REQUEST_ID_CHARS_MAX, REQUEST_TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS_MIN

_TEXT: Final[Mapping[str, Any]] = {"type": "string"}
_COUNT: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0}


def _answer(description: str, schema: Mapping[str, Any] = _TEXT, *, always: bool = False) -> dict[str, Any]:
    return {"description": description, **({"required": True} if always else {}), "schema": dict(schema)}


def _request(
    name: str, description: str, schema: Mapping[str, Any] = _TEXT, *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "required": required,
        "schema": dict(schema),
    }


def _only(name: str, description: str, value: str) -> dict[str, Any]:
    return _request(name, description, {"type": "string", "enum": [value]}, required=True)


#: By name: what an answer may carry. What stands behind a dot tells apart two of one name.
ANSWER_HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    "X-Request-Id": _answer(
        "The id of the request: the caller's, or one made for it. Logs have it.", always=True
    ),
    "Cache-Control": _answer("Nobody on the way may keep an answer.", {"const": "no-store"}, always=True),
    "Cache-Control.checked": _answer(
        "Whoever asked may keep it, and asks each time whether it still holds.",
        {"const": "private, no-cache"},
        always=True,
    ),
    "ETag": _answer("Of these bytes; `If-None-Match` takes it.", always=True),
    "Content-Encoding": _answer("The answer is packed.", {"const": "gzip"}),
    "X-Effective-Timeout": _answer("The time that the request had, in milliseconds.", _COUNT),
    "RateLimit-Policy": _answer("Requests in so many seconds (IETF draft); not where the limit is off."),
    "RateLimit": _answer("Requests left, and seconds until all are back; not where the limit is off."),
    "Retry-After": _answer("Seconds to wait.", {"type": "integer", "minimum": 1}),
    "X-RateLimit-Limit": _answer("Requests at once.", _COUNT),
    "X-RateLimit-Remaining": _answer("Requests left.", _COUNT),
    "WWW-Authenticate": _answer(
        "With 401, how to send the key; with 403, which scope is missing (RFC 6750)."
    ),
    "Allow": _answer("The methods that this path has."),
    "Location": _answer("Where the new thing is."),
    "Vary": _answer("The answer depends on these fields of the request."),
    "X-End-Offset": _answer(
        "Of lines of one partition: the offset behind the last line. None, no line.", _COUNT
    ),
    "X-End-Cursor": _answer("Of lines by cursor: where a reader stands who has them all."),
    "Content-Security-Policy": _answer("What the page may run and load: what is in it, by hash."),
    "Referrer-Policy": _answer("A key in the address goes nowhere.", {"const": "no-referrer"}),
    "X-Content-Type-Options": _answer("It is what it says.", {"const": "nosniff"}),
    "X-Accel-Buffering": _answer("Of an event stream: tells nginx to hold nothing back.", {"const": "no"}),
    "Upgrade": _answer("The protocol that is spoken here.", {"const": "websocket"}),
    "Connection": _answer("Goes with `Upgrade`."),
    "Sec-WebSocket-Accept": _answer("Answers the key (RFC 6455)."),
    "Sec-WebSocket-Protocol": _answer("The subprotocol.", {"const": "bridge.v1"}),
    "Sec-WebSocket-Version": _answer("The version that is spoken here.", {"const": "13"}),
}
EVERY_ANSWER: Final = (
    "X-Request-Id",
    "Cache-Control",
    "X-Effective-Timeout",
    "RateLimit-Policy",
    "RateLimit",
)
#: What problems of a status carry besides.
OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.FORBIDDEN: ("WWW-Authenticate",),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow",),
    HTTPStatus.UPGRADE_REQUIRED: ("Upgrade", "Connection", "Sec-WebSocket-Version"),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
#: By name: what a request may carry. What is malformed in the first four is ignored, so their schemas refuse nothing.
REQUEST_HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    each["name"]: each
    for each in (
        _request(
            "X-Request-Id",
            f"Kept if it has 1 to {REQUEST_ID_CHARS_MAX} visible ASCII characters, else one is made.",
        ),
        _request(
            "X-Request-Timeout",
            f"Milliseconds, {REQUEST_TIMEOUT_MS_MIN} to {REQUEST_TIMEOUT_MS_MAX}: shortens the time of this request. Anything "
            "else is ignored.",
        ),
        _request(
            "traceparent",
            "W3C Trace Context: goes into the headers of every message that the request sends. A broken one is as none.",
        ),
        _request("tracestate", "Goes with `traceparent`."),
        _request(
            "If-None-Match", "ETags of what the caller has: where one is that of the answer, it is 304."
        ),
        _request(
            "Last-Event-ID",
            "Event streams alone: the id of the last event; holds against `cursor` and `from`.",
        ),
        _only("Upgrade", "Asks for a WebSocket.", "websocket"),
        _only("Connection", "Goes with `Upgrade`.", "Upgrade"),
        _only("Sec-WebSocket-Version", "The version (RFC 6455).", "13"),
        _request(
            "Sec-WebSocket-Key",
            "16 random bytes in base64.",
            {"type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$"},
            required=True,
        ),
        _only("Sec-WebSocket-Protocol", "The subprotocol.", "bridge.v1"),
    )
}
EVERY_REQUEST: Final = ("X-Request-Id", "X-Request-Timeout", "traceparent", "tracestate")
