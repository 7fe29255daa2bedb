"""
A connection to Iggy in Iggy's own protocol, for what is asked often: sends, polls and offsets (shell over `frames`).

The SDK does the same in threads of its own: a send and its reply cost 245 us of CPU and 440 us of time there, 85 and
250 here (one connection, measured); what is asked rarely is left to it.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, TypeAlias, cast

from bridge.iggy.address import IggyAddress
from bridge.iggy.client import Dialled, Refusal, refusal
from bridge.iggy.frames import (
    HEAD_BYTES,
    FrameError,
    body_of,
    logged_in,
    login_request,
    reply_bytes,
    request_head,
    unregistered,
)

__all__ = ("Answer", "Line", "dial_line")

Answer: TypeAlias = bytes | FrameError
"""The body of a reply, or why there is none."""

_PING: Final = 1
_BROKEN: Final = "Disconnected"
_DOWN: Final = "Not connected"


class Line(asyncio.Protocol):
    """
    One connection, which carries one request at a time; made by `dial_line`.

    A request is written when the method is called. `FrameError` says why there is no answer; where the connection
    broke, nobody knows whether the request was done.

    Attributes:
        closed: it takes no request any more.
    """

    __slots__ = ("_answered", "_chunks", "_identity", "_left_bytes", "_loop", "_transport", "closed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._identity = unregistered(secrets.token_bytes(16))
        self._transport: asyncio.Transport | None = None
        self._answered: Callable[[Answer], None] | None = None
        # Of a reply that comes in pieces.
        self._chunks: list[bytes] = []
        self._left_bytes = 0
        self.closed = False

    def ask(self, code: int, body: bytes, answered: Callable[[Answer], None]) -> None:
        """
        Ask, and call *answered* once, as soon as the answer is there; never before this has returned.

        Raises:
            FrameError: if nothing was written, since there is no connection, or another request is on its way.
        """
        if self.closed or self._transport is None or self._answered is not None:
            raise FrameError(_DOWN)
        self._answered = answered
        self._transport.writelines((request_head(self._identity, code, len(body)), body))

    def send_binary_request(self, code: int, body: bytes) -> "asyncio.Future[bytes]":
        """As `ask`, with a future; it may be cancelled, the request then is done all the same."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self.ask(code, body, partial(_settle, answer))
        return answer

    def ping(self) -> "asyncio.Future[bytes]":
        """A sign of life."""
        return self.send_binary_request(_PING, b"")

    async def log_in(self, address: IggyAddress) -> str:
        """
        Become the user at *address*; the server's version.

        Raises:
            FrameError: if the server does not let us.
        """
        code, body = login_request(address)
        found = logged_in(self._identity.client, await self.send_binary_request(code, body))
        self._identity = found.identity
        return found.server_version

    def close(self) -> None:
        """Take no more requests, and end when the one that is on its way has its answer."""
        self.closed = True
        if self._answered is None:
            self.abort()

    def abort(self) -> None:
        """End now; a request that is on its way is given up."""
        self.closed = True
        self._answered = None
        if self._transport is not None:
            self._transport.abort()

    # --- the transport's side -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its type.
        self._transport = cast("asyncio.Transport", transport)
        # What is asked goes out at once; uvloop else keeps it until all else that is due has been done.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        if self._left_bytes > len(data):
            self._left_bytes -= len(data)
            self._chunks.append(data)
            return
        if self._chunks:
            self._chunks.append(data)
            data = b"".join(self._chunks)
            self._chunks.clear()
        self._left_bytes = 0
        try:
            self._take(data)
        except FrameError as error:
            self._end(error)

    def connection_lost(self, _: Exception | None) -> None:
        self._end(FrameError(_BROKEN))

    def _take(self, data: bytes) -> None:
        """Data from the beginning of a reply on."""
        size_bytes = reply_bytes(data) if len(data) >= HEAD_BYTES else HEAD_BYTES
        if len(data) < size_bytes:
            self._chunks.append(data)
            self._left_bytes = size_bytes - len(data)
            return
        answered = self._answered
        if answered is None:
            # Nobody asked: the server speaks of itself, the session is over.
            raise FrameError(_BROKEN)
        self._answered = None
        answer: Answer
        try:
            answer = body_of(data[:size_bytes])
        except FrameError as error:
            answer = error
        if self.closed or len(data) > size_bytes:
            self.abort()
        # The last thing done: what it does may ask again.
        answered(answer)

    def _end(self, error: FrameError) -> None:
        answered = self._answered
        self.abort()
        if answered is not None:
            answered(error)


def _settle(future: "asyncio.Future[bytes]", answer: Answer) -> None:
    if future.done():
        return
    if isinstance(answer, FrameError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


async def dial_line(address: IggyAddress, *, timeout_s: float) -> "Dialled[Line] | Refusal":
    """A line that is connected and logged in; or why there is none."""
    loop = asyncio.get_running_loop()
    line = Line(loop)
    try:
        async with asyncio.timeout(timeout_s):
            context = (
                _tls(address.tls_ca_file, validate=address.tls_validate_certificate) if address.tls else None
            )
            transport, _ = await loop.create_connection(
                lambda: line,
                address.host,
                address.port,
                ssl=context,
                server_hostname=(address.tls_domain or address.host) if address.tls else None,
            )
            _tune(transport, address)
            version = await line.log_in(address)
    except TimeoutError:
        line.abort()
        return Refusal("The Iggy server does not answer.", "timeout")
    except OSError as error:
        line.abort()
        return Refusal("The Iggy server cannot be reached.", type(error).__name__)
    except FrameError as error:
        line.abort()
        return refusal(str(error))
    except BaseException:
        line.abort()
        raise
    return Dialled(line, version)


def _tune(transport: asyncio.Transport, address: IggyAddress) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, address.nodelay)
        # Whoever drops idle connections on the way is to be heard of.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


@lru_cache(maxsize=1)
def _tls(ca_file: str | None, *, validate: bool) -> ssl.SSLContext:
    # Reading the roots takes 20 ms; the settings are those of the process.
    context = ssl.create_default_context(cafile=ca_file)
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
