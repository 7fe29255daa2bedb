"""One connection and its requests, one after the other (shell).

Leans on names that aiohttp keeps to itself; pyproject pins its minor, and `tests/hardening/test_server_hooks.py` stands
by each of them.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

import structlog
from aiohttp import StreamReader, hdrs, web
from aiohttp.http import HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD

from bridge.policy.pace import Pace
from bridge.tracebacks import let_go
from bridge.web.server.arrivals import Arrival, ArrivalFactory
from bridge.web.server.framed_protocol import FramedProtocol
from bridge.web.server.framing import HEAD_END
from bridge.web.server.heads import Known, KnownHeads
from bridge.web.server.outflow import Outflow, bound_unsent, write_pace
from bridge.web.server.plain_answers import OnAnswer, plain_answer

__all__ = ("BridgeProtocol", "ConnectionOwner")

# "Not now": whoever asks again at once gets nothing but the same answer.
_REFUSALS: Final = frozenset({429, 503})

_log = structlog.get_logger("bridge.web")


class ConnectionOwner(Protocol):
    """What a connection asks of its server."""

    #: Tells what every answer carries.
    on_plain_answer: OnAnswer
    #: Makes a request of what was parsed.
    arrived: ArrivalFactory
    #: Bound of a body.
    body_bytes_max: int
    #: Is told when the connection is full.
    outflow: Outflow

    def admit(self, transport: asyncio.BaseTransport) -> str | None: ...
    def release(self, counted_as: str) -> None: ...
    async def rest(self) -> None: ...
    @property
    def heads(self) -> KnownHeads: ...
    def refusal(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> web.Response: ...


class BridgeProtocol(FramedProtocol):
    """
    One connection.

    Attributes:
        on_lost: called once when the connection has ended, or its client may have left; set by `departures` while a
            request waits for long.
        on_writable: called when a connection that was full takes something again; set by a WebSocket.
        also_held_bytes: as of an `Outlet`; set by who writes page after page.
    """

    __slots__ = (
        "_between",
        "_counted_as",
        "_ended",
        "_last_head",
        "_owner",
        "_pace",
        "_room",
        "_sink",
        "_unused_writer",
        "also_held_bytes",
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
        self._owner = owner
        self._counted_as: str | None = None
        # Whether the parser has nothing half-read, and this class's own loop is the one that waits.
        self._between = True
        self._last_head = b""
        # Done when the connection has ended; made by who waits for that.
        self._ended: asyncio.Future[None] | None = None
        # Plain answers leave it as it is, so that the next request can have it.
        self._unused_writer: StreamWriter | None = None
        # Done when a connection that was full takes something again, or has ended.
        self._room: asyncio.Future[None] | None = None
        # Also while aiohttp, which has closed it, has forgotten it, and something still waits to be taken.
        self._sink: asyncio.Transport | None = None
        self._pace: Pace | None = None
        self.also_held_bytes = 0
        self.on_lost: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._counted_as = self._owner.admit(transport)
        if self._counted_as is None:
            # No answer: whoever opens too many connections reads none, and writing one could block. Nobody asks what
            # kind of transport it is: uvloop's are none of asyncio's classes.
            cast("asyncio.WriteTransport", transport).abort()
            return
        super().connection_made(transport)
        self._sink = self.transport
        bound_unsent(transport)

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 (see below)
        if self._counted_as is not None:
            self._owner.release(self._counted_as)
            self._counted_as = None
        # Not with *exc*: aiohttp would give it to the future that a writer waits for, and writer, future and error would
        # hold each other. Who writes on is told.
        super().connection_lost(None)
        self._owner.outflow.freed(self)
        self._unused_writer = self.on_writable = self._sink = None
        self._let_writer_go_on()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        self._tell_departure()

    def eof_received(self) -> bool:  # type: ignore[override]
        """
        The client sends nothing more; whether the connection stays open, until what came whole is answered.

        Some end their side with the last request and read on (RFC 9112, section 9.6). Others have left, which looks
        the same: so a body that is not whole, and a WebSocket, end here, and nobody waits for long any more.
        """
        waiter = self._waiter
        if self._close or self.on_writable is not None or self.framing.unfinished is not None:
            return False
        if self._messages:
            message, payload = self._messages[-1]
            if type(message) is RawRequestMessage:
                self._messages[-1] = (message._replace(should_close=True), payload)
        elif self._request_in_progress or (waiter.done() if waiter is not None else self._request_count):
            self.close()
        else:
            return False
        self.half_closed = True
        self._tell_departure()
        return True

    def _tell_departure(self) -> None:
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

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
            self._room = self._loop.create_future()
            await self._room
        return self.transport is not None

    @property
    def pace(self) -> Pace:
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

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (it quotes the input)
    ) -> web.StreamResponse:
        """Called by aiohttp for what the parser refused, and for errors outside of every middleware."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun") from exc
        if isinstance(exc, ConnectionError):
            # The client has left, and that was logged and counted; nobody is there who could be answered.
            raise exc
        return self._owner.refusal(request, status, exc)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop, and by aiohttp with nothing where reading goes on."""
        if not self._between:
            self.parse(data)
            return
        # aiohttp's future, which it resolves with None; this loop looks at the result.
        waiter = cast("asyncio.Future[Known | None] | None", self._waiter)
        if waiter is not None and not waiter.done():
            known = self._owner.heads.find(data)
            if known is not None:
                waiter.set_result(known)
                return
        begun = self._request_count
        self.parse(data)
        if data:
            self._between = self._request_count == begun + 1 and self._came_whole(data)

    def _came_whole(self, data: bytes) -> bool:
        """Whether *data*, in which one request began, was that and nothing else; its head is learned the second time."""
        message, payload = self._messages[-1]
        if (
            type(message) is not RawRequestMessage
            or not payload.is_eof()
            or message.chunked
            or message.upgrade
        ):
            return False
        head_bytes = data[: data.find(HEAD_END) + len(HEAD_END)]
        body_bytes = int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
        if len(data) != len(head_bytes) + body_bytes:
            return False
        if head_bytes == self._last_head:
            self._owner.heads.learn(head_bytes, message, body_bytes)
        self._last_head = head_bytes
        return True

    async def start(self) -> None:
        """
        Serve requests until the connection ends.

        aiohttp's own loop makes a task for each request, to give each a context of its own. Here the connection's
        task serves them all, and `identity` sets and resets the one context variable there is. Together with
        `plain_answers` that took the server's own part from 44 to 35 us a request. At the first that is no plain HTTP/1.1 request, aiohttp's loop takes over.
        """
        while not self._force_close:
            known: Known | None = None
            if not self._messages:
                # In no name of this frame: its end is an error that names the frame, and the future would name that.
                self._waiter = self._loop.create_future()
                try:
                    known = await cast("asyncio.Future[Known | None]", self._waiter)
                finally:
                    self._waiter = None
            request = self._arrived(known)
            if request is None:
                # aiohttp's loop waits and reads in its own way from here on.
                self._between = False
                await super().start()
                return
            if not await self._serve(request):
                break
            # While nothing comes it would be held.
            del request, known
            self.watch_idleness()
            if self._messages:
                # Whoever sends many requests without waiting for answers must not keep the loop to himself.
                await asyncio.sleep(0)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    def _arrived(self, known: Known | None) -> Arrival | None:
        """The next request; None where it is not one for this loop."""
        task, writer = self._task_handler, self._unused_writer
        if task is None:
            raise ConnectionResetError
        if writer is None:
            writer = self._unused_writer = StreamWriter(self, self._loop)
        if known is not None:
            return Arrival(
                known.head,
                known.body,
                EMPTY_PAYLOAD,
                self,
                writer,
                task,
                self._loop,
                body_bytes_max=self._owner.body_bytes_max,
            )
        message, payload = self._messages[0]
        if type(message) is not RawRequestMessage or message.version != HttpVersion11 or message.upgrade:
            return None
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return self._owner.arrived(message, payload, self, writer, task)

    async def _serve(self, request: Arrival) -> bool:
        """Answer one request; whether there may be another."""
        manager, handler = self._manager, self._request_handler
        if manager is None or handler is None:
            return False
        manager.requests_count += 1
        self._request_in_progress, self._current_request = True, request
        try:
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 (every middleware has let it pass)
                response = self._last_answer(request, error)
                let_go(error)
            self._current_request = None
            transport = self.transport
            if transport is None or not plain_answer(
                request, response, transport, self._owner.on_plain_answer
            ):
                self._unused_writer = None
                response, gone = await self.finish_response(request, response, None)
                if gone:
                    return False
            elif self.writing_paused and not await self.drained():
                return False
            kept = response.keep_alive
            self._keepalive = request.keep_alive if kept is None else kept
            payload = request._payload  # noqa: SLF001 (`content` would make one)
            if response.status in _REFUSALS or not payload.is_eof():
                await self._linger(payload, response)
        except asyncio.CancelledError:
            self.force_close()
            raise
        except ConnectionError as error:
            let_go(error)
            return False
        except Exception as error:  # noqa: BLE001 (nobody is left who could be told)
            _log.exception("connection_failed")
            let_go(error)
            self.force_close()
            return False
        finally:
            self._request_ended()
            # A request that holds the task that holds its traceback is garbage only the collector finds.
            request._task = None  # type: ignore[assignment]  # noqa: SLF001
        return self._keepalive and not self._close and not self._force_close

    def _last_answer(self, request: Arrival, error: Exception) -> web.StreamResponse:
        return error if isinstance(error, web.HTTPException) else self.handle_error(request, 500, error)

    def _request_ended(self) -> None:
        self._request_in_progress, self._current_request = False, None
        waiter = self._handler_waiter
        if waiter is not None and not waiter.done():
            # `shutdown` waits for this request.
            waiter.set_result(None)

    async def _linger(self, payload: StreamReader, response: web.StreamResponse) -> None:
        """What an answer leaves to be done before the next request: to read on, to rest."""
        self._request_ended()
        if not payload.is_eof() and not self._force_close:
            await self._read_on(payload)
        if response.status in _REFUSALS:
            await self._owner.rest()

    async def _read_on(self, payload: StreamReader) -> None:
        """Read on for a while, so that a caller who still sends gets to see the answer; then close."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        except TimeoutError:
            self.close()
        except web.RequestPayloadError:
            self.close()
            await self._see_off()

    async def _see_off(self) -> None:
        """Say that this was all, and take what still comes for a while: a close with bytes unread takes the answer away."""
        if self.transport is None:
            return
        self.transport.write_eof()
        self._ended = self._loop.create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                await self._ended
