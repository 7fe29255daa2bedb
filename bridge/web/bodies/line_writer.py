"""Records as lines of one long answer, to a client that may be slow (shell)."""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import hdrs, web

from bridge.clock import Deadline
from bridge.limits import BULK_PART_BYTES, BULK_PART_MESSAGES
from bridge.messagelog import Records
from bridge.policy.body_kinds import Coding
from bridge.web.bodies.codings import deflater_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.answer_headers import send_head
from bridge.web.server.departures import protocol_of
from bridge.web.wire.accept import preferred_coding
from bridge.web.wire.heavy_pages import made_ready
from bridge.web.wire.pages import single_lines


def page_deadlines(request: web.Request) -> Callable[[], Deadline]:
    """The time that *request* has left, for every page by itself."""
    clock, timeout_s = request[EXCHANGE].services.clock, request[EXCHANGE].deadline.remaining_s()
    return lambda: Deadline.after(timeout_s, clock)


class LineWriter:
    """The answer to *request*: NDJSON, compressed as its client prefers; made by `open`.

    Attributes:
        response: prepared.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, coding: Coding) -> None:
        self._protocol = protocol_of(request)
        self._encoder = request[EXCHANGE].services.pages
        self._deflater = deflater_of(coding)
        self.response = response

    @classmethod
    async def open(cls, request: web.Request, headers: Mapping[str, str]) -> "LineWriter":
        """Send the head, with *headers* in it."""
        coding = preferred_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/x-ndjson"
        if coding is not Coding.IDENTITY:
            response.headers[hdrs.CONTENT_ENCODING] = coding.name.lower()
        writer = cls(request, response, coding)
        await send_head(request, response)
        return writer

    async def write(self, records: Records, *, lead: bytes) -> None:
        """One page, each line of which begins with *lead*; returns when only 64 KiB wait for the client.

        Raises:
            ConnectionResetError: if the client is gone, or was cut because it took too little (`outflow`).
        """
        # This page, and the next, which is read meanwhile.
        self._protocol.also_held_bytes = 2 * records.payload_bytes
        try:
            for part in records.parts(messages_max=BULK_PART_MESSAGES, bytes_max=BULK_PART_BYTES):
                await made_ready(self._encoder, part, deadline=None, once=True)
                await self.write_lines(self._lines(part, lead))
            await self.flush()
        finally:
            self._protocol.also_held_bytes = 0

    async def write_lines(self, lines: bytes) -> None:
        """Lines that were made already, about `BULK_PART_BYTES` of them.

        Raises:
            ConnectionResetError: as `write`.
        """
        if self._deflater is not None:
            # Beside the event loop: a part takes some milliseconds, and the lock of the interpreter is let go.
            lines = await asyncio.to_thread(self._deflater.feed, lines)
        await self._send(lines)
        # A fast client never makes a write wait; others must get their turn all the same.
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """What was written is seen now, though what follows may take a while.

        Raises:
            ConnectionResetError: as `write`.
        """
        if self._deflater is not None:
            await self._send(self._deflater.flush())

    async def end(self) -> None:
        """Say that nothing follows.

        Raises:
            ConnectionResetError: as `write`.
        """
        if self._deflater is not None:
            await self._send(self._deflater.end())
        await self.response.write_eof()

    def _lines(self, records: Records, lead: bytes) -> bytes:
        # To look for one in all payloads takes 0.03 us a line, to count those of the text 0.2 us (measured).
        payloads = b"".join(records.payloads)
        if b"\n" not in payloads and b"\r" not in payloads:
            return self._encoder.joined(records, lead=lead, end=b"\n", once=True)
        lines = single_lines(self._encoder.lines(records, lead=lead, once=True))
        return b"".join([line + b"\n" for line in lines])

    async def _send(self, data: bytes) -> None:
        if data:
            await self.response.write(data)
