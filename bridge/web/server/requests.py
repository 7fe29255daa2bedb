"""Requests as they are made of what was parsed (shell): two things of aiohttp put right before the application sees one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from bridge.policy.client_certificates import ClientCertificate
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.framing import is_parsed_upgrade

#: The caller waits for "100 Continue" before it sends the body.
EXPECTS_CONTINUE = web.RequestKey("expects_continue", bool)
#: The request line named a version that is not spoken here.
UNSPOKEN_VERSION = web.RequestKey("unspoken_version", bool)
#: Whose certificate was verified in the handshake; not there where the client showed none.
CLIENT_CERTIFICATE = web.RequestKey("client_certificate", ClientCertificate)

_SPOKEN: Final = frozenset({HttpVersion10, HttpVersion11})

RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, web.RequestHandler, AbstractStreamWriter, "asyncio.Task[None]"],
    web.BaseRequest,
]


def request_factory(stock: RequestFactory) -> RequestFactory:
    """*stock*, aiohttp's own, with two things put right.

    aiohttp says "100 Continue" before any middleware runs and so invites bodies that are then refused; here the
    header is taken off and `read_body` says it. And aiohttp repeats the caller's HTTP version in its status line; a
    version nobody speaks becomes 1.1, and the middleware refuses the request.
    """

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        # One of the two the parser has made once; to look it up takes 300 instructions.
        unspoken = message.version is not HttpVersion11 and message.version not in _SPOKEN
        expectation = message.headers.get(hdrs.EXPECT)
        if unspoken or expectation is not None or message.upgrade:
            message = _put_right(message, unspoken=unspoken)
        request = stock(message, payload, protocol, writer, task)
        if isinstance(protocol, BridgeProtocol):
            protocol.request_begun(request, message)
            if protocol.client_certificate is not None:
                request[CLIENT_CERTIFICATE] = protocol.client_certificate
        if unspoken:
            request[UNSPOKEN_VERSION] = True
        if expectation is not None and expectation.lower() == "100-continue":
            request[EXPECTS_CONTINUE] = True
        return request

    return make


def _put_right(message: RawRequestMessage, *, unspoken: bool) -> RawRequestMessage:
    headers: Any = message.headers
    if hdrs.EXPECT in headers:
        headers = CIMultiDict(headers)
        headers.popall(hdrs.EXPECT)
        headers = CIMultiDictProxy(headers)
    # aiohttp's parser may have lost what followed an upgrade: nothing that comes after may be taken for a request.
    may_have_lost = message.upgrade and not is_parsed_upgrade(message)
    return RawRequestMessage(
        message.method,
        message.path,
        HttpVersion11 if unspoken else message.version,
        headers,
        message.raw_headers,
        message.should_close or unspoken or may_have_lost,
        message.compression,
        message.upgrade,
        message.chunked,
        message.url,
    )


def connection_of(request: web.BaseRequest) -> BridgeProtocol:
    """The connection that *request* came on."""
    # Not asked: no other makes requests here.
    connection: BridgeProtocol = request.protocol  # type: ignore[assignment]
    return connection
