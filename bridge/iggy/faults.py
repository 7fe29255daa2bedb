"""What the SDK's error texts mean (pure). The only place that reads them.

The SDK raises `RuntimeError` with the server's or its own sentence and no code; over TCP the names and ids in the
sentence are empty or 0. So rows are matched in order on how a text begins and ends. `tests/iggy/test_faults_live.py`
makes every row that can be made on a live server.

For a write the rule of `outcome` is: UNKNOWN for whatever was handed over, unless the text proves that it was refused
before it was written. `Cannot establish connection` proves nothing: the SDK says so too when it had sent the request,
lost the connection, and could not make a new one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from bridge.errors import (
    AlreadyExists,
    BadRequest,
    BridgeError,
    ConnectionFailed,
    ConnectionReset,
    Disconnected,
    LogError,
    NotFound,
    Outcome,
    Overloaded,
    PartitionNotFound,
    PayloadTooLarge,
    PollError,
    SendError,
    StreamError,
    StreamNotFound,
    TopicError,
    TopicNotFound,
)
from bridge.limits import MESSAGE_PAYLOAD_BYTES_MAX


class Operation(StrEnum):
    """What was asked; names the error for what nobody can explain."""

    STREAM = "stream"
    TOPIC = "topic"
    SEND = "send"
    POLL = "poll"


class Verdict(Enum):
    """What a text says has happened."""

    STREAM_MISSING = auto()
    TOPIC_MISSING = auto()
    PARTITION_MISSING = auto()
    #: One of the three; the session looks which.
    PLACE_MISSING = auto()
    #: There is no stored offset: for a deletion as good as done.
    OFFSET_MISSING = auto()
    EXISTS = auto()
    OFFSET_BEYOND_END = auto()
    TOO_LARGE = auto()
    MALFORMED = auto()
    FULL = auto()
    #: A partition keeps so many consumers' offsets and no more.
    OFFSETS_FULL = auto()
    #: The bridge's own user may not do this.
    FORBIDDEN = auto()
    #: The session of the connection is gone; the request was not looked at.
    LOGGED_OUT = auto()
    CREDENTIALS = auto()
    OTHER_PROTOCOL = auto()
    UNREACHABLE = auto()
    DOWN = auto()
    BROKEN = auto()
    NOT_ACCEPTED = auto()
    NOT_COMMITTED = auto()
    UNEXPLAINED = auto()


class ErrorText(NamedTuple):
    """Texts that begin with *start* and end with *end* mean *verdict*."""

    start: str
    verdict: Verdict
    end: str = ""


ROWS: tuple[ErrorText, ...] = (
    ErrorText("Stream with ", Verdict.STREAM_MISSING, "was not found."),
    ErrorText("Stream with ", Verdict.EXISTS, "already exists."),
    ErrorText("Topic with ", Verdict.TOPIC_MISSING, "was not found."),
    ErrorText("Topic with ", Verdict.EXISTS, "already exists."),
    ErrorText("Partition with ID", Verdict.PARTITION_MISSING, "was not found."),
    ErrorText("Resource with key", Verdict.PLACE_MISSING, "was not found."),
    ErrorText("Consumer offset for consumer with ID", Verdict.OFFSET_MISSING, "was not found."),
    ErrorText("Consumer offset limit reached", Verdict.OFFSETS_FULL),
    ErrorText("Invalid offset", Verdict.OFFSET_BEYOND_END),
    ErrorText("Too big message payload", Verdict.TOO_LARGE),
    ErrorText("Too big headers payload", Verdict.MALFORMED),
    ErrorText("Invalid message payload length", Verdict.MALFORMED),
    ErrorText("Invalid header", Verdict.MALFORMED),
    ErrorText("Invalid messages count", Verdict.MALFORMED),
    ErrorText("Invalid message timestamp delta", Verdict.MALFORMED),
    ErrorText("Too many partitions", Verdict.MALFORMED),
    ErrorText("Max topic size cannot be lower", Verdict.MALFORMED),
    ErrorText("Too many streams", Verdict.FULL),
    ErrorText("Too many topics", Verdict.FULL),
    ErrorText("Unauthorized", Verdict.FORBIDDEN),
    ErrorText("Unauthenticated", Verdict.LOGGED_OUT),
    ErrorText("Stale client", Verdict.LOGGED_OUT),
    ErrorText("Invalid credentials", Verdict.CREDENTIALS),
    ErrorText("Invalid username", Verdict.CREDENTIALS),
    ErrorText("Invalid password", Verdict.CREDENTIALS),
    ErrorText("Invalid personal access token", Verdict.CREDENTIALS),
    ErrorText("Personal access token", Verdict.CREDENTIALS),
    ErrorText("Incompatible binary protocol version", Verdict.OTHER_PROTOCOL),
    ErrorText("Cannot establish connection", Verdict.UNREACHABLE),
    ErrorText("Not connected", Verdict.DOWN),
    ErrorText("Client shutdown", Verdict.BROKEN),
    ErrorText("Disconnected", Verdict.BROKEN),
    ErrorText("TCP error", Verdict.BROKEN),
    ErrorText("Empty response", Verdict.BROKEN),
    # What the SDK cannot read: seen of nodes that have just lost their leader. No request of ours is malformed.
    ErrorText("Invalid format", Verdict.BROKEN),
    ErrorText("Request transiently not accepted", Verdict.NOT_ACCEPTED),
    ErrorText("Request transiently not committed", Verdict.NOT_COMMITTED),
    ErrorText("Request already applied", Verdict.NOT_COMMITTED),
)

_UNEXPLAINED: dict[Operation, type[LogError]] = {
    Operation.STREAM: StreamError,
    Operation.TOPIC: TopicError,
    Operation.SEND: SendError,
    Operation.POLL: PollError,
}

_REQUEST_ERRORS: Mapping[Verdict, Callable[[], BridgeError]] = {
    Verdict.STREAM_MISSING: StreamNotFound,
    Verdict.TOPIC_MISSING: TopicNotFound,
    Verdict.PARTITION_MISSING: PartitionNotFound,
    Verdict.PLACE_MISSING: NotFound,
    Verdict.OFFSET_MISSING: NotFound,
    Verdict.EXISTS: AlreadyExists,
    Verdict.OFFSET_BEYOND_END: lambda: BadRequest("The offset is beyond the newest message.", path="offset"),
    Verdict.TOO_LARGE: lambda: PayloadTooLarge("A message is too large.", limit=MESSAGE_PAYLOAD_BYTES_MAX),
    Verdict.MALFORMED: lambda: BadRequest("The Iggy server does not take this request."),
    Verdict.FULL: lambda: BadRequest("The Iggy server takes no more of these: its limit is reached."),
    Verdict.OFFSETS_FULL: lambda: BadRequest(
        "The Iggy server keeps no more consumers' offsets of this partition: its limit is reached."
    ),
}
_NOT_WRITTEN: Mapping[Verdict, type[LogError]] = {
    Verdict.CREDENTIALS: ConnectionFailed,
    Verdict.OTHER_PROTOCOL: ConnectionFailed,
    Verdict.LOGGED_OUT: Disconnected,
    Verdict.DOWN: Disconnected,
    Verdict.NOT_ACCEPTED: Overloaded,
}
_UNKNOWN: Mapping[Verdict, type[LogError]] = {
    Verdict.UNREACHABLE: ConnectionFailed,
    Verdict.BROKEN: ConnectionReset,
    Verdict.NOT_COMMITTED: ConnectionReset,
}

#: The request had no fault of its own, and the connection is not to be used again.
_LOST = frozenset(
    {
        Verdict.LOGGED_OUT,
        Verdict.CREDENTIALS,
        Verdict.OTHER_PROTOCOL,
        Verdict.UNREACHABLE,
        Verdict.DOWN,
        Verdict.BROKEN,
    }
)
#: Surely not written, and the very same request may pass a moment later.
_REFUSED_FOR_NOW = frozenset({Verdict.LOGGED_OUT, Verdict.DOWN, Verdict.NOT_ACCEPTED})


@dataclass(frozen=True, slots=True)
class SdkFailure:
    """One failure of the SDK, understood.

    Attributes:
        error: what the caller gets; never holds the SDK's text.
        connection_lost: the client that said it must not be used again.
        repeatable: the request may be made again within its deadline: it was a read, or surely did not happen.
    """

    verdict: Verdict
    error: BridgeError
    connection_lost: bool
    repeatable: bool


def explain(text: str, operation: Operation, *, write: bool) -> SdkFailure:
    """What the SDK's *text* means for *operation*."""
    verdict = next(
        (row.verdict for row in ROWS if text.startswith(row.start) and text.endswith(row.end)),
        Verdict.UNEXPLAINED,
    )
    lost = verdict in _LOST
    repeatable = verdict in _REFUSED_FOR_NOW or (not write and (lost or verdict is Verdict.NOT_COMMITTED))
    return SdkFailure(verdict, _error(verdict, operation, write=write), lost, repeatable)


def unexplained(operation: Operation, *, write: bool) -> LogError:
    """The error for what nobody can explain."""
    return _UNEXPLAINED[operation](outcome=Outcome.UNKNOWN if write else None)


class Telling:
    """Whatever fails in here, *outcome* is what became of the write that it is a part of.

    A class, since each send passes one: a generator by `contextlib` takes 1.1 us, this 0.3 (measured).
    """

    __slots__ = ("_outcome",)

    def __init__(self, outcome: Outcome | None) -> None:
        self._outcome = outcome

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, LogError):
            error.outcome = self._outcome


def _error(verdict: Verdict, operation: Operation, *, write: bool) -> BridgeError:
    if verdict in _REQUEST_ERRORS:
        return _REQUEST_ERRORS[verdict]()
    unknown = Outcome.UNKNOWN if write else None
    not_written = Outcome.NOT_WRITTEN if write else None
    if verdict is Verdict.FORBIDDEN:
        # Neither the caller nor time will change it.
        return _UNEXPLAINED[operation](
            "The bridge's user may not do this on the Iggy server.", outcome=not_written
        )
    if verdict in _NOT_WRITTEN:
        return _NOT_WRITTEN[verdict](outcome=not_written)
    if verdict in _UNKNOWN:
        return _UNKNOWN[verdict](outcome=unknown)
    return unexplained(operation, write=write)
