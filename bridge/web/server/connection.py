"""One connection and its requests, one after the other (shell)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bridge import limits
from bridge.errors import let_go
from bridge.policy.client_certificates import ClientCertificate, client_certificate
from bridge.policy.slow_clients import MinimumRate
from bridge.web.server.framed_protocol import INTERNALS_ARE_KNOWN, FramedProtocol
from bridge.web.server.outflow import Outflow, bound_unsent, write_pace
from bridge.web.wire.problems import REFUSALS

# Of a connection that answers none.
_NO_MESSAGE: Final = RawRequestMessage(
    "", "", HttpVersion11, CIMultiDictProxy(CIMultiDict()), (), True, None, False, False, URL()
)

_log = structlog.get_logger("bridge.web")


class ConnectionOwner(Protocol):
    """What a connection asks of its server."""

    #: Is told when the connection is full.
    outflow: Outflow

    def address(self, peer: str) -> str: ...
    def admit(self, peer: str) -> str | None: ...
    def release(self, counted_as: str) -> None: ...
    async def rest(self) -> None: ...
    def refusal(
        self, request: web.BaseRequest, status: int, exc: BaseException | None
    ) -> web.StreamResponse: ...


class BridgeProtocol(FramedProtocol):
    """One connection: aiohttp's loop over its requests, with bounds.

    Attributes:
        half_closed: the client sends nothing more, and may have left.
        on_lost: called once when the connection has ended, or its client may have left; set by `departures` while a
            request waits for long.
        on_writable: called when a connection that was full takes something again; set by a WebSocket.
        address: of the other end, in its normal form.
        message: the head of the request that is being answered.
        client_certificate: of a client whose certificate was verified.
        also_held_bytes: as of an `Outlet`; set by who writes page after page.
    """

    __slots__ = (
        "_awaited",
        "_begun",
        "_bridge_loop",
        "_counted_as",
        "_ended",
        "_head_due_s",
        "_heard",
        "_is_encrypted",
        "_owner",
        "_pace",
        "_room",
        "_serving",
        "_sink",
        "address",
        "also_held_bytes",
        "client_certificate",
        "half_closed",
        "message",
        "on_lost",
        "on_writable",
    )

    def __init__(
        self,
        server: web.Server,
        owner: ConnectionOwner,
        loop: asyncio.AbstractEventLoop,
        options: dict[str, Any],
    ) -> None:
        super().__init__(server, loop, options)
        self._bridge_loop = loop
        self._owner = owner
        self._counted_as: str | None = None
        # The request that is being answered.
        self._serving: web.BaseRequest | None = None
        # So many have been.
        self._begun = 0
        # Whether a head has begun, where `framing` is not told.
        self._heard = False
        # The head that was waited for at the last look, by the number of its request; and by when it must be whole.
        self._awaited = -1
        self._head_due_s = 0.0
        # Done when the connection has ended; made by who waits for that.
        self._ended: asyncio.Future[None] | None = None
        # Done when a connection that was full takes something again, or has ended.
        self._room: asyncio.Future[None] | None = None
        # Also while aiohttp, which has closed it, has forgotten it, and something still waits to be taken.
        self._sink: asyncio.Transport | None = None
        self._pace: MinimumRate | None = None
        self._is_encrypted = False
        self.address = ""
        self.message = _NO_MESSAGE
        self.client_certificate: ClientCertificate | None = None
        self.half_closed = False
        self.also_held_bytes = 0
        self.on_lost: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    # --- in -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        peer = str(peername[0]) if peername else ""
        if self._counted_as is None:
            self._counted_as = self._owner.admit(peer)
        if self._counted_as is None:
            # No answer: whoever opens too many connections reads none, and writing one could block. Nobody asks what
            # kind of transport it is: uvloop's are none of asyncio's classes.
            cast("asyncio.WriteTransport", transport).abort()
            return
        super().connection_made(transport)
        self.address = self._owner.address(peer)
        self._sink = self.transport
        self._is_encrypted = transport.get_extra_info("sslcontext") is not None
        verified = transport.get_extra_info("peercert")
        if verified:
            self.client_certificate = client_certificate(verified)
        bound_unsent(transport)

    def admit(self, peer: str) -> bool:
        """Count it now, before there is a connection to its *peer*: who may have no other gets no handshake either."""
        self._counted_as = self._owner.admit(peer)
        return self._counted_as is not None

    def given_up(self) -> None:
        """It is not counted any more if it has come to no connection."""
        if self._sink is None:
            self._release()

    def _release(self) -> None:
        if self._counted_as is not None:
            self._owner.release(self._counted_as)
            self._counted_as = None

    def heard(self) -> None:
        self._heard = self._serving is None

    def request_begun(self, request: web.BaseRequest, message: RawRequestMessage) -> None:
        """*request*, whose head is whole, is to be answered; called by who makes requests."""
        self._serving, self.message = request, message
        self._begun += 1
        self._heard = False

    def look_at_head(self, now_s: float) -> None:
        """Close the connection if the time of its head is up; asked for again and again.

        The time runs from the first look that finds the head begun, or the connection open: to note it as bytes come
        took a reading of the clock for every request.
        """
        if self._serving is not None or not (self._begun == 0 or self._heard or self.framing.head_begun):
            self._awaited = -1
        elif self._awaited != self._begun:
            self._awaited, self._head_due_s = self._begun, now_s + limits.HEAD_TIMEOUT_S
        elif self._head_due_s <= now_s:
            self.force_close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more; whether the connection stays open, until what came whole is answered.

        Some end their side with the last request and read on (RFC 9112, section 9.6). Others have left, which looks
        the same: so a body that is not whole, and a WebSocket, end here, and nobody waits for long any more. With TLS no event
        loop keeps one side open.
        """
        if self._is_encrypted or self.on_writable is not None or self._is_body_unfinished():
            return False
        self.half_closed = True
        self._tell_departure()
        self._end_once_answered()
        return True

    def _is_body_unfinished(self) -> bool:
        # One that is broken has its answer coming.
        content = None if self._serving is None else self._serving.content
        return content is not None and not content.is_eof() and content.exception() is None

    def _end_once_answered(self) -> None:
        # Not before aiohttp's loop, which is woken in this turn of the event loop, has begun the next that is here.
        self._bridge_loop.call_soon(self._bridge_loop.call_soon, self._end_if_answered, self._begun)

    def _end_if_answered(self, begun: int) -> None:
        # What came with the last may be begun only after this look, where others have their turn between the two.
        waits = INTERNALS_ARE_KNOWN and self.another_waits
        idle = self._serving is None and self._begun == begun and not waits
        if self.transport is not None and (idle or self._is_body_unfinished()):
            self.transport.close()

    @property
    def may_have_left(self) -> bool:
        """Whether the client sends nothing more; one that has ended only its side still reads."""
        return self.half_closed or self.transport is None

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 (see below)
        self._release()
        # Not with *exc*: aiohttp would give it to the future that a writer waits for, and writer, future and error would
        # hold each other. Who writes on is told.
        super().connection_lost(None)
        # First, since asyncio's of TLS cannot be asked any more.
        self._sink = None
        self._owner.outflow.freed(self)
        self._serving = self.on_writable = None
        self._let_writer_go_on()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        self._tell_departure()

    def _tell_departure(self) -> None:
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    # --- out ----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._owner.outflow.full(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._owner.outflow.freed(self)
        self._let_writer_go_on()
        if self.on_writable is not None:
            self.on_writable()

    async def drained(self) -> bool:
        """Wait until the client has taken nearly all that was written; False once the connection has ended."""
        while self.writing_paused and self.transport is not None:
            self._room = self._bridge_loop.create_future()
            await self._room
        return self.transport is not None

    @property
    def pace(self) -> MinimumRate:
        """As of an `Outlet`."""
        if self._pace is None:
            self._pace = write_pace()
        return self._pace

    def waiting_bytes(self) -> int:
        """As `Outlet.waiting_bytes`."""
        return 0 if self._sink is None else self._sink.get_write_buffer_size()

    def cut(self) -> None:
        """As `Outlet.cut`."""
        if self._sink is not None:
            self._sink.abort()

    def _let_writer_go_on(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # --- answers ------------------------------------------------------------------------------------------------

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (it quotes the input)
    ) -> web.StreamResponse:
        """Called by aiohttp for what the parser refused, and for errors outside of every middleware."""
        if isinstance(exc, ConnectionError):
            # The client has left, and that was logged and counted, or its answer cannot go on. Let out, it would be garbage
            # only the collector finds: aiohttp's loop holds the task that holds the error that holds the loop's frame.
            let_go(exc)
            self.force_close()
            return web.Response()
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun") from exc
        return self._owner.refusal(request, status, exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002 (they quote the input)
        """Called by aiohttp for what ends a connection; nobody is left who could be told."""
        error = kw.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            _log.error("connection_failed", exc_info=error)
        if isinstance(error, BaseException):
            let_go(error)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Called by aiohttp with each answer; what it leaves to be done before the next request: to wait, to rest."""
        response, gone = await web.RequestHandler.finish_response(self, request, resp, start_time)
        if not gone and self.writing_paused:
            gone = not await self.drained()
        if not gone:
            if request.content.exception() is not None:
                await self._see_off()
                gone = True
            elif response.status in REFUSALS:
                await self._owner.rest()
            elif self.another_waits:
                # From Python 3.12 on aiohttp goes on with the next at once: one connection could keep the event loop.
                await asyncio.sleep(0)
        self._serving, self.message = None, _NO_MESSAGE
        if self.half_closed:
            self._end_once_answered()
        return response, gone

    async def _see_off(self) -> None:
        """Say that this was all, and take what still comes for a while: a close with bytes unread takes the answer away."""
        if self.transport is None:
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._ended = self._bridge_loop.create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.LINGER_S):
                await self._ended
