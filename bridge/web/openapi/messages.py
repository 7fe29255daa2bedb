"""What the document says of messages in and out (pure)."""

from typing import Final

from bridge import errors
from bridge.web.openapi import examples
from bridge.web.openapi.live import EVENT_SCHEMA
from bridge.web.openapi.operation import (
    JSON,
    NDJSON,
    NOT_FOUND,
    SSE,
    ApiOperation,
    Content,
    Reply,
    json_body,
    json_reply,
)
from bridge.web.wire.answers import EventReceipt
from bridge.web.wire.bulk import LinesReceipt, MessageReceipt, SendParameters
from bridge.web.wire.cursors import CursorPage, CursorParameters
from bridge.web.wire.live import LAST_EVENT_ID, LiveParameters
from bridge.web.wire.pages import PageAnswer
from bridge.web.wire.queries import BulkParameters, PollParameters
from bridge.web.wire.submissions import BatchBody, MessageBody

_TAG: Final = "Messages"
_WRITE_ERRORS: Final = (*NOT_FOUND, errors.PartitionNotFound, errors.SendError)
_READ_ERRORS: Final = (*NOT_FOUND, errors.PartitionNotFound, errors.PollError)
_LINES: Final = (
    "A JSON value a line. The answer gives offsets and counts by partition; a failure says how many lines are surely "
    "stored. A line that is no message ends the upload, or is passed over with `on_error=skip`. Any length, in constant "
    "memory. With `lines=messages` each line is an object as lines out give it: `id`, `headers`, and one of `event`, "
    "`payload`, `text` and `payload_base64`."
)
_STREAMED: Final = Content(SSE, examples={"events": examples.EVENTS_TEXT}, schema=EVENT_SCHEMA)

SEND: Final = ApiOperation(
    id="publish",
    tag=_TAG,
    summary="Store one message, or lines of them",
    description=(
        "`application/json` is one event. `text/*` and `application/octet-stream` are one message, as it is. "
        "`application/x-ndjson` is a message a line. Bodies may be gzip or zstd (`Content-Encoding`). Headers "
        "`Message-Header-<name>` become headers of the messages, but not of an event. The query is for what is no "
        "`application/json`. 201 means that the message is stored at the `durability` that the answer names."
    ),
    queries=(SendParameters,),
    bodies=(
        Content(
            JSON,
            (MessageBody,),
            examples={
                "generic": {"event": examples.EVENT, "partition_key": "customer-42"},
                "user": {"event": examples.USER},
                "order": {"event": examples.ORDER},
            },
        ),
        Content(NDJSON, text=_LINES, examples={"lines": '{"n":1}\n{"n":2}\n'}),
        Content("text/plain", text="One message of UTF-8.", examples={"text": "hello"}, bytes_min=1),
        Content("application/octet-stream", text="One message of any bytes.", bytes_min=1),
    ),
    replies={
        201: Reply(
            "Stored.",
            (
                Content(
                    JSON,
                    (EventReceipt, MessageReceipt, LinesReceipt),
                    examples={
                        "event": examples.EVENT_RECEIPT,
                        "message": examples.MESSAGE_RECEIPT,
                        "lines": examples.LINES_RECEIPT,
                    },
                ),
            ),
        ),
        207: json_reply(
            "Of lines with `on_error=skip`: some are stored, and those in `errors` are not.",
            LinesReceipt,
            {
                **examples.LINES_RECEIPT,
                "success": False,
                "failed": 1,
                "errors": [{"line": 2, "reason": "No JSON."}],
            },
        ),
    },
    errors=_WRITE_ERRORS,
)
SEND_TO_TOPIC: Final = SEND._replace(id="publishToTopic")

SEND_BATCH: Final = ApiOperation(
    id="publishBatch",
    tag=_TAG,
    summary="Store events, all or none",
    description=(
        "Up to BATCH_MAX_SIZE events (1000) in order into one partition. All are checked before any is stored; `path` in "
        "the problem names the first that is wrong. The body may be gzip or zstd."
    ),
    bodies=json_body(BatchBody, examples.BATCH),
    replies={
        201: json_reply(
            "Stored: a receipt for each event, in order.", list[EventReceipt], [examples.EVENT_RECEIPT]
        )
    },
    errors=_WRITE_ERRORS,
)
SEND_BATCH_TO_TOPIC: Final = SEND_BATCH._replace(id="publishBatchToTopic")

POLL: Final = ApiOperation(
    id="poll",
    tag=_TAG,
    summary="Read messages: a page, lines, or events as they come",
    description=(
        "A page of one partition; of all partitions with `cursor`, which goes with `partitions`, `count`, `wait_ms` and "
        "`min_count` alone. With `Accept: application/x-ndjson` lines up to the end as it is now, without the bound of a "
        "page; with `Accept: text/event-stream` what comes, as it comes. `wait_ms` waits for messages, never longer than "
        "the time of the request. `auto_commit` stores the place once the page is built, before it has arrived."
    ),
    queries=(PollParameters, BulkParameters, CursorParameters, LiveParameters),
    headers=(LAST_EVENT_ID,),
    replies={
        200: Reply(
            "What there is; nothing is no error.",
            (
                Content(
                    JSON,
                    (PageAnswer, CursorPage),
                    examples={"page": examples.PAGE, "cursor": examples.CURSOR_PAGE},
                ),
                Content(
                    NDJSON,
                    text=(
                        "A `PlacedMessage` a line; with `cursor` a `CursorLine`, or a `GapLine` where messages are no "
                        "longer there. gzip or zstd where `Accept-Encoding` names it."
                    ),
                ),
                _STREAMED,
            ),
            ("Vary", "X-End-Offset", "X-End-Cursor", "X-Accel-Buffering"),
        )
    },
    errors=_READ_ERRORS,
)
POLL_TOPIC: Final = POLL._replace(id="pollTopic")

STREAM: Final = ApiOperation(
    id="stream",
    tag=_TAG,
    summary="Follow messages as they come",
    description=(
        "Every message from now on, or from `cursor` or `from`, of all partitions. A browser's `EventSource` sends "
        "`Last-Event-ID` when it comes back, which holds against both, so it misses nothing and gets nothing twice. A "
        "stream is silent for 15 s at most."
    ),
    queries=(LiveParameters,),
    headers=(LAST_EVENT_ID,),
    replies={200: Reply("Events without an end.", (_STREAMED,), ("Vary", "X-Accel-Buffering"))},
    errors=(*_READ_ERRORS, errors.NotAcceptable),
)
STREAM_TOPIC: Final = STREAM._replace(id="streamTopic")
