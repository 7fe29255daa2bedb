"""The trace that a request belongs to (pure): W3C Trace Context, `traceparent` and `tracestate`."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from bridge.limits import TRACE_STATE_CHARS_MAX, TRACE_STATE_MEMBERS_MAX, TRACE_STATE_SPARED_CHARS

#: Names of the request's header fields, and of the message headers that carry the same.
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

# Section 3.2.2: ids in lower case, none all zero, no version ff; later versions may go on behind a dash.
_PARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
# Section 3.3.1.3: a key of one vendor or of a tenant of it, and printable text without commas and equals signs.
_MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_SAMPLED: Final = 0x01
_ODD: Final = "13579bdf"


V = TypeVar("V")


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits, of the caller's span.
        flags: 2 hexadecimal digits; the last bit says "sampled".
        state: what vendors on the way have written, at most `TRACE_STATE_CHARS_MAX` characters; "" for nothing.
    """

    trace_id: str
    span_id: str
    flags: str
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        return self.flags[-1] in _ODD

    def headers(self) -> dict[str, str]:
        """As the headers of a message, or of a request."""
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags}"
        return {TRACEPARENT: parent, TRACESTATE: self.state} if self.state else {TRACEPARENT: parent}


def headers_with(trace: TraceContext | None, named: Mapping[str, V]) -> Mapping[str, V | str]:
    """*named*, the headers of a message, with *trace*; a trace that they name themselves holds against it.

    A state belongs to its parent (section 3.3): that of one trace never stands beside the parent of another.
    """
    if trace is None or TRACEPARENT in named:
        return named
    headers = trace.headers()
    return (
        {**{name: value for name, value in named.items() if name != TRACESTATE}, **headers}
        if named
        else headers
    )


def trace_context(parents: Sequence[str], states: Sequence[str]) -> TraceContext | None:
    """What the header fields of a request say; None where they say nothing that can be read.

    A broken `traceparent` is as none (section 4.3): the request is served, and belongs to no trace.

    Args:
        parents: each `traceparent` field; more than one is none.
        states: each `tracestate` field, in order; a broken one is dropped and the trace goes on.
    """
    if len(parents) != 1:
        return None
    match = _PARENT.fullmatch(parents[0])
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "00":
        if more is not None:
            return None
    else:
        # Of a later version only what this one knows is read and handed on.
        flags = f"{int(flags, 16) & _SAMPLED:02x}"
    return TraceContext(trace_id, span_id, flags, _state(states) if states else "")


def _state(fields: Sequence[str]) -> str:
    members = [member for field in fields for each in field.split(",") if (member := each.strip())]
    if len(members) > TRACE_STATE_MEMBERS_MAX or not all(map(_MEMBER.fullmatch, members)):
        return ""
    # Section 3.3.1.5: the long ones go first, then those at the end, which are the oldest.
    if len(",".join(members)) > TRACE_STATE_CHARS_MAX:
        members = [member for member in members if len(member) <= TRACE_STATE_SPARED_CHARS]
    while len(",".join(members)) > TRACE_STATE_CHARS_MAX:
        members.pop()
    return ",".join(members)
