"""Everything that can go wrong, by what the receiver does next (leaf, pure).

    BridgeError
    |- ConfigError                      exit 78: the operator changes the configuration
    |- StartupError                     exit 69: the operator looks at what cannot be reached
    |- RequestError                     the caller changes the request; never retried as it is
    |  |- BadRequest  SerializationError
    |  |- Unauthorized  Forbidden -> InsufficientScope  SigningKeysUnavailable  AuditUnavailable(retry later)  TooManyFailedKeys(retry later)  RateLimited(retry later)
    |  |- NotFound -> StreamNotFound  TopicNotFound  PartitionNotFound
    |  |- AlreadyExists
    |  |- MethodNotAllowed  NotAcceptable  RequestBodyTimeout  PayloadTooLarge  UnsupportedMediaType
    |  `- MisdirectedRequest  UpgradeRequired  HttpVersionNotSupported
    `- LogError                         the log did not do it, or did not say whether it did
       |- ConnectionFailed  Disconnected  ConnectionReset  CircuitOpen  Overloaded   retry after a while
       |- DeadlineExceeded  TopicNotReady
       `- StreamError  TopicError  SendError  PollError  InternalError               what nobody expected

A class is one condition that a caller acts on. Its docstring is the sentence an operator reads. Which HTTP status
each gets stands in one table, `bridge/web/wire/problems.py`; a test holds the two together.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Outcome(StrEnum):
    """What is known of a write that was not acknowledged."""

    NOT_WRITTEN = "not_written"
    #: The write was handed over and nothing came back: it may be in the log, or may still get there.
    UNKNOWN = "unknown"


class BridgeError(Exception):
    """Something the bridge itself raised; the base of all its errors.

    Attributes:
        code: stable word for machines, the `error` of an answer.
        retryable: whether the very same request may succeed later.
        is_refusal: whether the caller was not let in, or has no right to what was asked.
    """

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    is_refusal: bool = False

    def __init__(self, detail: str = "") -> None:
        #: One sentence for the person who reads the answer: no internals, no address, no raw input.
        self.detail = detail or (type(self).__doc__ or "").partition("\n")[0]
        #: What an answer tells besides: how far a long body came. As safe to show as the detail.
        self.members: Mapping[str, object] = {}
        super().__init__(self.detail)


class ConfigError(BridgeError):
    """The configuration cannot be used; every fault of it is listed."""

    code = "config_error"

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class StartupError(BridgeError):
    """Something the bridge needs cannot be reached or taken: the log, its lock, or the port."""

    code = "unavailable"


# --- the caller's part ------------------------------------------------------------------------------------------


class RequestError(BridgeError):
    """The request cannot be served as it is.

    Attributes:
        path: JSON path of the fault (`$.events[3].id`), or the name of the header or query parameter.
        limit: the bound that was passed, where one was.
    """

    code = "bad_request"

    def __init__(self, detail: str = "", *, path: str | None = None, limit: int | None = None) -> None:
        super().__init__(detail)
        self.path = path
        self.limit = limit


class BadRequest(RequestError):
    """The request breaks a rule of the contract."""


class SerializationError(RequestError):
    """The body is not the JSON that this route takes."""

    code = "serialization_error"


class Unauthorized(RequestError):
    """The API key is missing or wrong."""

    code = "unauthorized"
    is_refusal = True


class Forbidden(RequestError):
    """This is not allowed."""

    code = "forbidden"
    is_refusal = True


class InsufficientScope(Forbidden):
    """Whoever calls sees what this is about, and has not the scope that it needs.

    Attributes:
        scope: the word for it.
    """

    code = "insufficient_scope"

    def __init__(self, *, scope: str) -> None:
        super().__init__(f"The caller does not have the scope '{scope}' for this.")
        self.scope = scope
        self.members = {"scope": scope}


class NotFound(RequestError):
    """There is nothing here, or nothing that the caller may know of: both are told in the same words."""

    code = "not_found"

    @classmethod
    def to_the_caller(cls) -> "NotFound":
        """Of what the caller has no right to see, whether it is there or not."""
        error = cls()
        error.is_refusal = True
        return error


class StreamNotFound(NotFound):
    """The stream does not exist."""


class TopicNotFound(NotFound):
    """The topic does not exist."""


class PartitionNotFound(NotFound):
    """The topic has no such partition."""


class MethodNotAllowed(RequestError):
    """This resource does not answer to that method."""

    code = "method_not_allowed"


class NotAcceptable(RequestError):
    """This resource has no form that the request accepts."""

    code = "not_acceptable"


class RequestBodyTimeout(RequestError):
    """The body did not arrive in time."""

    code = "request_timeout"
    retryable = True


class AlreadyExists(RequestError):
    """Something of that name exists already."""

    code = "already_exists"


class PayloadTooLarge(RequestError):
    """The request or a message in it is larger than allowed."""

    code = "payload_too_large"


class TargetTooLong(RequestError):
    """The request line is too long."""

    code = "uri_too_long"


class HeaderTooLarge(RequestError):
    """There are too many header fields, or one is too long."""

    code = "header_fields_too_large"


class UnsupportedMediaType(RequestError):
    """The body's type or encoding is not one this route takes."""

    code = "unsupported_media_type"


class MisdirectedRequest(RequestError):
    """The request names another server than this one."""

    code = "misdirected_request"


class UpgradeRequired(RequestError):
    """This resource speaks WebSocket only."""

    code = "upgrade_required"


class HttpVersionNotSupported(RequestError):
    """Only HTTP/1.0 and HTTP/1.1 are spoken here."""

    code = "http_version_not_supported"


class SigningKeysUnavailable(RequestError):
    """Tokens cannot be checked now: the identity provider's keys are not to be had."""

    code = "signing_keys_unavailable"
    retryable = True


class AuditUnavailable(RequestError):
    """Changes are refused: the audit log cannot be written."""

    code = "audit_unavailable"
    retryable = True


class RateLimited(RequestError):
    """Too many requests from this address.

    Attributes:
        retry_after_ms: when the next request will be let through.
    """

    code = "rate_limited"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after_ms: int) -> None:
        super().__init__(detail)
        self.retry_after_ms = retry_after_ms


class TooManyFailedKeys(RateLimited):
    """Too many wrong API keys from this address."""

    code = "too_many_requests"


# --- the log's part ---------------------------------------------------------------------------------------------


class LogError(BridgeError):
    """The log did not do what was asked.

    Attributes:
        outcome: for a write, what is known of it; None for a read.
        retry_after_ms: when trying again makes sense, where that is known.
    """

    code = "internal_error"

    def __init__(
        self, detail: str = "", *, outcome: Outcome | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.retry_after_ms = retry_after_ms


class ConnectionFailed(LogError):
    """The log cannot be reached."""

    code = "connection_failed"
    retryable = True


class Disconnected(LogError):
    """The connection to the log is down; it is being made again."""

    code = "disconnected"
    retryable = True


class TopicNotReady(LogError):
    """The default topic is not there; it is being made."""

    #: As of a log that is not there yet: callers do the same about it.
    code = "disconnected"
    retryable = True


class ConnectionReset(LogError):
    """The connection to the log broke during the request."""

    code = "connection_reset"
    retryable = True


class CircuitOpen(LogError):
    """The log failed several times in a row; requests are refused for a while."""

    code = "circuit_open"
    retryable = True


class Overloaded(LogError):
    """More is waiting than the bridge may hold."""

    code = "overloaded"
    retryable = True


class LimitsUnavailable(LogError):
    """What replicas count together cannot be counted, and is refused meanwhile."""

    code = "limits_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Limits cannot be counted now.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=1000)


class DeadlineExceeded(LogError):
    """The time for this request is up."""

    code = "timeout"
    retryable = True


class StreamError(LogError):
    """An operation on a stream failed."""

    code = "stream_error"


class TopicError(LogError):
    """An operation on a topic failed."""

    code = "topic_error"


class SendError(LogError):
    """The message could not be stored."""

    code = "send_error"


class PollError(LogError):
    """Messages could not be read."""

    code = "poll_error"


class InternalError(LogError):
    """Something failed that should not have."""


def let_go(error: BaseException) -> None:
    """Drop the tracebacks of *error* and of every error it came from: it goes on, its frames do not.

    A traceback holds every frame that the error has passed, and with them the body or the page that each of these had in
    its hands. Where one of the frames holds the error (a future that was awaited, a stream that was told why it ends)
    that is a circle, which only the garbage collector finds: 25 clients that left in the middle of a page of 20 MB held
    475 MB. To be called once nobody is to be shown the way any more.
    """
    left = [error]
    met: set[int] = set()
    while left:
        one = left.pop()
        if id(one) in met:
            continue
        met.add(id(one))
        one.__traceback__ = None
        left += [each for each in (one.__cause__, one.__context__) if each is not None]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
