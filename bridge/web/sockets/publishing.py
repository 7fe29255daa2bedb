"""The messages that one socket publishes (shell): stored in the order they came, and each answered."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias

import structlog
from msgspec import UNSET

from bridge.clock import Deadline
from bridge.errors import BadRequest, BridgeError, InternalError, Outcome, PartitionNotFound, RequestError
from bridge.limits import WS_PUBLISH_BYTES_MAX, WS_PUBLISHES_MAX, WS_PUBLISHES_OF_ALL_MAX
from bridge.messagelog import (
    NO_HEADERS,
    Appender,
    Balanced,
    ByKey,
    Headers,
    MessageLog,
    NewMessage,
    NewRecords,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from bridge.policy.names import check_name
from bridge.telemetry.logs import REQUEST_SCOPE
from bridge.telemetry.trace_context import TraceContext, headers_with, trace_context
from bridge.telemetry.tracing import PublicationSpan, Tracing
from bridge.web.sockets.operations import OperationContext, Publish, Subscribe, base64_payload
from bridge.web.wire.bulk import message_headers
from bridge.web.wire.problems import row_of
from bridge.web.wire.submissions import placement_of, read_message

_log = structlog.get_logger("bridge.web")


class TracedPublication(NamedTuple):
    """Attributes:
    trace: goes into the headers of the message; None where it belongs to none.
    span: None where nobody collects spans.
    """

    trace: TraceContext | None = None
    span: PublicationSpan | None = None

    @property
    def scope(self) -> Context | None:
        """What is done for it runs in this; None for that of the socket."""
        return None if self.span is None else self.span.scope

    def end(self, error: BridgeError | None) -> None:
        """It is stored, or refused, or has failed."""
        if self.span is None:
            return
        if error is None:
            self.span.end(HTTPStatus.CREATED, None)
        else:
            self.span.end(row_of(type(error)).status, error.code)


#: Of what is no publication.
UNTRACED: Final = TracedPublication()


class Publication(NamedTuple):
    """One message on its way.

    Attributes:
        operation_id: as the client named it.
        messages: it alone.
        message_id: as UUIDs are written.
        is_event: it was checked as one.
        accepted_us: when it came.
        traced: ended with the answer.
    """

    operation_id: str
    topic: TopicRef
    placement: Placement
    messages: NewRecords
    message_id: str
    is_event: bool
    accepted_us: int
    deadline: Deadline
    traced: TracedPublication

    @property
    def context(self) -> OperationContext:
        """What is told of it."""
        return OperationContext("publish", self.operation_id, self.topic, None, self.traced.trace)


OnAnswer: TypeAlias = Callable[[Publication, Receipt | BridgeError], None]
"""Called once for each: it is stored, or why it is not, with its `outcome`."""


class InFlight:
    def __init__(self) -> None:
        self.count = 0


class Publisher:
    """Appends what a socket publishes, one append a publication, begun in the order they came.

    Args:
        in_flight: what all sockets have in flight together.
        answered: told of each message once.
    """

    def __init__(self, log: MessageLog, appender: Appender, in_flight: InFlight, answered: OnAnswer) -> None:
        self._log = log
        self._appender = appender
        self._in_flight = in_flight
        self._answered = answered
        # Not begun; while there are some a task begins them.
        self._coming: deque[Publication] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[int, Publication] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether enough waits for an answer already; it changes with an answer to this socket."""
        count = len(self._pending)
        return (
            count >= WS_PUBLISHES_MAX
            or self._bytes >= WS_PUBLISH_BYTES_MAX
            or (count > 0 and self._in_flight.count >= WS_PUBLISHES_OF_ALL_MAX)
        )

    def publish(self, publication: Publication) -> None:
        """Take it; the answer comes by itself."""
        self._pending[id(publication)] = publication
        self._bytes += len(publication.messages.payloads[0])
        self._in_flight.count += 1
        self._coming.append(publication)
        if len(self._coming) == 1:
            self._start(self._begin())

    async def finish(self) -> None:
        """Until all are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self, error: BridgeError) -> None:
        """There is no more time: what is not answered may be stored or not, and is told *error*."""
        for task in self._tasks:
            task.cancel()
        for publication in tuple(self._pending.values()):
            self._answer(publication, error)

    def forget_listener(self) -> None:
        """Nobody is left to be told; until then this and who listens hold each other."""
        self._answered = _unheard

    def _start(self, work: Coroutine[Any, Any, None], scope: Context | None = None) -> None:
        task = asyncio.create_task(work, name="publish", context=scope)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self) -> None:
        """A key's partition is known before the next append begins, or the next might overtake this one."""
        while self._coming:
            publication = self._coming[0]
            placement = publication.placement
            if isinstance(placement, ByKey):
                with suppress(Exception):  # The append looks again, and answers for it.
                    count = await self._log.partitions_count(publication.topic, deadline=publication.deadline)
                    placement = ToPartition(partition_of_key(placement.key, count))
            self._start(self._append(publication, placement), publication.traced.scope)
            self._coming.popleft()

    async def _append(self, publication: Publication, placement: Placement) -> None:
        topic, messages, deadline = publication.topic, publication.messages, publication.deadline
        answer: Receipt | BridgeError
        try:
            try:
                answer = await self._appender.append(topic, placement, messages, deadline=deadline)
            except PartitionNotFound:
                if placement == publication.placement:
                    raise
                # Partitions were taken away since their number was last looked at; nothing was written.
                answer = await self._appender.append(
                    topic, publication.placement, messages, deadline=deadline
                )
        except BridgeError as error:
            answer = error
        except Exception:  # noqa: BLE001 (the client must hear of it, and the socket goes on)
            _log.exception("publish_failed", messages=1)
            answer = InternalError(outcome=Outcome.UNKNOWN)
        self._answer(publication, answer)

    def _answer(self, publication: Publication, answer: Receipt | BridgeError) -> None:
        if self._pending.pop(id(publication), None) is None:
            return
        self._bytes -= len(publication.messages.payloads[0])
        self._in_flight.count -= 1
        publication.traced.end(answer if isinstance(answer, BridgeError) else None)
        self._answered(publication, answer)


def _unheard(_: Publication, __: Receipt | BridgeError) -> None:
    """The socket has ended."""


_HEADER: Final = "message-header-"


def topic_of(operation: Publish | Subscribe, default: TopicRef) -> TopicRef:
    """The topic that *operation* names, or the default one where it names none.

    Raises:
        BadRequest: if none may be called so.
    """
    if operation.stream is None or operation.topic is None:
        return default
    for kind, name in (("stream", operation.stream), ("topic", operation.topic)):
        try:
            check_name(name, kind=kind)
        except BadRequest as error:
            error.path = f"$.{kind}"
            raise
    return TopicRef(operation.stream, operation.topic)


def publication_of(
    asked: Publish, topic: TopicRef, *, accepted_us: int, deadline: Deadline, traced: TracedPublication
) -> Publication:
    """The message that *asked* is about.

    Raises:
        SerializationError: if its event is none; `path` says where.
        BadRequest: if it is empty, or its key or headers are out of bounds.
    """
    placement, trace = _placement(asked), traced.trace
    if asked.event is not UNSET:
        # As the body of a POST, whose paths are then right here as well.
        body = b'{"event":%b}' % bytes(asked.event)
        submission = read_message(body, headers_with(trace, NO_HEADERS))
        message_id, messages = submission.event_ids[0], submission.messages
    else:
        made = uuid.uuid4()
        message_id = str(made)
        messages = NewRecords.of((NewMessage(_payload(asked), made.int, _headers(asked, trace)),))
    return Publication(
        operation_id=asked.id,
        topic=topic,
        placement=placement,
        messages=messages,
        message_id=message_id,
        is_event=asked.event is not UNSET,
        accepted_us=accepted_us,
        deadline=deadline,
        traced=traced,
    )


def _placement(asked: Publish) -> Placement:
    if asked.partition_id is not None:
        return ToPartition(asked.partition_id)
    if asked.partition_key is not None:
        return placement_of(asked.partition_key, path="$.partition_key")
    return Balanced()


def _payload(asked: Publish) -> bytes:
    if asked.payload is not UNSET:
        return bytes(asked.payload)
    if asked.text is not UNSET:
        path, payload = "$.text", asked.text.encode()
    else:
        path, payload = "$.payload_base64", base64_payload(asked.payload_base64 or "")
    if not payload:
        raise BadRequest("The message is empty; it has at least one byte.", path=path, limit=1)
    return payload


def _headers(asked: Publish, trace: TraceContext | None) -> Headers:
    try:
        named = message_headers((_HEADER + name, value) for name, value in (asked.headers or {}).items())
    except RequestError as error:
        error.path = "$.headers"
        raise
    return headers_with(trace, named)


def traced_publication(asked: Publish, tracing: Tracing) -> TracedPublication:
    """What *asked* says of a trace, and the span of it that begins now."""
    trace = _trace(asked) if tracing.is_on else None
    if tracing.spans is None:
        return TracedPublication(trace)
    span, asks = tracing.spans.publish(trace), REQUEST_SCOPE.get()
    if asks is not None:
        request_id, client, _ = asks
        span.scope.run(REQUEST_SCOPE.set, (request_id, client, span.context.trace_id))
    return TracedPublication(span.context, span)


def _trace(asked: Publish) -> TraceContext | None:
    if asked.traceparent is None:
        return None
    return trace_context((asked.traceparent,), (asked.tracestate,) if asked.tracestate else ())
