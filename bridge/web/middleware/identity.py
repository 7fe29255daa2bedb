"""Who asks, and under which id (shell over `policy.requests` and `policy.client_address`)."""

import os
from collections.abc import Mapping
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, istr

from bridge.limits import FORWARDED_TOLD_INTERVAL_S, FORWARDED_TOLD_PEERS_MAX
from bridge.policy.requests import Reminders, RequestIds
from bridge.telemetry.logs import REQUEST_SCOPE
from bridge.telemetry.trace_context import TRACEPARENT, TRACESTATE, trace_context
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Identify
from bridge.web.rules import Rules
from bridge.web.server.answer_headers import X_REQUEST_ID, lines_of, own_lines
from bridge.web.server.requests import connection_of

_TRACEPARENT: Final = istr(TRACEPARENT)
_TRACESTATE: Final = istr(TRACESTATE)


def identity(services: Services, rules: Rules) -> Identify:
    """Give every request its id, its client's address and its trace; all are in every log line that follows."""
    addresses, origins, clock = rules.addresses, rules.origins, services.clock
    is_traced = services.tracing.is_on
    id_of = RequestIds(os.urandom).id_of
    log = structlog.get_logger("bridge.web")
    reminders = Reminders(interval_s=FORWARDED_TOLD_INTERVAL_S, keys_max=FORWARDED_TOLD_PEERS_MAX)

    def forwarded(peer: str, headers: CIMultiDictProxy[str]) -> str:
        client, unread = addresses.client(
            peer,
            headers.getall("X-Forwarded-For", ()),
            headers.getall("X-Real-IP", ()),
            headers.getall("Forwarded", ()),
        )
        if unread is not None and reminders.is_due(peer, clock.monotonic_s()):
            # What was written stays out of it: it came from outside.
            log.warning("forwarded_client_not_read", proxy=peer, why=unread.value, counted_as=client)
        return client

    def of_origin(origin: str | None) -> tuple[str, str]:
        fields = dict(origins.answer_headers(origin))
        vary = fields.pop(hdrs.VARY, "")
        return lines_of(fields), vary

    of_none = of_origin(None)

    def identify(request: web.Request, route: str, names: Mapping[str, str]) -> Exchange:
        connection = connection_of(request)
        message, client = connection.message, connection.address
        headers = message.headers
        request_id = id_of(headers.get(X_REQUEST_ID))
        if addresses.proxied:
            client = forwarded(client, headers)
        origin = headers.get(hdrs.ORIGIN)
        lines, vary = of_none if origin is None else of_origin(origin)
        parents = headers.getall(_TRACEPARENT, ()) if is_traced else ()
        trace = trace_context(parents, headers.getall(_TRACESTATE, ())) if parents else None
        REQUEST_SCOPE.set((request_id, client, None if trace is None else trace.trace_id))
        return Exchange(
            services,
            rules,
            route,
            names,
            message,
            message.method,
            message.path,
            headers,
            request_id,
            client,
            trace,
            own_lines(request_id) + lines,
            vary,
        )

    return identify
