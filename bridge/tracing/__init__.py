"""Spans of requests and of what they wait for, for OpenTelemetry (shell); loaded only where spans are exported."""

from bridge.tracing.appends import TracedAppender, TracedBatches
from bridge.tracing.export import open_export
from bridge.tracing.spans import Spans

__all__ = ("Spans", "TracedAppender", "TracedBatches", "open_export")
