"""What the document says of probes, figures, the WebSocket and itself (pure)."""

from typing import Any, Final

from bridge import errors
from bridge.telemetry.exemplars import OPENMETRICS
from bridge.web.openapi import examples
from bridge.web.openapi.operation import JSON, ApiOperation, Content, Reply, json_reply
from bridge.web.wire.answers import HealthAnswer, ReadyAnswer, StatsAnswer, TicketAnswer
from bridge.web.wire.queries import ReadyParameters

_TAG: Final = "Service"
_NOT_READY: Final = {
    **examples.READY,
    "status": "not_ready",
    "checks": {"log": {"ok": False, "detail": "The log is being connected.", "state": "connecting"}},
}

HEALTH: Final = ApiOperation(
    id="health",
    tag=_TAG,
    summary="Ask whether the process serves",
    description="For liveness probes. Needs no key, unless AUTH_BYPASS_PATHS says otherwise.",
    replies={200: json_reply("It serves.", HealthAnswer, examples.HEALTH)},
    ignores_query=True,
    needs_key=False,
)
READY: Final = ApiOperation(
    id="ready",
    tag=_TAG,
    summary="Ask whether requests should be sent here",
    description="For readiness probes. Needs no key, unless AUTH_BYPASS_PATHS says otherwise.",
    queries=(ReadyParameters,),
    ignores_query=True,
    errors=(errors.BadRequest,),
    replies={
        200: json_reply("They should.", ReadyAnswer, examples.READY),
        503: json_reply(
            "They should not: a check fails. Overload is a problem instead.",
            ReadyAnswer,
            _NOT_READY,
            headers=("Retry-After",),
        ),
    },
    needs_key=False,
)
STATS: Final = ApiOperation(
    id="stats",
    tag=_TAG,
    summary="Show figures of the log",
    description="As last counted, at most STATS_CACHE_TTL_SECS ago; without what the bridges note in GROUPS_STREAM.",
    replies={200: json_reply("The figures.", StatsAnswer, examples.STATS)},
    ignores_query=True,
)
METRICS: Final = ApiOperation(
    id="metrics",
    tag=_TAG,
    summary="Show figures for Prometheus",
    description="404 where METRICS_PORT moved them to a port of their own, or switched them off.",
    ignores_query=True,
    replies={
        200: Reply(
            "The figures.",
            (
                Content("text/plain", text="The text format of Prometheus."),
                Content(OPENMETRICS, text="The text format of OpenMetrics 1.0, with the traces of requests."),
            ),
            ("Vary",),
        )
    },
    errors=(errors.NotFound,),
)
TICKET: Final = ApiOperation(
    id="issueTicket",
    tag=_TAG,
    summary="Get a ticket for a page",
    description=(
        "For EventSource and WebSocket, which set no headers: put it as `ticket` into the URL of a stream or of `/ws`, within "
        "30 seconds and once. With it a page may what the caller may."
    ),
    replies={201: json_reply("The ticket.", TicketAnswer, examples.TICKET)},
    errors=(errors.BadRequest,),
)
SOCKET: Final = ApiOperation(
    id="socket",
    tag=_TAG,
    summary="Open a WebSocket",
    description=(
        "A WebSocket of version 13 with the subprotocol `bridge.v1`: topics live, groups, and messages published with "
        "receipts. Every message is one JSON object with an `op`. A page's `Origin` must be this host's own or in "
        "CORS_ALLOWED_ORIGINS. No extension is agreed on."
    ),
    headers=("Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"),
    replies={
        101: Reply(
            "The connection is a WebSocket now.",
            headers=("Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"),
        )
    },
    errors=(errors.UpgradeRequired,),
)
_CHECKED: Final = ("Cache-Control.checked", "ETag", "Vary")
_OF_PAGE: Final = ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options")
_NOT_MODIFIED: Final = "The caller has it."
REFERENCE: Final = ApiOperation(
    id="docs",
    tag=_TAG,
    summary="Show this document as a page",
    description="For people, with Swagger UI. Everything is in the page; nothing else is fetched.",
    headers=("If-None-Match",),
    replies={
        200: Reply(
            "The page.",
            (Content("text/html", text="One page of HTML."),),
            (*_CHECKED, "Content-Encoding", *_OF_PAGE),
        ),
        304: Reply(_NOT_MODIFIED, headers=(*_CHECKED, *_OF_PAGE)),
    },
)
DOCUMENT: Final = ApiOperation(
    id="openapi",
    tag=_TAG,
    summary="Show this document",
    description="OpenAPI 3.1. `bridge openapi` prints the same.",
    headers=("If-None-Match",),
    replies={
        200: Reply(
            "The document.",
            (Content(JSON, (dict[str, Any],), examples={"document": {"openapi": "3.1.0", "paths": {}}}),),
            (*_CHECKED, "Content-Encoding"),
        ),
        304: Reply(_NOT_MODIFIED, headers=_CHECKED),
    },
)
