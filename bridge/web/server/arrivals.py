"""Requests as they arrive (shell): what is settled about one before the application sees it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from bridge.limits import KNOWN_BODY_BYTES_MAX
from bridge.web.server.framing import is_parsed_upgrade
from bridge.web.server.heads import Head

__all__ = ("EXPECTS_CONTINUE", "UNSPOKEN_VERSION", "Arrival", "ArrivalFactory", "arrivals")

#: The caller waits for "100 Continue" before it sends the body.
EXPECTS_CONTINUE = web.RequestKey("expects_continue", bool)
#: The request line named a version that is not spoken here.
UNSPOKEN_VERSION = web.RequestKey("unspoken_version", bool)

# aiohttp's own; nothing here reads forms.
_FORM_FIELDS_MAX: Final = 1000
_SPOKEN: Final = frozenset({HttpVersion10, HttpVersion11})


class Arrival(web.Request):
    """
    A request.

    Attributes:
        head: what is known of its head.
        slots: what `request[KEY]` reads and writes, for gates, which do it often: without a call between.
    """

    def __init__(
        self,
        head: Head,
        whole_body: bytes | None,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
        loop: asyncio.AbstractEventLoop,
        *,
        body_bytes_max: int,
    ) -> None:
        """
        Args:
            whole_body: of a request that came in one piece; *payload* is empty then. None where it is in *payload*.
        """
        self.head = head
        self.slots: dict[web.RequestKey[Any] | str, Any] = {}
        self._whole_body = whole_body
        message = head.message
        if whole_body is None:
            super().__init__(
                message,
                payload,
                protocol,
                writer,
                task,
                loop,
                client_max_size=body_bytes_max,
                state=self.slots,
            )
            return
        # What it sets where the target is a path (`test_server_hooks` compares the two): 0.6 us instead of 2.
        self._message = message
        self._protocol = protocol
        self._payload_writer = writer
        self._payload = payload
        self._headers = message.headers
        self._method = message.method
        self._version = message.version
        self._cache = {}
        self._rel_url = message.url
        self._state = self.slots
        self._task = task
        self._client_max_size = body_bytes_max
        self._client_max_fields = _FORM_FIELDS_MAX
        self._loop = loop
        self._transport_sslcontext = protocol.ssl_context
        self._transport_peername = protocol.peername
        self._transport_sockname = protocol.sockname

    def take_whole_body(self) -> bytes | None:
        """The body, once, if the request came in one piece with a head that is known; else it is in `content`."""
        body, self._whole_body = self._whole_body, None
        return body

    @property
    def is_whole(self) -> bool:
        """Whether all of its body is here."""
        return self._whole_body is not None or self._payload.is_eof()

    @property
    def content(self) -> StreamReader:
        """As aiohttp's; made only where somebody wants to read a body that is here already."""
        body = self.take_whole_body()
        if body:
            self._payload = StreamReader(self._protocol, KNOWN_BODY_BYTES_MAX, loop=self._loop)
            self._payload.feed_data(body)
            self._payload.feed_eof()
        return self._payload

    async def read(self) -> bytes:
        """As aiohttp's, which looks in one place only."""
        body = self.take_whole_body()
        if body is not None:
            self._read_bytes = body
        return await super().read()


ArrivalFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, web.RequestHandler, AbstractStreamWriter, "asyncio.Task[None]"], Arrival
]


def arrivals(loop: asyncio.AbstractEventLoop, body_bytes_max: int) -> ArrivalFactory:
    """
    What makes requests of what was parsed, with two things of aiohttp put right.

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
    ) -> Arrival:
        unspoken = message.version not in _SPOKEN
        if message.upgrade and not is_parsed_upgrade(message):
            # aiohttp's parser may have lost what followed: nothing that comes after may be taken for a request.
            message = message._replace(should_close=True)
        expectation = message.headers.get(hdrs.EXPECT)
        if unspoken:
            message = message._replace(version=HttpVersion11, should_close=True)
        if expectation is not None:
            headers = CIMultiDict(message.headers)
            headers.popall(hdrs.EXPECT)
            message = message._replace(headers=CIMultiDictProxy(headers))
        request = Arrival(
            Head(message), None, payload, protocol, writer, task, loop, body_bytes_max=body_bytes_max
        )
        if unspoken:
            request.slots[UNSPOKEN_VERSION] = True
        if expectation is not None and expectation.lower() == "100-continue":
            request.slots[EXPECTS_CONTINUE] = True
        return request

    return make
