"""Which trace an observation stands for (pure): exemplars, as OpenMetrics has them."""

from collections.abc import Mapping
from typing import Final

import msgspec

from bridge.clock import Clock
from bridge.telemetry.trace_context import TRACEPARENT, TraceContext, trace_context

#: The media type whose text has exemplars.
OPENMETRICS: Final = "application/openmetrics-text"


class Traced(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """Attributes:
    at_s: when, seconds since the Unix epoch; first, so that the greater one is the newer.
    trace_id: 32 hexadecimal digits.
    """

    at_s: float
    trace_id: str


def traced(trace: TraceContext | None, clock: Clock) -> Traced | None:
    """What was observed now belongs to *trace*; None where there is none, or nobody has kept it."""
    return Traced(clock.wall_s(), trace.trace_id) if trace is not None and trace.is_sampled else None


def traced_batch(headers: Mapping[int, Mapping[str, object]], clock: Clock) -> Traced | None:
    """The same of a batch that was written now, for the first of its messages that has headers.

    One is looked at, since one exemplar is kept: a thousand would take a millisecond.

    Args:
        headers: of its messages; a `traceparent` in them may be any value, of whoever sent it.
    """
    if not headers:
        return None
    parent = next(iter(headers.values())).get(TRACEPARENT)
    return traced(trace_context((parent,), ()), clock) if isinstance(parent, str) else None
