"""The lines of one body, from the socket's chunks to the writer (shell over `codings` and `ndjson`)."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from aiohttp import web

from bridge import limits
from bridge.errors import ConnectionFailed, Outcome, RequestBodyTimeout, SerializationError
from bridge.limits import INFLATE_PIECE_BYTES, NDJSON_FAULTS_TOLD, NDJSON_LINE_BYTES_MAX
from bridge.messagelog import NO_HEADERS, Headers
from bridge.policy.slow_clients import MinimumRate
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.codings import Inflater
from bridge.web.bodies.ndjson import LineFault, Lines, LineSplitter, LongLine, Run, line_steps
from bridge.web.bodies.whole import broken_framing
from bridge.web.bodies.whole_messages import whole_steps
from bridge.web.keys import EXCHANGE
from bridge.web.server.turns import in_turns
from bridge.web.wire.bulk import LineKind, OnError

_Message = TypeVar("_Message")
# How often a reader who waits looks whether the process is ending.
_LOOK_S: Final = 0.5


class ChunkReader:
    """The body of *request*, in chunks as the socket gave them; *writer* may commit a partial batch while none comes."""

    def __init__(self, request: web.Request, writer: BulkWriter) -> None:
        self._request = request
        self._content = request.content
        self._lifecycle = request[EXCHANGE].services.lifecycle
        self._writer = writer
        self._pace = MinimumRate(
            patience_s=limits.NDJSON_IDLE_TIMEOUT_S, bytes_per_s_min=limits.NDJSON_BYTES_PER_S_MIN
        )

    async def next(self) -> bytes:
        """The next chunk, empty at the end.

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


_STEP: Final = INFLATE_PIECE_BYTES


class LineIntake:
    """Holds one chunk, one run of lines and one unfinished line, whatever the body's length.

    Args:
        line_bytes_max: of a line without its end.
        headers: of whole messages, but where they have one of that name.
        hold: told how many bytes more are held, where a line is longer than `NDJSON_LINE_BYTES_MAX`; the longest counts.

    Attributes:
        failed: faulty lines so far.
        faults: the first `NDJSON_FAULTS_TOLD` of them.
    """

    def __init__(
        self,
        writer: BulkWriter,
        inflater: Inflater,
        *,
        on_error: OnError,
        line_kind: LineKind = LineKind.VALUES,
        line_bytes_max: int = NDJSON_LINE_BYTES_MAX,
        headers: Headers = NO_HEADERS,
        hold: Callable[[int], None] | None = None,
    ) -> None:
        self._writer = writer
        self._inflater = inflater
        self._splitter = LineSplitter(line_bytes_max=line_bytes_max)
        self._line_bytes_max = line_bytes_max
        self._headers = headers
        self._hold = hold
        self._held_bytes = NDJSON_LINE_BYTES_MAX
        self._on_error = on_error
        self._line_kind = line_kind
        self.failed = 0
        self.faults: list[LineFault] = []

    async def take(self, chunk: bytes) -> None:
        """The next chunk of the body; returns when the writer has room for more.

        Raises:
            SerializationError: at the first faulty line, if that shall stop; those before it are with the writer.
            BadRequest, PayloadTooLarge: of the inflater.
            BridgeError: of the writer.
        """
        waited = True
        for piece in self._inflater.feed(chunk):
            # The socket may give more at once than others should wait for, and a little of it may become much, or much
            # of it nothing.
            for start in range(0, len(piece) or 1, _STEP):
                if not waited:
                    await asyncio.sleep(0)
                waited = False
                found = self._splitter.feed(piece[start : start + _STEP])
                self._hold_line()
                await self._take(found)

    async def end(self) -> None:
        """There are no more chunks.

        Raises:
            SerializationError, BridgeError: as `take`.
            BadRequest: if a compressed body is cut.
        """
        self._inflater.end()
        await self._take(self._splitter.end())

    def _hold_line(self) -> None:
        more = self._splitter.held_bytes - self._held_bytes
        if more > 0 and self._hold is not None:
            self._hold(more)
            self._held_bytes += more

    async def _take(self, found: list[Run | LongLine]) -> None:
        for run in found:
            stops = self._on_error is OnError.STOP
            faults_told = 1 if stops else NDJSON_FAULTS_TOLD - len(self.faults)
            steps = line_steps(run, line_bytes_max=self._line_bytes_max, faults_told=faults_told)
            # The request's time holds for every batch by itself.
            lines = await in_turns(steps, deadline=None)
            if self._line_kind is LineKind.VALUES:
                await self._add(lines, self._writer.add, stops=stops)
                continue
            whole = whole_steps(lines, faults_told=faults_told, headers=self._headers)
            await self._add(await in_turns(whole, deadline=None), self._writer.add_messages, stops=stops)

    async def _add(
        self,
        lines: Lines[_Message],
        add: Callable[[Sequence[_Message], Sequence[int]], Awaitable[None]],
        *,
        stops: bool,
    ) -> None:
        """Give *add* the messages of *lines*: all, or those before the first fault where that *stops*."""
        messages, numbers, faults, failed = lines
        fault = faults[0] if failed and stops else None
        if fault is not None:
            count = bisect_left(numbers, fault.line)
            messages, numbers, failed = messages[:count], numbers[:count], 1
        self.failed += failed
        self.faults += faults
        if messages:
            await add(messages, numbers)
        if fault is not None:
            raise SerializationError(
                f"Line {fault.line} is no message: {fault.reason}", path=f"line {fault.line}"
            )
