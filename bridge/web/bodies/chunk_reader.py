"""A body as it comes in, for as long as it comes (shell)."""

import asyncio
from typing import Final

from aiohttp import web

from bridge import limits
from bridge.errors import ConnectionFailed, Outcome, RequestBodyTimeout
from bridge.policy.slow_clients import MinimumRate
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.whole import broken_framing
from bridge.web.keys import SERVICES

__all__ = ("ChunkReader",)

# How often a reader who waits looks whether the process is ending.
_LOOK_S: Final = 0.5


class ChunkReader:
    """The body of *request*, in chunks as the socket gave them; *writer* may commit a partial batch while none comes."""

    def __init__(self, request: web.Request, writer: BulkWriter) -> None:
        self._request = request
        self._content = request.content
        self._lifecycle = request.app[SERVICES].lifecycle
        self._writer = writer
        self._pace = MinimumRate(
            patience_s=limits.NDJSON_IDLE_TIMEOUT_S, bytes_per_s_min=limits.NDJSON_BYTES_PER_S_MIN
        )

    async def next(self) -> bytes:
        """
        The next chunk, empty at the end.

        Raises:
            RequestBodyTimeout: if none came for `NDJSON_IDLE_TIMEOUT_S`, or too little in the long run.
            BadRequest: if the framing is broken.
            ConnectionFailed: if the process is ending; what was not read was not written.
            BridgeError: of the writer, as soon as it fails.
        """
        try:
            # The loop looks at its sockets once: a sender who keeps up has more there.
            await asyncio.sleep(0)
            chunk = self._content.read_nowait()
            self._check_draining()
            if chunk or self._content.at_eof():
                self._pace.spend(0.0, len(chunk))
                return chunk
            self._writer.let_partial_go(True)
            chunk = await self._wait()
            self._writer.let_partial_go(False)
        except web.RequestPayloadError as error:
            raise broken_framing(self._request, error) from error
        return chunk

    async def _wait(self) -> bytes:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        until_s = began_s + self._pace.left_s
        reading = asyncio.ensure_future(self._content.readany())
        try:
            while not reading.done():
                left_s = until_s - loop.time()
                if left_s <= 0:
                    raise RequestBodyTimeout(path="body")
                await asyncio.wait(
                    (reading, self._writer.task),
                    timeout=min(left_s, _LOOK_S),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if self._writer.task.done():
                    await self._writer.task
                self._check_draining()
            chunk = reading.result()
            self._pace.spend(loop.time() - began_s, len(chunk))
            return chunk
        finally:
            reading.cancel()

    def _check_draining(self) -> None:
        if self._lifecycle.draining:
            raise ConnectionFailed("The bridge is shutting down.", outcome=Outcome.NOT_WRITTEN)
