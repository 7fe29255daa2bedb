"""Where spans go (shell): to a collector over OTLP, in batches, by a thread of the SDK.

All of it is set as every program with OpenTelemetry is: OTEL_EXPORTER_OTLP_ENDPOINT and its like, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import bridge
from bridge.errors import ConfigError
from bridge.limits import TRACE_EXPORT_TOLD_INTERVAL_S
from bridge.telemetry.families import Counter
from bridge.tracing.spans import Spans

_log = structlog.get_logger("bridge.tracing")
_UNNAMED: Final = "unknown_service"


class CountedExporter(SpanExporter):
    """Another exporter, whose failures are counted, and told once in a while without its address.

    Args:
        failures: counts exports that failed; their spans are lost.
    """

    def __init__(self, exporter: SpanExporter, failures: Counter) -> None:
        self._exporter = exporter
        self._failures = failures
        self._tell_again_s = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 (of any transport; what it says may hold an address)
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        else:
            reason = "refused or not reachable"
        if result is not SpanExportResult.SUCCESS:
            self._failures.add()
            now_s = time.monotonic()
            if now_s >= self._tell_again_s:
                self._tell_again_s = now_s + TRACE_EXPORT_TOLD_INTERVAL_S
                _log.warning("spans_not_exported", spans=len(spans), reason=reason)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def open_export(*, system: str, failures: Counter) -> tuple[Spans, Callable[[], Coroutine[Any, Any, None]]]:
    """Spans that are exported, and what sends the last of them and ends it.

    Args:
        system: as of `Spans`.
        failures: as of `CountedExporter`.

    Raises:
        ConfigError: if what the OTEL_ variables say cannot be used.
    """
    # Its lines name the address of the collector, each time.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        provider = _provider(failures)
    except ValueError as error:
        # What it says may hold a value, and one of them is a secret (OTEL_EXPORTER_OTLP_HEADERS).
        raise ConfigError(("TRACING: one of the OTEL_ variables cannot be used.",)) from error

    async def close() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            provider.shutdown()
            # The loop may have ended, where nobody had the patience.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        # A thread that the end of the process does not wait for: a collector may be slow.
        Thread(target=shut_down, name="last-spans", daemon=True).start()
        await ended.wait()

    return Spans(provider.get_tracer("bridge", bridge.__version__), system=system), close


def _provider(failures: Counter) -> TracerProvider:
    resource = Resource.create({SERVICE_VERSION: bridge.__version__})
    if str(resource.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: "bridge"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(CountedExporter(OTLPSpanExporter(), failures)))
    return provider
