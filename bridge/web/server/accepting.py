"""Taking connections off a listening socket (shell)."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from bridge.limits import ACCEPT_REST_S, ACCEPTS_PER_TURN, TLS_HANDSHAKE_DRAIN_S
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.handshakes import Handshakes

_log = structlog.get_logger("bridge.web")
# The caller was gone again, or the network has a word; the next one may be well.
_PASSING: Final = frozenset(
    {errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
)


class PromptSite(web.BaseSite):
    """A site that takes several connections in one turn of the event loop.

    uvloop takes one (libuv >= 1.45). While the loop is busy a turn takes 10 ms or more, so that 640 callers who came at
    once waited up to 3 s, and with them every probe on a connection of its own.

    Out of descriptors, it rests and leaves them in the queue of the kernel instead of dying or of closing them.

    Args:
        sock: listens and does not block; closed by `stop`.
        failed: told the name of each error that made it rest.
        handshakes: of a port that speaks TLS.
    """

    __slots__ = ("_failed", "_handshakes", "_loop", "_opening", "_resting", "_sock", "_web_runner")

    def __init__(
        self,
        runner: web.BaseRunner,
        sock: socket.socket,
        *,
        failed: Callable[[str], None],
        handshakes: Handshakes | None = None,
    ) -> None:
        super().__init__(runner)
        self._web_runner = runner
        self._sock = sock
        self._failed = failed
        self._handshakes = handshakes
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._resting: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The address; the port is the last number."""
        return str(self._sock.getsockname())

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._sock.getsockname()[1])

    async def start(self) -> None:
        await super().start()
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def stop(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._opening:
            _, late = await asyncio.wait(self._opening, timeout=TLS_HANDSHAKE_DRAIN_S)
            for each in late:
                each.cancel()
            if late:
                await asyncio.wait(late)
        await super().stop()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._rest(error)
                return
            connection.setblocking(False)
            opening = self._loop.create_task(self._open(connection, str(address[0])))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, peer: str) -> None:
        server = self._web_runner.server
        try:
            if server is not None and self._handshakes is not None:
                protocol = server()
                if isinstance(protocol, BridgeProtocol) and protocol.admit(peer):
                    await self._handshakes.shake(protocol, connection)
                    return
            elif server is not None:
                await self._loop.connect_accepted_socket(server, connection)
                return
        except OSError:
            # Gone already; nobody is left to be told.
            pass
        connection.close()

    def _rest(self, error: OSError) -> None:
        """No descriptor or memory for another one: those that are open go on, and soon one of them ends."""
        name = errno.errorcode.get(error.errno or 0, "unknown")
        self._failed(name)
        _log.error("accept_failed", error=name, rest_s=ACCEPT_REST_S)
        self._loop.remove_reader(self._sock.fileno())
        self._resting = self._loop.call_later(
            ACCEPT_REST_S, self._loop.add_reader, self._sock.fileno(), self._accept
        )
