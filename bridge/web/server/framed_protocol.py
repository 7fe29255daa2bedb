"""What comes in on a connection, on its way to aiohttp's parser (shell over `framing`).

The only file that says names which aiohttp keeps to itself: no public one tells what the parser made of the bytes it was
given, and so where a request ends, before its handler runs. `INTERNALS_ARE_KNOWN` says whether they are all there. If
not, every byte goes to aiohttp as it came: then an `Upgrade` that is not spoken here ends its connection after the
answer (`requests`), and broken or padded chunks are refused when the time of their body is up.
"""

import asyncio
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from bridge.web.server.framing import Framing, TooMuchOverhead

_NAMES: Final = frozenset({"_messages", "_close", "_force_close", "_reading_paused", "_buffer_paused"})


def _all_slots(kind: type) -> set[str]:
    return {name for each in kind.__mro__ for name in getattr(each, "__slots__", ())}


#: Whether this aiohttp has the names that this file says.
INTERNALS_ARE_KNOWN: Final = _all_slots(web.RequestHandler) >= _NAMES


class FramedProtocol(web.RequestHandler):
    """aiohttp's protocol, which loses nothing that follows a request.

    Attributes:
        framing: of what has come; knows nothing where the names of this file are not all there.
    """

    __slots__ = ("framing",)

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, options: dict[str, Any]) -> None:
        super().__init__(server, loop=loop, **options)
        self.framing = Framing()

    @property
    def another_waits(self) -> bool:
        """Whether a request that came with the last is to be answered; also where the names of this file are not there."""
        return not INTERNALS_ARE_KNOWN or bool(self._messages)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.framing.forget()

    def data_received(self, data: bytes) -> None:
        """As aiohttp; in pieces, where it would lose what follows a request."""
        if not INTERNALS_ARE_KNOWN:
            self.heard()
            super().data_received(data)
            return
        while data and not (self._buffer_paused or self._reading_paused):
            cut = self.framing.cut(data)
            if cut == len(data):
                break
            if not self._feed(data[:cut]):
                return
            data = data[cut:]
        self._feed(data)

    def heard(self) -> None:
        """Called with bytes of which `framing` is not told."""

    def _feed(self, piece: bytes) -> bool:
        """Let the parser have *piece*; whether the next may follow."""
        waiting = len(self._messages)
        # By its name: `super()` takes 1,000 instructions, here and for each answer.
        web.RequestHandler.data_received(self, piece)
        begun = len(self._messages) - waiting
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
        return not (self._close or self._force_close)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by aiohttp after every read from a body; where nothing was paused there is nothing to go on with."""
        if not INTERNALS_ARE_KNOWN or self._reading_paused:
            super().resume_reading(resume_parser)
