"""One reader of server-sent events (shell): from its first byte to its last."""

import asyncio
from typing import Final

from aiohttp import web

from bridge.errors import BridgeError
from bridge.flow.following.batches import Positions
from bridge.flow.following.fan_out import Sink
from bridge.flow.following.follow import Follower
from bridge.web.keys import EXCHANGE
from bridge.web.live import sse
from bridge.web.live.sse import EventForm
from bridge.web.live.streams import EndReason, reason_of
from bridge.web.server.departures import protocol_of
from bridge.web.wire.problems import problem_object

# After it was told to end, for what it is just doing: mostly nothing, or one read of the log.
_END_PATIENCE_S: Final = 1.0


class SseStream:
    """What a follower gives, written to the connection of *request*.

    A reader that has everything is live: one write to its transport for each run, of bytes that all readers share and
    that are chunks already; its task sleeps. One whose transport is full waits in its task, and then reads on from where
    it stands.

    Args:
        response: prepared.
        retry_ms: how long the reader is to wait before it comes back.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, *, retry_ms: int) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._request = request
        self._response = response
        self._transport = transport
        self._protocol = protocol_of(request)
        self._follower: Follower | None = None
        self._form: EventForm | None = None
        self._retry_ms = retry_ms
        self._patience: asyncio.Timeout | None = None
        self._ending = False
        self._reason = EndReason.SHUTDOWN
        self._problem: dict[str, object] | None = None
        self._bytes = self._bytes_at_beat = 0
        # Where the reader knows itself to be without an event: what was left out moves it on.
        self._told: Positions = ()
        self._gone = False

    async def run(self, follower: Follower, form: EventForm) -> None:
        """Write what *follower* gives until the client leaves, the process drains, or the topic is no more.

        Raises:
            ConnectionResetError: if the client left before it had anything, or was cut because it took too little (`outflow`).
        """
        self._follower, self._form = follower, form
        self._told = follower.positions
        await self._response.write(
            sse.open_block(form.position(self._told), topic=form.topic, retry_ms=self._retry_ms)
        )
        if not self._ending:
            await self._deliver(follower, form)
        if self._gone:
            return
        if self._protocol.writing_paused:
            # Closing would wait for what the client does not take.
            self._transport.abort()
            raise ConnectionResetError("the client takes nothing")
        position = form.position(follower.positions)
        bye = sse.bye_block(position, retry_ms=self._retry_ms, reason=self._reason, problem=self._problem)
        self._write(sse.chunk(bye))
        self._request.writer.output_size += self._bytes
        await self._response.write_eof()

    async def _deliver(self, follower: Follower, form: EventForm) -> None:
        try:
            async with asyncio.timeout(None) as self._patience:
                await follower.run(Sink(form.key, form.joined, self._write, self._drain))
        except TimeoutError:
            if not self._ending:
                raise
        except BridgeError as error:
            self._reason = reason_of(error)
            exchange = self._request[EXCHANGE]
            self._problem = problem_object(
                error,
                request_id=exchange.request_id,
                instance=exchange.route,
                trace_id=None if exchange.trace is None else exchange.trace.trace_id,
            )
        finally:
            self._patience = None

    def _write(self, data: bytes) -> bool:
        self._bytes += len(data)
        try:
            self._transport.write(data)
        except RuntimeError:
            # uvloop's, of a connection that it has closed and not yet told of.
            if not self._transport.is_closing():
                raise
            raise ConnectionResetError("the client is gone") from None
        return not self._protocol.writing_paused

    async def _drain(self) -> None:
        if not await self._protocol.drained():
            raise ConnectionResetError("the client is gone")

    def beat(self) -> None:
        """If nothing was written since the last beat: where the reader stands if it was not told, else a comment."""
        follower, form = self._follower, self._form
        is_silent = self._bytes == self._bytes_at_beat
        if is_silent and not self._protocol.writing_paused and not self._transport.is_closing():
            # Without a filter the reader knows its place by the last event.
            if (
                follower is not None
                and form is not None
                and form.event_types
                and follower.positions != self._told
            ):
                self._told = follower.positions
                self._write(sse.chunk(sse.progress_block(form.position(self._told))))
            else:
                self._write(sse.HEARTBEAT)
        self._bytes_at_beat = self._bytes

    def farewell(self) -> None:
        """The process drains."""
        self._end()

    def dismiss(self) -> None:
        """Its reader is let in no more."""
        self._reason = EndReason.UNAUTHORIZED
        self._end()

    def left(self) -> None:
        """The client is gone."""
        self._gone = True
        self._end()

    def _end(self) -> None:
        self._ending = True
        if self._follower is not None:
            self._follower.stop()
        patience = self._patience
        if patience is not None and not patience.expired():
            patience.reschedule(asyncio.get_running_loop().time() + _END_PATIENCE_S)
