"""WebSocket (shell): which requests may become one (RFC 6455, section 4.2, and our own rules before it), and its life."""

import base64
import binascii
import hashlib
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from bridge.errors import BadRequest, Overloaded, UpgradeRequired
from bridge.limits import RETRY_AFTER_DEFAULT_MS
from bridge.policy.admission import Grant
from bridge.web.handlers.access import principal_of
from bridge.web.keys import EXCHANGE
from bridge.web.live.streams import LiveKind
from bridge.web.server.answer_headers import send_head
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.grants import give_back
from bridge.web.sockets.answers import SUBPROTOCOL
from bridge.web.sockets.session import Session, message_bytes_max
from bridge.web.sockets.socket import Socket

_log: Final = structlog.get_logger("bridge.web")
# RFC 6455, section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"
_SWITCHING_PROTOCOLS: Final = 101
_KEY_BYTES: Final = 16


async def socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws`: a WebSocket that speaks `bridge.v1`, until the client leaves or the process drains."""
    exchange = request[EXCHANGE]
    services = exchange.services
    response = _upgraded(request)
    if services.lifecycle.draining:
        raise Overloaded("The bridge is shutting down.", retry_after_ms=RETRY_AFTER_DEFAULT_MS)
    protocol, transport = request.protocol, request.transport
    if not isinstance(protocol, BridgeProtocol) or transport is None:
        raise ConnectionResetError("The client has left.")
    connection = Socket(
        protocol,
        transport,
        clock=services.clock,
        grant=Grant(exchange.rules.admission, exchange.client),
        message_bytes_max=message_bytes_max(services),
    )
    session = Session(connection, exchange)
    with (
        services.live_streams.joined(session.leave, LiveKind.SOCKET, client=exchange.client),
        services.lifetimes.bound(principal_of(request), session.dismiss),
    ):
        services.lifecycle.backstops.lift()
        give_back(request)
        connection.open()
        try:
            await send_head(request, response)
            await session.run()
        finally:
            await connection.finish()
    _log.info("socket_closed", code=connection.close_code)
    return response


def _upgraded(request: web.Request) -> web.StreamResponse:
    """The answer that makes this connection a WebSocket of the subprotocol `bridge.v1`, not sent yet. No extension is taken.

    Raises:
        UpgradeRequired: if it asks for no WebSocket, or for one of another version.
        BadRequest: if the subprotocol is not offered, the handshake is malformed, or the request has a body.
    """
    headers = request.headers
    if request.method != hdrs.METH_GET or request.version < HttpVersion11 or not _asks(request):
        raise UpgradeRequired("This resource speaks WebSocket only.", path="Upgrade")
    if headers.getall(hdrs.SEC_WEBSOCKET_VERSION, ()) != [_VERSION]:
        raise UpgradeRequired("Only version 13 of WebSocket is spoken here.", path="Sec-WebSocket-Version")
    if request.can_read_body or hdrs.TRANSFER_ENCODING in headers:
        # Others on the way may take it for frames, or frames for it.
        raise BadRequest("A request for a WebSocket has no body.", path="Content-Length")
    offered = ",".join(headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(",")
    if SUBPROTOCOL not in (each.strip() for each in offered):
        raise BadRequest(
            f"The subprotocol spoken here is {SUBPROTOCOL}, and it was not offered.",
            path="Sec-WebSocket-Protocol",
        )
    response = web.StreamResponse(
        status=_SWITCHING_PROTOCOLS,
        headers={
            hdrs.UPGRADE: "websocket",
            hdrs.CONNECTION: "Upgrade",
            hdrs.SEC_WEBSOCKET_ACCEPT: _accepted(headers.getall(hdrs.SEC_WEBSOCKET_KEY, ())),
            hdrs.SEC_WEBSOCKET_PROTOCOL: SUBPROTOCOL,
        },
    )
    response.force_close()
    return response


def _asks(request: web.Request) -> bool:
    """Whether it asks to be upgraded, and aiohttp has understood it so: what follows it is not parsed as HTTP."""
    named = request.headers.getall(hdrs.UPGRADE, ())
    is_named = len(named) == 1 and named[0].strip().lower() == "websocket"
    return is_named and bool(request[EXCHANGE].message.upgrade)


def _accepted(keys: list[str] | tuple[()]) -> str:
    try:
        if len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == _KEY_BYTES:
            digest = hashlib.sha1(keys[0].encode() + _GUID, usedforsecurity=False).digest()
            return base64.b64encode(digest).decode()
    except (binascii.Error, ValueError):
        pass
    raise BadRequest("There must be one 'Sec-WebSocket-Key' of 16 bytes in base64.", path="Sec-WebSocket-Key")
