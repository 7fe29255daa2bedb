"""The lines of one body, from compressed chunks to the writer (shell over `decompression`, `line_splitter`, `ndjson`)."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from bridge.errors import SerializationError
from bridge.limits import INFLATE_PIECE_BYTES, NDJSON_FAULTS_TOLD, NDJSON_LINE_BYTES_MAX
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.decompression import Inflater
from bridge.web.bodies.line_splitter import LineSplitter, LongLine, Run
from bridge.web.bodies.ndjson import LineFault, Lines, line_steps
from bridge.web.server.turns import in_turns
from bridge.web.wire.bulk import OnError

__all__ = ("LineIntake",)

_STEP: Final = INFLATE_PIECE_BYTES


class LineIntake:
    """
    Holds one chunk, one run of lines and one unfinished line, whatever the body's length.

    Attributes:
        failed: faulty lines so far.
        faults: the first `NDJSON_FAULTS_TOLD` of them.
    """

    def __init__(self, writer: BulkWriter, inflater: Inflater, *, on_error: OnError) -> None:
        self._writer = writer
        self._inflater = inflater
        self._splitter = LineSplitter(line_bytes_max=NDJSON_LINE_BYTES_MAX)
        self._on_error = on_error
        self.failed = 0
        self.faults: list[LineFault] = []

    async def take(self, chunk: bytes) -> None:
        """
        The next chunk of the body; returns when the writer has room for more.

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
                await self._take(self._splitter.feed(piece[start : start + _STEP]))

    async def end(self) -> None:
        """
        There are no more chunks.

        Raises:
            SerializationError, BridgeError: as `take`.
            BadRequest: if a compressed body is cut.
        """
        self._inflater.end()
        await self._take(self._splitter.end())

    async def _take(self, found: list[Run | LongLine]) -> None:
        for run in found:
            stops = self._on_error is OnError.STOP
            steps = line_steps(
                run,
                line_bytes_max=NDJSON_LINE_BYTES_MAX,
                faults_told=1 if stops else NDJSON_FAULTS_TOLD - len(self.faults),
            )
            # The request's time holds for every batch by itself.
            lines = await in_turns(steps, deadline=None)
            if lines.failed and stops:
                await self._stop(lines)
            self.failed += lines.failed
            self.faults += lines.faults
            await self._add(lines.payloads, lines.numbers)

    async def _stop(self, lines: Lines) -> None:
        fault = lines.faults[0]
        self.failed = 1
        self.faults = [fault]
        count = bisect_left(lines.numbers, fault.line)
        await self._add(lines.payloads[:count], lines.numbers[:count])
        raise SerializationError(
            f"Line {fault.line} is no message: {fault.reason}", path=f"line {fault.line}"
        )

    async def _add(self, payloads: Sequence[bytes], numbers: Sequence[int]) -> None:
        if payloads:
            await self._writer.add(payloads, numbers)
