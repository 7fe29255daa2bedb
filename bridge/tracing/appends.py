"""Appends with their spans (shell): around the appender, who waits; behind it, when a batch was sealed."""

from collections.abc import Sequence

from bridge.clock import Deadline
from bridge.flow.appending.batching import BatchLog
from bridge.messagelog import (
    Appender,
    Messages,
    NewMessage,
    NewRecords,
    OpenBatch,
    Placement,
    Receipt,
    TopicRef,
)
from bridge.telemetry.trace_context import TRACEPARENT
from bridge.tracing.spans import Spans


class TracedAppender:
    """An `Appender` that makes a span of each append of a traced request."""

    def __init__(self, appender: Appender, spans: Spans) -> None:
        self._appender = appender
        self._spans = spans

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`."""
        span = self._spans.append(topic, len(messages))
        if span is None:
            return await self._appender.append(topic, placement, messages, deadline=deadline)
        try:
            receipt = await self._appender.append(topic, placement, messages, deadline=deadline)
        except BaseException as error:
            span.failed(error)
            raise
        span.stored(receipt)
        return receipt


class TracedBatches:
    """The log of a batching appender, which tells when a batch goes to it."""

    def __init__(self, log: BatchLog, spans: Spans) -> None:
        self._log = log
        self._spans = spans
        self.partitions_count = log.partitions_count

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Messages, *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`."""
        if isinstance(messages, OpenBatch):
            messages = _TracedBatch(messages, self._spans)
        return await self._log.append(topic, placement, messages, deadline=deadline)


class _TracedBatch(OpenBatch):
    __slots__ = ("_batch", "_spans")

    def __init__(self, batch: OpenBatch, spans: Spans) -> None:
        self._batch = batch
        self._spans = spans

    @property
    def size_bytes(self) -> int:
        return self._batch.size_bytes

    def seal(self) -> NewRecords:
        records = self._batch.seal()
        self._spans.batch_sealed({headers.get(TRACEPARENT) for headers in records.headers.values()})
        return records

    def reopen(self) -> None:
        self._batch.reopen()
