"""WebSocket (shell)."""

from typing import Final

import structlog
from aiohttp import web

from bridge.errors import Overloaded
from bridge.limits import RETRY_AFTER_DEFAULT_MS
from bridge.policy.admission import Ticket
from bridge.web.keys import CLIENT, DEADLINE, REQUEST_ID, SERVICES
from bridge.web.live.streams import LiveKind
from bridge.web.rules import RULES
from bridge.web.server.answer_headers import send_head
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.tickets import TICKET
from bridge.web.sockets.session import Session, message_bytes_max
from bridge.web.sockets.socket import Socket
from bridge.web.sockets.upgrade import upgraded
from bridge.web.wire.queries import refuse_query

__all__ = ("socket",)

_log: Final = structlog.get_logger("bridge.web")


async def socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws`: a WebSocket that speaks `bridge.v1`, until the client leaves or the process drains."""
    services, rules = request.app[SERVICES], request.app[RULES]
    refuse_query(request.query.items())
    response = upgraded(request)
    if services.lifecycle.draining:
        raise Overloaded("The bridge is shutting down.", retry_after_ms=RETRY_AFTER_DEFAULT_MS)
    protocol, transport = request.protocol, request.transport
    if not isinstance(protocol, BridgeProtocol) or transport is None:
        raise ConnectionResetError("The client has left.")
    connection = Socket(
        protocol,
        transport,
        clock=services.clock,
        ticket=Ticket(rules.admission, request[CLIENT]),
        message_bytes_max=message_bytes_max(services),
    )
    session = Session(
        services,
        rules,
        connection,
        request_id=request[REQUEST_ID],
        client=request[CLIENT],
        timeout_s=request[DEADLINE].remaining_s(),
    )
    with services.live_streams.joined(session.leave, LiveKind.SOCKET, client=request[CLIENT]):
        services.lifecycle.backstops.lift()
        if TICKET in request:
            request[TICKET].close()
        connection.open()
        try:
            await send_head(request, response)
            await session.run()
        finally:
            await connection.finish()
    _log.info("socket_closed", code=connection.close_code)
    return response
