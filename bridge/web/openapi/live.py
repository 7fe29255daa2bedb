"""What the document says of an event of a stream (pure); `live.sse` writes them, and a test reads them by this."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.limits import LIVE_RETRY_MS_MAX, LIVE_RETRY_MS_MIN
from bridge.web.live.streams import EndReason
from bridge.web.wire.problems import Problem

_Retry = Annotated[int, Meta(ge=LIVE_RETRY_MS_MIN, le=LIVE_RETRY_MS_MAX, description="When to come back")]


class LiveOpen(msgspec.Struct):
    """The data of `open`, which comes first."""

    stream: str
    topic: str
    cursor: Annotated[str, Meta(description="Where the stream begins")]
    retry_ms: _Retry


class LiveProgress(msgspec.Struct):
    """The data of `progress`: what lies before was not wanted."""

    cursor: str


class LiveBye(msgspec.Struct):
    """The data of `bye`, which comes last."""

    reason: EndReason
    cursor: Annotated[str, Meta(description="Where the next stream goes on")]
    retry_ms: _Retry
    problem: Problem | UnsetType = UNSET


_DATA: Final = ("PlacedMessage", "LiveOpen", "LiveProgress", "MissingMessages", "LiveBye")
EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": (
        "One event; there is no end to them. A message is an event without a name. `open` comes first; `progress` tells of "
        "the place behind messages that the filter left out; `gap` of messages that are no longer there; `bye` of the end."
    ),
    "properties": {
        "id": {"type": "string", "description": "A cursor: `Last-Event-ID` goes on behind this event"},
        "event": {"type": "string", "enum": ["open", "progress", "gap", "bye"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in _DATA]},
        },
        "retry": {"type": "integer", "minimum": LIVE_RETRY_MS_MIN, "maximum": LIVE_RETRY_MS_MAX},
    },
    "required": ["data"],
}
