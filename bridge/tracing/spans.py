"""Spans as OpenTelemetry has them (shell).

A request has one, named by its method and route, and so has each message that a socket publishes; below it one for each append, with the wait for its batch and the write
of that, and one for each read. Names and attributes are those of the semantic conventions for HTTP and messaging.
"""

import asyncio
import time
from contextvars import ContextVar, copy_context
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from bridge.limits import SPAN_READS_MAX
from bridge.messagelog import Receipt, TopicRef
from bridge.telemetry.trace_context import TraceContext, trace_context

# The methods that a label may show (semantic conventions for HTTP spans); others are any text.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_UNMATCHED: Final = "unmatched"
_SERVER_ERROR: Final = 500
_NS_PER_S: Final = 1_000_000_000


class _Asked:
    """What a caller asked for: the spans of its appends and reads are below this one."""

    __slots__ = ("context", "reads_left", "span", "task")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.context = _named(span.get_span_context())
        # What others do in tasks that were begun from here, for many readers at once, is none of this request.
        self.task = asyncio.current_task()
        self.reads_left = SPAN_READS_MAX

    def end(self, status: int, error_code: str | None) -> None:
        if error_code is not None:
            self.span.set_attribute("error.type", error_code)
        if status >= _SERVER_ERROR:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


_CURRENT: Final[ContextVar[_Asked | None]] = ContextVar("asked", default=None)


class _RequestSpan:
    """As `telemetry.tracing.RequestSpan`."""

    __slots__ = ("_asked", "context")

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self.context = asked.context
        _CURRENT.set(asked)

    def end(self, status: int, error_code: str | None) -> None:
        self._asked.span.set_attribute("http.response.status_code", status)
        self._asked.end(status, error_code)


class _PublicationSpan:
    """As `telemetry.tracing.PublicationSpan`."""

    __slots__ = ("context", "end", "scope")

    def __init__(self, asked: _Asked) -> None:
        self.context = asked.context
        self.end = asked.end
        self.scope = copy_context()
        self.scope.run(_CURRENT.set, asked)


class AppendSpan:
    """One append, from its call to its receipt; made by `Spans.append`."""

    __slots__ = ("_begun_ns", "_key", "_span", "_spans", "_topic")

    def __init__(self, spans: "Spans", parent: _Asked, topic: TopicRef, messages_count: int) -> None:
        self._spans = spans
        self._topic = topic
        # Under which the batch that is sealed finds it.
        self._key = parent.context.headers()["traceparent"]
        self._begun_ns = time.time_ns()
        self._span = spans.child(
            parent.span, f"send {_destination(topic)}", topic, "send", SpanKind.PRODUCER, self._begun_ns
        )
        self._span.set_attribute("messaging.batch.message_count", messages_count)
        spans.sealed_ns[self._key] = None

    def stored(self, receipt: Receipt) -> None:
        """It has its receipt."""
        span = self._span
        span.set_attribute("messaging.destination.partition.id", str(receipt.partition_id))
        if receipt.offset is not None:
            span.set_attribute("messaging.message.offset", receipt.offset)
        self._end()

    def failed(self, error: BaseException) -> None:
        """It has none."""
        self._span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
        self._span.set_status(Status(StatusCode.ERROR))
        self._end()

    def _end(self) -> None:
        now_ns, sealed_ns = time.time_ns(), self._spans.sealed_ns.pop(self._key, None)
        child, topic = self._spans.child, self._topic
        waited = child(self._span, "gather", topic, None, SpanKind.INTERNAL, self._begun_ns)
        waited.end(sealed_ns or now_ns)
        if sealed_ns is not None:
            child(self._span, "write", topic, None, SpanKind.CLIENT, sealed_ns).end(now_ns)
        self._span.end(now_ns)


class Spans:
    """As `telemetry.tracing.RequestSpans`, and the spans below those.

    Args:
        system: what stands behind the bridge, "iggy" or "local".

    Attributes:
        sealed_ns: of appends that wait, by the trace in their messages: when their batch was sealed; None before.
    """

    def __init__(self, tracer: Tracer, *, system: str) -> None:
        self._tracer = tracer
        self._system = system
        self.sealed_ns: dict[str, int | None] = {}

    def begin(self, method: str, route: str, parent: TraceContext | None) -> _RequestSpan:
        known = method if method in _METHODS else "HTTP"
        attributes = {"http.request.method": known if known == method else "_OTHER"}
        if route != _UNMATCHED:
            attributes["http.route"] = route
        span = self._tracer.start_span(
            known if route == _UNMATCHED else f"{known} {route}",
            context=_context_of(parent),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        return _RequestSpan(_Asked(span))

    def publish(self, parent: TraceContext | None) -> _PublicationSpan:
        socket = _CURRENT.get()
        span = self._tracer.start_span(
            "publish /ws",
            context=_context_of(parent),
            kind=SpanKind.SERVER,
            attributes={"http.route": "/ws", "network.protocol.name": "websocket"},
            links=() if socket is None else (Link(socket.span.get_span_context()),),
        )
        return _PublicationSpan(_Asked(span))

    def append(self, topic: TopicRef, messages_count: int) -> AppendSpan | None:
        """The span of an append that begins now; None where no request that is traced waits for it."""
        current = _CURRENT.get()
        if current is None or not current.span.is_recording():
            return None
        return AppendSpan(self, current, topic, messages_count)

    def batch_sealed(self, traceparents: set[Any]) -> None:
        """What waited with these traces goes to the log now."""
        now_ns = time.time_ns()
        for key in traceparents & self.sealed_ns.keys():
            self.sealed_ns[key] = now_ns

    def read(self, stream: str, topic: str, messages_count: int, seconds: float) -> None:
        """A read was answered just now; it belongs to the request whose own task waited for it."""
        current = _CURRENT.get()
        if (
            current is None
            or not current.reads_left
            or current.task is not asyncio.current_task()
            or not current.span.is_recording()
        ):
            return
        current.reads_left -= 1
        now_ns, place = time.time_ns(), TopicRef(stream, topic)
        span = self.child(
            current.span,
            f"poll {_destination(place)}",
            place,
            "receive",
            SpanKind.CLIENT,
            now_ns - round(seconds * _NS_PER_S),
        )
        span.set_attribute("messaging.batch.message_count", messages_count)
        span.end(now_ns)

    def child(
        self, parent: Span, name: str, topic: TopicRef, operation: str | None, kind: SpanKind, begun_ns: int
    ) -> Span:
        """A span below *parent*."""
        attributes = {"messaging.system": self._system, "messaging.destination.name": _destination(topic)}
        if operation is not None:
            attributes["messaging.operation.type"] = operation
        return self._tracer.start_span(
            name,
            context=set_span_in_context(parent, Context()),
            kind=kind,
            attributes=attributes,
            start_time=begun_ns,
        )


def _destination(topic: TopicRef) -> str:
    return f"{topic.stream}/{topic.topic}"


def _context_of(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    found = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16)),
        trace_state=TraceState.from_header([parent.state]) if parent.state else None,
    )
    return set_span_in_context(NonRecordingSpan(found), Context())


def _named(context: SpanContext) -> TraceContext:
    """*context* as it is written; within the bounds of what callers may write."""
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    named = trace_context((parent,), (context.trace_state.to_header(),))
    if named is None:
        raise RuntimeError("a tracer made a span without ids")
    return named
