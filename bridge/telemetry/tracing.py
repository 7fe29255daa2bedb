"""What becomes of the traces that requests belong to (leaf): kept in messages; spans, where somebody collects them."""

from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from bridge.telemetry.trace_context import TraceContext


class RequestSpan(Protocol):
    """The span of one request, from its head to its answer."""

    @property
    def context(self) -> TraceContext:
        """The parent of all that follows from the request."""

    def end(self, status: int, error_code: str | None) -> None:
        """The answer is there; called once.

        Args:
            status: 499 where the client left before it.
            error_code: of what the request was refused for, or failed by.
        """


class PublicationSpan(RequestSpan, Protocol):
    """The span of one message that a socket publishes, from its frame to its receipt.

    It ends with the status that a POST of the message would have been answered with.
    """

    @property
    def scope(self) -> Context:
        """What is done for the publication runs in this; of the socket's own otherwise."""


class RequestSpans(Protocol):
    """Makes the spans of requests, and of what is asked on sockets."""

    def begin(self, method: str, route: str, parent: TraceContext | None) -> RequestSpan:
        """A request came; its span is the current one of the task that calls."""

    def publish(self, parent: TraceContext | None) -> PublicationSpan:
        """A socket publishes a message.

        Args:
            parent: as the message names it; without one it begins a trace, which is linked with the socket's.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Attributes:
    is_on: traces that callers name are read, logged, and kept in messages.
    spans: None where none are made.
    """

    is_on: bool = True
    spans: RequestSpans | None = None
