"""A partition as a stream of lines (shell): a page is written while the next one is read, and no more is held."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator
from typing import Final

from aiohttp import web

from bridge.clock import Clock, Deadline
from bridge.limits import (
    BULK_PAGE_MESSAGES,
    BULK_PART_BYTES,
    BULK_PART_MESSAGES,
)
from bridge.messagelog import FromOffset, Last, MessageLog, Page, Position, Records, TopicRef
from bridge.policy.body_kinds import Coding
from bridge.web.bodies.compression import deflater_of
from bridge.web.server.departures import protocol_of
from bridge.web.wire.heavy_pages import made_ready
from bridge.web.wire.pages import ONE_LINE, PageEncoder
from bridge.web.wire.queries import BulkQuery

__all__ = ("BulkRead", "LineWriter")

_LET_END_S: Final = 1.0


class BulkRead:
    """
    One stream from a partition.

    Args:
        page_timeout_s: for each page by itself.

    Attributes:
        end_offset: the offset that the stream goes up to, not including it; None where there is nothing to give.
            Known once `begin` returned.
    """

    def __init__(
        self, log: MessageLog, topic: TopicRef, query: BulkQuery, *, clock: Clock, page_timeout_s: float
    ) -> None:
        self._log = log
        self._topic = topic
        self._query = query
        self._clock = clock
        self._page_timeout_s = page_timeout_s
        self._first: Page | None = None
        self.end_offset: int | None = None

    async def begin(self) -> None:
        """
        Read the first page, and with it where the stream will end.

        Raises:
            StreamNotFound, TopicNotFound, PartitionNotFound: if the place is missing.
            LogError: if the log cannot be read.
        """
        query = self._query
        position = query.position
        if isinstance(position, Last):
            newest = await self._read(position, count=1)
            position = FromOffset(max(0, newest.end_offset - query.messages_max))
        page = self._first = await self._read(
            position, count=min(query.messages_max or BULK_PAGE_MESSAGES, BULK_PAGE_MESSAGES)
        )
        if not page.messages:
            return
        begin_offset = page.messages[0].offset
        end_offset = page.end_offset
        if query.messages_max:
            end_offset = min(end_offset, begin_offset + query.messages_max)
        if isinstance(query.until, FromOffset):
            end_offset = min(end_offset, query.until.offset)
        elif query.until is not None:
            after = await self._read(query.until, count=1)
            if after.messages:
                end_offset = min(end_offset, after.messages[0].offset)
        self.end_offset = end_offset if end_offset > begin_offset else None

    async def pages(self) -> AsyncGenerator[Records, None]:
        """
        What there is up to `end_offset`; the next page is being read while one is used. To be closed when left early.

        Raises:
            LogError: if the log cannot be read.
        """
        page, end_offset = self._first, self.end_offset
        self._first = None
        while page is not None and page.messages and end_offset is not None:
            records = page.messages
            following = records.offsets[-1] + 1
            ahead = asyncio.create_task(self._next(following)) if following < end_offset else None
            page = None
            try:
                # The log is asked before the page is used, not when that first waits for something.
                await asyncio.sleep(0)
                yield records.part(0, bisect_left(records.offsets, end_offset))
                del records
                if ahead is not None:
                    page = await ahead
            finally:
                if ahead is not None:
                    await _let_end(ahead)

    async def _next(self, offset: int) -> Page:
        return await self._read(FromOffset(offset), count=BULK_PAGE_MESSAGES)

    async def _read(self, position: Position, *, count: int) -> Page:
        deadline = Deadline.after(self._page_timeout_s, self._clock)
        return await self._log.read(
            self._topic, self._query.partition_id, position, count=count, deadline=deadline
        )


async def _let_end(ahead: "asyncio.Task[Page]") -> None:
    """A read that nobody needs mostly ends by itself, soon: one that is cancelled costs Iggy's client its connection."""
    if not ahead.done():
        await asyncio.wait({ahead}, timeout=_LET_END_S)
        ahead.cancel()
        await asyncio.wait({ahead})
    if not ahead.cancelled():
        # Nobody asks for it any more; without this the event loop would complain.
        ahead.exception()


class LineWriter:
    """
    Records as lines, to a client that may be slow.

    Args:
        response: prepared.
        lead: what each line begins with.
        coding: what the response says of itself.
    """

    __slots__ = ("_deflater", "_encoder", "_lead", "_protocol", "_response")

    def __init__(
        self,
        request: web.Request,
        response: web.StreamResponse,
        encoder: PageEncoder,
        *,
        lead: bytes,
        coding: Coding,
    ) -> None:
        self._protocol = protocol_of(request)
        self._response = response
        self._encoder = encoder
        self._lead = lead
        self._deflater = deflater_of(coding)

    async def write(self, records: Records) -> None:
        """
        One page; returns when the client has taken so much that only 64 KiB wait for it.

        Raises:
            ConnectionResetError: if the client is gone, or was cut because it took too little (`outflow`).
        """
        # This page, and the next, which is read meanwhile.
        self._protocol.also_held_bytes = 2 * records.payload_bytes
        try:
            for part in records.parts(messages_max=BULK_PART_MESSAGES, bytes_max=BULK_PART_BYTES):
                await made_ready(self._encoder, part, deadline=None, once=True)
                await self.write_lines(self._lines(part))
            await self.flush()
        finally:
            self._protocol.also_held_bytes = 0

    async def write_lines(self, lines: bytes) -> None:
        """
        Lines that were made already, about `BULK_PART_BYTES` of them.

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
        """
        What was written is seen now, though what follows may take a while.

        Raises:
            ConnectionResetError: as `write`.
        """
        if self._deflater is not None:
            await self._send(self._deflater.flush())

    async def end(self) -> None:
        """
        Say that nothing follows.

        Raises:
            ConnectionResetError: as `write`.
        """
        if self._deflater is not None:
            await self._send(self._deflater.end())

    def _lines(self, records: Records) -> bytes:
        # To look for one in all payloads takes 0.03 us a line, to count those of the text 0.2 us (measured).
        payloads = b"".join(records.payloads)
        if b"\n" not in payloads and b"\r" not in payloads:
            return self._encoder.joined(records, lead=self._lead, end=b"\n", once=True)
        # Stored JSON may be written over several lines; outside of strings, where alone they may be, a space means the
        # same.
        lines = self._encoder.lines(records, lead=self._lead, once=True)
        return b"".join([line.translate(ONE_LINE) + b"\n" for line in lines])

    async def _send(self, data: bytes) -> None:
        if data:
            await self._response.write(data)
