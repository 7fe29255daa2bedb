"""Errors as answers say them (pure): one table from error class to status, and the one place that builds error bodies."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge import errors
from bridge.errors import BridgeError, LogError, Outcome, RateLimited, RequestError
from bridge.limits import RETRY_AFTER_DEFAULT_MS

CONTENT_TYPE: Final = "application/problem+json"
#: "Not now": whoever asks again at once gets nothing but the same answer.
REFUSALS: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Row(NamedTuple):
    """How one class of errors is answered.

    Attributes:
        title: the same for every error of the class, for people.
        type: URI of the class; a name, nothing is served there.
        tells_detail: whether the error's own sentence goes out; else the title stands for it.
        closes: whether the connection ends with this answer.
    """

    status: int
    title: str
    type: str
    tells_detail: bool = True
    closes: bool = False


def _row(
    error: type[BridgeError], status: int, title: str, *, tells_detail: bool = True, closes: bool = False
) -> tuple[type[BridgeError], Row]:
    return error, Row(status, title, f"urn:bridge:problem:{error.code}", tells_detail, closes)


ROWS: Final[Mapping[type[BridgeError], Row]] = dict((
    # Never out: the name or value of a setting. Both end the process before it serves.
    _row(errors.ConfigError, 500, "Configuration error", tells_detail=False),
    _row(errors.StartupError, 503, "Not available", tells_detail=False),
    # Never out: what was sent. Only which rule it breaks, where, and the bound.
    _row(errors.RequestError, 400, "Bad request"),
    _row(errors.BadRequest, 400, "Bad request"),
    _row(errors.SerializationError, 400, "Body not understood"),
    # Never out: whether the key was missing, wrong, or close; whether the path exists.
    _row(errors.Unauthorized, 401, "API key required"),
    # Never out: who the provider is, where its keys are, or whether the token names one of them.
    _row(errors.SigningKeysUnavailable, 503, "Tokens cannot be checked"),
    # Never out: where the audit log is, or what its disk says.
    _row(errors.AuditUnavailable, 503, "Audit log not written"),
    # Never out: what would be allowed, and to whom.
    _row(errors.Forbidden, 403, "Forbidden"),
    # Never out: what else this caller may, the names that were asked for, and who may.
    _row(errors.InsufficientScope, 403, "Scope missing"),
    # Never out: the path or name that was asked for; the caller knows it, a log or page that shows it should not.
    _row(errors.NotFound, 404, "Not found"),
    _row(errors.StreamNotFound, 404, "Stream not found"),
    _row(errors.TopicNotFound, 404, "Topic not found"),
    _row(errors.PartitionNotFound, 404, "Partition not found"),
    # Never out: the method as it was sent.
    _row(errors.MethodNotAllowed, 405, "Method not allowed"),
    # Never out: what was asked for.
    _row(errors.NotAcceptable, 406, "Not acceptable"),
    # Never out: how much of the body had come. The rest may still come, so the connection is of no use any more.
    _row(errors.RequestBodyTimeout, 408, "Body too slow", closes=True),
    # Never out: who made it, or when.
    _row(errors.AlreadyExists, 409, "Already exists"),
    # Never out: any part of the body; the bound is public. Nobody reads the rest: close.
    _row(errors.PayloadTooLarge, 413, "Too large", closes=True),
    # Never out: any part of the head; which bound it passed is public. Where it ends is not known: close.
    _row(errors.TargetTooLong, 414, "Request line too long", closes=True),
    _row(errors.HeaderTooLarge, 431, "Header too large", closes=True),
    # Never out: the type that was sent.
    _row(errors.UnsupportedMediaType, 415, "Media type not supported"),
    # Never out: the host that was named, or our own names.
    _row(errors.MisdirectedRequest, 421, "Wrong server"),
    # Never out: what the connection was to become.
    _row(errors.UpgradeRequired, 426, "WebSocket only"),
    # Never out: the client's address, and how many others there are.
    _row(errors.RateLimited, 429, "Too many requests"),
    # Never out: whether this key was right (it was not), or how many were tried.
    _row(errors.TooManyFailedKeys, 429, "Too many wrong keys"),
    # Never out: the text of the log or of its library, its address, credentials, offsets of others.
    _row(errors.LogError, 500, "The log failed"),
    _row(errors.StreamError, 500, "Stream operation failed"),
    _row(errors.TopicError, 500, "Topic operation failed"),
    _row(errors.SendError, 500, "Message not stored"),
    _row(errors.PollError, 500, "Messages not read"),
    # Never out: anything of the exception; it is in the log under the request id.
    _row(errors.InternalError, 500, "Internal error"),
    # Never out: where the log is, how often it was tried, how long the queue is.
    _row(errors.ConnectionFailed, 503, "Log not reachable"),
    _row(errors.Disconnected, 503, "Log not connected"),
    _row(errors.TopicNotReady, 503, "Default topic not there yet"),
    _row(errors.ConnectionReset, 503, "Connection to the log broke"),
    _row(errors.CircuitOpen, 503, "Log left alone for a while"),
    _row(errors.Overloaded, 503, "Overloaded"),
    # Never out: where they are counted, and why not.
    _row(errors.LimitsUnavailable, 503, "Limits cannot be counted"),
    # Never out: what the time was spent on.
    _row(errors.DeadlineExceeded, 504, "Out of time"),
    # Never out: the version as it was sent. The framing of another version is not ours to follow: close.
    _row(errors.HttpVersionNotSupported, 505, "HTTP version not supported", closes=True),
))  # fmt: skip


def _items(name: str) -> dict[str, Any]:
    return {"items": {"$ref": f"#/components/schemas/{name}"}}


class Problem(msgspec.Struct):
    """An error (RFC 9457). That of an upload of lines also tells how far it came."""

    type: Annotated[str, Meta(description="Names the kind of error; nothing is served there")]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Meta(description="The route, or where there is none a name with the request id")]
    error: Annotated[str, Meta(description="The code, for programs; it stays")]
    message: Annotated[str, Meta(description="The same as `detail`")]
    request_id: Annotated[str, Meta(description="Under which the log has it")]
    retryable: Annotated[bool, Meta(description="Whether the very same request may succeed later")]
    trace_id: Annotated[str, Meta(description="Of the `traceparent` that came")] | UnsetType = UNSET
    retry_after_ms: Annotated[int, Meta(ge=0, description="When that makes sense")] | UnsetType = UNSET
    outcome: Annotated[Outcome, Meta(description="What is known of a write that failed")] | UnsetType = UNSET
    scope: Annotated[str, Meta(description="The scope that is missing")] | UnsetType = UNSET
    path: (
        Annotated[str, Meta(description="Where the fault is: a JSON path, or a header or query parameter")]
        | UnsetType
    ) = UNSET
    limit: Annotated[int, Meta(description="The bound that was passed")] | UnsetType = UNSET
    stored_lines: Annotated[int, Meta(ge=0, description="Lines that are surely stored")] | UnsetType = UNSET
    resume_line: (
        Annotated[int, Meta(ge=1, description="The line to go on with; the first has number 1")] | UnsetType
    ) = UNSET
    failed: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    partitions: Annotated[list[Any], Meta(extra_json_schema=_items("RangeOfLines"))] | UnsetType = UNSET
    errors: Annotated[list[Any], Meta(extra_json_schema=_items("RefusedLine"))] | UnsetType = UNSET
    durability: str | UnsetType | None = UNSET


def row_of(error: type[BridgeError]) -> Row:
    """The row of the class itself or of its nearest base that has one."""
    for base in error.__mro__:
        row = ROWS.get(base)
        if row is not None:
            return row
    return ROWS[errors.InternalError]


def problem_object(
    error: BridgeError, *, request_id: str, instance: str, trace_id: str | None = None, rest_ms: int = 0
) -> dict[str, object]:
    """The members alone, where the problem is told inside of something else.

    Args:
        rest_ms: as of `retry_after_ms_of`.
    """
    row = row_of(type(error))
    detail = error.detail if row.tells_detail else f"{row.title}."
    body: dict[str, object] = {
        "type": row.type,
        "title": row.title,
        "status": row.status,
        "detail": detail,
        "instance": instance,
        "error": error.code,
        "message": detail,
        "request_id": request_id,
        "retryable": error.retryable,
    }
    if trace_id is not None:
        body["trace_id"] = trace_id
    retry_after_ms = retry_after_ms_of(error, row.status, rest_ms)
    if retry_after_ms is not None:
        body["retry_after_ms"] = retry_after_ms
    if isinstance(error, LogError) and error.outcome is not None:
        body["outcome"] = error.outcome.value
    if isinstance(error, RequestError):
        if error.path is not None:
            body["path"] = error.path
        if error.limit is not None:
            body["limit"] = error.limit
    body.update(error.members)
    return body


def retry_after_ms_of(error: BridgeError, status: int, rest_ms: int) -> int | None:
    """When the same request may be sent again; None where that is not known, or makes no sense.

    Args:
        rest_ms: for so long nothing more is read from a connection that gets one of `REFUSALS`.
    """
    known = error.retry_after_ms if isinstance(error, RateLimited | LogError) else None
    if known is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        known = RETRY_AFTER_DEFAULT_MS
    return known if known is None or status not in REFUSALS else max(known, rest_ms)
