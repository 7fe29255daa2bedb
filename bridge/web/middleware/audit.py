"""Who did what, with which outcome (shell over `bridge.audit`)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from bridge.errors import AuditUnavailable
from bridge.policy.access import Principal
from bridge.policy.names import NAME_SCHEMA
from bridge.telemetry.trace_context import TraceContext
from bridge.web.keys import UNMATCHED, Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.grants import READS
from bridge.web.server.json_answer import JsonAnswer

#: What these say changes nothing that an operator made: messages come and go, members of a group take and settle them.
_OF_MESSAGES: Final = ("/messages", "/messages/batch", "/tickets", "/receive", "/ack", "/nack", "/extend")
_NAME: Final = re.compile(NAME_SCHEMA["pattern"])
#: Parts of a path that name something; `partition` is a number.
_NAMED: Final = ("stream", "topic", "group", "consumer", "partition")


def is_change(method: str, route: str) -> bool:
    """Whether a request changes streams, topics, stored offsets or groups."""
    return method not in READS and route != UNMATCHED and not route.endswith(_OF_MESSAGES)


def record_of(
    exchange: Exchange,
    principal: Principal | None,
    *,
    action: str,
    named: Mapping[str, str],
    made: str | None = None,
    status: int,
    error: str | None,
    trace: TraceContext | None = None,
) -> dict[str, Any]:
    """The members of a record.

    Args:
        named: what the caller names, by its kind, as of `shown`.
        trace: None for that of the request.
    """
    trace = trace or exchange.trace
    return {
        "request_id": exchange.request_id,
        "trace_id": trace and trace.trace_id,
        "client": exchange.client,
        "principal": None if principal is None else principal.name,
        "key_id": None if principal is None else principal.key_id,
        "action": action,
        **named,
        "made": made,
        "status": status,
        "error": error,
    }


def audit(services: Services, _: Rules) -> Gate | None:
    """Write down what was answered to whom: changes and refusals, or all; None where there is no audit log."""
    trail = services.audit
    if trail is None:
        return None
    all_of_them = services.audits_all
    default = shown({"stream": services.log_config.stream, "topic": services.log_config.topic})

    def answered(_: web.Request, exchange: Exchange, answer: web.StreamResponse) -> None:
        route = exchange.route
        # Of an address that is locked out the refusals before that are told, and no flood of those after.
        if not (all_of_them or exchange.refused or is_change(exchange.method, route)):
            return
        of_default = route.startswith("/messages")
        trail.write(
            record_of(
                exchange,
                exchange.principal,
                action=f"{exchange.method} {route}",
                named=default if of_default else shown({name: exchange.names.get(name) for name in _NAMED}),
                made=answer.location if isinstance(answer, JsonAnswer) else None,
                status=answer.status,
                error=exchange.error_code,
            )
        )

    return Gate(None, answered)


def audit_first(services: Services, _: Rules) -> Gate | None:
    """Refuse changes while the audit log cannot be written: what nobody can be held to is not done."""
    trail = services.audit
    if trail is None:
        return None

    def refuse_changes(_: web.Request, exchange: Exchange) -> None:
        if trail.is_failing and is_change(exchange.method, exchange.route):
            raise AuditUnavailable

    return Gate(refuse_changes)


def shown(named: Mapping[str, str | None]) -> Mapping[str, str]:
    """Of what a caller names, as it came, what may stand in a record."""
    return {name: text for name, text in named.items() if text and _showable(name, text)}


def _showable(name: str, text: str) -> bool:
    # What is no name was refused, and may be anything.
    return text.isdecimal() if name == "partition" else _NAME.fullmatch(text) is not None
