"""What becomes of the traces that requests belong to (leaf): kept in messages; spans, where somebody collects them."""

from dataclasses import dataclass
from typing import Protocol

from bridge.telemetry.trace_context import TraceContext


class RequestSpan(Protocol):
    """The span of one request, from its head to its answer."""

    @property
    def context(self) -> TraceContext:
        """The parent of all that follows from the request."""
        ...

    def end(self, status: int, error_code: str | None) -> None:
        """
        The answer is there; called once.

        Args:
            status: 499 where the client left before it.
            error_code: of what the request was refused for, or failed by.
        """
        ...


class RequestSpans(Protocol):
    """Makes the spans of requests."""

    def begin(self, method: str, route: str, parent: TraceContext | None) -> RequestSpan:
        """A request came; its span is the current one of the task that calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """
    Attributes:
        is_on: traces that callers name are read, logged, and kept in messages.
        spans: None where none are made.
    """

    is_on: bool = True
    spans: RequestSpans | None = None
