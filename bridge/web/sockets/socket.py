"""One connection that has become a WebSocket (shell over `framing` and `policy.socket_life`)."""

import asyncio
from collections.abc import Callable
from typing import Final

from bridge.clock import Clock
from bridge.limits import (
    LIVE_WRITE_TIMEOUT_S,
    WS_CLOSE_TIMEOUT_S,
    WS_FRAGMENTS_MAX,
    WS_FREE_BYTES,
    WS_IDLE_TIMEOUT_S,
    WS_PING_INTERVAL_S,
    WS_PINGS_BURST,
)
from bridge.policy.admission import Grant
from bridge.policy.rate_limits import RateLimit
from bridge.policy.socket_life import Sign, SocketLife
from bridge.web.server.connection import BridgeProtocol
from bridge.web.sockets.framing import (
    CloseCode,
    Frame,
    FrameFault,
    FrameReader,
    Opcode,
    close_frame,
    frame_of,
)

#: How often it is looked at; a period ends so much late at most.
LOOK_S: Final = 5.0
# Messages of one read that are handed out in one turn of the loop: at 30 us each, half a millisecond.
_MESSAGES_PER_TURN: Final = 16
# By a name of its own: to find a member of an enumeration takes 400 instructions.
_TEXT: Final = Opcode.TEXT
_CONTROLS: Final = RateLimit("controls", 1.0, WS_PINGS_BURST)
# After which the other side's close frame is waited for; after the others what it sends is not believed any more.
_PEACEFUL: Final = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})


class Socket:
    """Text messages in and out, with everything RFC 6455 has around them.

    Reading stops while nobody asks for a message, so that what is held of a client is bounded by the reader alone;
    writing never waits, so that whoever writes much asks for `writable` first.

    Attributes:
        close_code: what it was closed with; None where the connection ended, or goes on, without.
        in_use: whether somebody waits for something on it; else it is closed after a while.
        gone: the connection has ended; what is written goes nowhere.
        on_room: called when the client has taken what waited for it, or is gone.
    """

    __slots__ = (
        "_clock", "_closing", "_controls_full_at_s", "_deaf", "_grant", "_handed", "_held_bytes",
        "_interrupted", "_life", "_look_timer", "_loop", "_peer_code", "_protocol", "_readable", "_reader",
        "_transport", "_writable", "close_code", "gone", "in_use", "on_room",
    )  # fmt: skip

    def __init__(
        self,
        protocol: BridgeProtocol,
        transport: asyncio.Transport,
        *,
        clock: Clock,
        grant: Grant,
        message_bytes_max: int,
    ) -> None:
        now_s = clock.monotonic_s()
        self._protocol = protocol
        self._transport = transport
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(message_bytes_max=message_bytes_max, fragments_max=WS_FRAGMENTS_MAX)
        self._life = SocketLife(
            now_s,
            ask_after_s=WS_PING_INTERVAL_S,
            stalled_after_s=LIVE_WRITE_TIMEOUT_S,
            idle_after_s=WS_IDLE_TIMEOUT_S,
        )
        self._grant = grant
        self._held_bytes = 0
        self._controls_full_at_s = now_s
        self._handed = 0
        self._readable: asyncio.Future[None] | None = None
        self._writable: set[asyncio.Future[None]] = set()
        self._interrupted = False
        # Of the other side's close frame; 0 where it held none, None before it came.
        self._peer_code: int | None = None
        self.close_code: int | None = None
        # Our close frame is written; after a fault nothing that comes is a frame any more.
        self._closing = self._deaf = False
        self._look_timer: asyncio.TimerHandle | None = None
        self.in_use = False
        self.gone = False
        self.on_room: Callable[[], None] | None = None

    def open(self) -> None:
        """From here on aiohttp gives what comes to `feed_data`, beginning with what has come already; to be ended by `finish`."""
        self._protocol.on_writable = self._wake_writers
        self._protocol.set_parser(self)  # type: ignore[arg-type]
        self._look_timer = self._loop.call_later(LOOK_S, self._look)

    # --- in ---------------------------------------------------------------------------------------------------

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp: these bytes came."""
        self._life.heard(self._clock.monotonic_s())
        if not self._deaf:
            self._reader.feed(data)
            self._hold()
        if self._readable is None:
            self._protocol.pause_reading()
        self._wake_reader()
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp: the connection has ended."""
        self.gone = True
        self._wake_reader()
        self._wake_writers()

    async def receive(self) -> bytes | None:
        """The next text message, UTF-8; None once there is none to wait for: see `close`, or after `interrupt`."""
        while not (self._closing or self._interrupted or self.gone or self._peer_code is not None):
            try:
                frame = self._reader.take()
            except FrameFault as fault:
                self.close(fault.code, fault.reason)
                return None
            if frame is None:
                await self._more()
                continue
            self._let_go()
            if frame.opcode is _TEXT:
                self._life.used(self._clock.monotonic_s())
                await self._give_others_a_turn()
                return frame.payload
            self._control(frame)
        return None

    def interrupt(self) -> None:
        self._interrupted = True
        self._wake_reader()

    def _control(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._peer_code = frame.code or 0
            return
        now_s = self._clock.monotonic_s()
        self._controls_full_at_s, verdict = _CONTROLS.take(self._controls_full_at_s, now_s)
        if not verdict.allowed:
            self.close(CloseCode.POLICY, "too many pings or pongs")
        elif frame.opcode is Opcode.PING:
            self._write(frame_of(Opcode.PONG, frame.payload))

    async def _more(self) -> None:
        """Until anything has changed."""
        self._handed = 0
        self._readable = self._loop.create_future()
        try:
            self._protocol.resume_reading()
            await self._readable
        finally:
            self._readable = None

    async def _give_others_a_turn(self) -> None:
        self._handed += 1
        if not self._handed % _MESSAGES_PER_TURN:
            await asyncio.sleep(0)

    def _hold(self) -> None:
        """What is held beyond a small amount counts as the bodies of requests do."""
        more = self._reader.held_bytes - WS_FREE_BYTES - self._held_bytes
        if more <= 0:
            return
        if not self._grant.hold(more):
            self.close(CloseCode.TRY_AGAIN_LATER, "too much is held already")
        else:
            self._held_bytes += more

    def _let_go(self) -> None:
        if self._held_bytes and self._reader.held_bytes <= WS_FREE_BYTES:
            self._grant.close()
            self._held_bytes = 0

    def _wake_reader(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    # --- out --------------------------------------------------------------------------------------------------

    def send(self, *messages: bytes) -> None:
        """Write text messages, each UTF-8, in one go; nothing where the socket is closing or gone."""
        self._write(b"".join([frame_of(_TEXT, each) for each in messages]))

    @property
    def full(self) -> bool:
        """Whether what was written waits for the client to take it."""
        return self._protocol.writing_paused and not self.gone

    async def writable(self) -> None:
        """Until there is room for more, or nobody to write to."""
        while self.full:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._writable.add(waiter)
            try:
                await waiter
            finally:
                self._writable.discard(waiter)

    def _wake_writers(self) -> None:
        if self.on_room is not None:
            self.on_room()
        for waiter in self._writable:
            if not waiter.done():
                waiter.set_result(None)

    def _write(self, frames: bytes) -> None:
        if not (self._closing or self.gone or self._transport.is_closing()):
            self._transport.write(frames)

    # --- the end ----------------------------------------------------------------------------------------------

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Write our close frame, if none was written; to a client that has sent one, with the code it gave."""
        if self._closing:
            return
        answered = self._peer_code is not None
        self.close_code = (self._peer_code or None) if answered else code
        self._write(close_frame(self.close_code, "" if answered else reason))
        self._closing = True
        self._deaf = not answered and code not in _PEACEFUL
        self._wake_reader()

    async def finish(self) -> None:
        """Wait for the other side's close frame, for a short while, and end the connection; `close` was called."""
        if self._look_timer is not None:
            self._look_timer.cancel()
        try:
            async with asyncio.timeout(WS_CLOSE_TIMEOUT_S):
                if self._deaf and not self.gone and self._transport.can_write_eof():
                    # All of it is read and dropped until the client has left too: closing on something unread would
                    # reset the connection, and our last word be lost.
                    self._transport.write_eof()
                while not self.gone and (self._deaf or self._peer_code is None):
                    if self._deaf or not self._took_close():
                        await self._more()
        except (TimeoutError, OSError):
            pass
        finally:
            self._grant.close()
            self._protocol.on_writable = self.on_room = None
            if not self.gone and self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()

    def _took_close(self) -> bool:
        """Go past what came meanwhile; whether something came."""
        try:
            frame = self._reader.take()
        except FrameFault:
            self._deaf = True
            return True
        self._let_go()
        if frame is not None and frame.opcode is Opcode.CLOSE:
            self._peer_code = frame.code or 0
        return frame is not None

    def _look(self) -> None:
        self._look_timer = self._loop.call_later(LOOK_S, self._look)
        sign = self._life.look(
            self._clock.monotonic_s(),
            listening=self._readable is not None,
            in_use=self.in_use,
            waiting_bytes=self._transport.get_write_buffer_size() if self.full else 0,
        )
        if sign is Sign.ASK:
            self._write(frame_of(Opcode.PING))
        elif sign is Sign.IDLE:
            self.close(CloseCode.NORMAL, "idle")
        elif sign is not Sign.FINE:
            # Nobody is there who would take a close frame.
            self._transport.abort()
