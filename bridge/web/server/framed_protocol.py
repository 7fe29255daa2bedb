"""What comes in on a connection, on its way to aiohttp's parser (shell over `framing`).

Leans on names that aiohttp keeps to itself, as `connection` does.
"""

import asyncio
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from bridge import limits
from bridge.web.server.framing import Framing, TooMuchOverhead

__all__ = ("FramedProtocol",)


class FramedProtocol(web.RequestHandler):
    """
    aiohttp's protocol, which loses nothing that follows a request, and gives each head its time.

    Attributes:
        framing: of what has come.
        half_closed: the client sends nothing more, and may have left.
    """

    __slots__ = ("_head_due", "framing", "half_closed")

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, options: dict[str, Any]) -> None:
        super().__init__(server, loop=loop, **options)
        self.framing = Framing()
        # Whether the next head has a time by which it must be whole.
        self._head_due = False
        self.half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.framing.forget()

    @property
    def may_have_left(self) -> bool:
        """Whether the client sends nothing more; one that has ended only its side still reads."""
        return self.half_closed or self.transport is None

    def parse(self, data: bytes) -> None:
        """As aiohttp; in pieces, where it would lose what follows a request."""
        while data and not (self._buffer_paused or self._reading_paused):
            cut = self.framing.cut(data)
            if cut == len(data):
                break
            if not self._feed(data[:cut]):
                return
            data = data[cut:]
        self._feed(data)

    def _feed(self, piece: bytes) -> bool:
        """Let the parser have *piece*; whether the next may follow."""
        before = self._request_count
        super().data_received(piece)
        begun = self._request_count - before
        last: tuple[RawRequestMessage, StreamReader] | None = None
        if begun:
            message, payload = self._messages[-1]
            if type(message) is not RawRequestMessage:
                # aiohttp queues the refusal behind the request that waits for its body, until that runs out of time.
                if self.framing.unfinished is not None:
                    self.framing.unfinished.set_exception(web.RequestPayloadError("no chunk"))
                return False
            last = message, payload
        took = self.framing.took(piece, begun, last)
        if took.excessive is not None and not self._reading_paused:
            took.excessive.set_exception(TooMuchOverhead())
            self.close()
            return False
        if took.kept and last is not None and last[0].upgrade:
            # Not spoken here, and so a request like any other (RFC 9110, section 7.8).
            self._messages[-1] = (last[0]._replace(upgrade=False), last[1])
        if begun:
            self._head_due = False
        elif self.framing.unfinished is None and not self._head_due and self._waiter is not None:
            self._await_head()
        return not (self._close or self._force_close)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by aiohttp after every read from a body; where nothing was paused there is nothing to go on with."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _await_head(self) -> None:
        """From now on the next head has its time; what is idle without a byte of one has more."""
        self._head_due = True
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        closes_at_s = self._next_keepalive_close_time = self._loop.time() + limits.HEAD_TIMEOUT_S
        self._keepalive_handle = self._loop.call_at(closes_at_s, self._process_keepalive)

    def watch_idleness(self) -> None:
        """A request was answered: from now on the connection is idle."""
        if self.framing.head_begun:
            self._await_head()
            return
        self._head_due = False
        closes_at_s = self._loop.time() + self._keepalive_timeout
        self._next_keepalive_close_time = closes_at_s
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(closes_at_s, self._process_keepalive)
