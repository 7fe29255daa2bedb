"""Messages out, by cursor (shell)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from bridge.clock import Deadline
from bridge.flow.following.cursor_reads import CursorPage, CursorReads
from bridge.flow.following.entries import Entry
from bridge.flow.following.waiting import Waiting
from bridge.limits import END_CURSOR_CHARS_MAX
from bridge.messagelog import TopicRef
from bridge.policy.body_kinds import Coding
from bridge.policy.cursors import Cursor
from bridge.web.bodies.bulk_reads import LineWriter
from bridge.web.handlers.answers import answer
from bridge.web.handlers.waiting import waiting_for
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.tickets import give_back
from bridge.web.wire.accept import preferred_coding
from bridge.web.wire.cursors import (
    CursorQuery,
    cursor_lines,
    cursor_page_json,
    read_cursor_lines_query,
    read_cursor_query,
)
from bridge.web.wire.heavy_pages import made_ready

__all__ = ("poll_by_cursor", "stream_by_cursor")

_END_CURSOR: Final = "X-End-Cursor"


async def poll_by_cursor(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """
    `GET .../messages?cursor=`: a page of all partitions, or of some, each having its share.

    `next_cursor` is where the next page begins, told even where this one is empty. `first` begins with the oldest messages
    kept, `last` after all there are. With `wait_ms` the answer waits until there are `min_count` messages.
    """
    services, deadline = request.app[SERVICES], request[DEADLINE]
    query = read_cursor_query(
        request.query.items(), services.cursors, topic, count_max=services.http.poll_messages_max
    )
    reads = CursorReads(services.log, topic, query.partitions, deadline=lambda: deadline)
    page = await reads.page(await reads.positions(query.start), count=query.messages_max)
    if query.wait_s and not _is_enough(page, query) and request.method == hdrs.METH_GET:
        with waiting_for(request, query.wait_s) as waiting:
            page = await _page_when_there(reads, topic, query, page, waiting)
    for _, records in page.runs:
        await made_ready(services.pages, records, deadline=deadline)
    cursor = Cursor(topic, page.positions, every=query.partitions is None)
    return answer(cursor_page_json(page, services.pages, services.cursors.token(cursor)))


def _is_enough(page: CursorPage, query: CursorQuery) -> bool:
    # A gap is news as well.
    return page.messages_count >= query.messages_min or page.is_full or bool(page.gaps)


async def _page_when_there(
    reads: CursorReads, topic: TopicRef, query: CursorQuery, page: CursorPage, waiting: Waiting
) -> CursorPage:
    while not _is_enough(page, query) and not waiting.is_over:
        found = page.messages_count
        came = await waiting.until(topic, dict(page.begin), query.messages_min)
        if waiting.given_up:
            break
        page = await reads.page(page.begin, count=query.messages_max)
        if not came:
            break
        if page.messages_count <= found and not _is_enough(page, query):
            await waiting.pause()
    return page


async def stream_by_cursor(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """
    A message a line, each with its `cursor`, from `cursor` up to the end of each partition as it is now.

    Partitions take turns, a page each. `X-End-Cursor`, left out where it is longer than `END_CURSOR_CHARS_MAX`, is where a
    reader stands who has all lines; where `count` ends the stream before, or it was cut, the cursor of the last line is. A
    line with `gap` tells of messages that are no longer there.
    """
    services, page_timeout_s = request.app[SERVICES], request[DEADLINE].remaining_s()
    query = read_cursor_lines_query(request.query.items(), services.cursors, topic)
    every = query.partitions is None
    with services.bulk_reads.joined(request[CLIENT]):
        services.lifecycle.backstops.lift()
        reads = CursorReads(
            services.log,
            topic,
            query.partitions,
            deadline=lambda: Deadline.after(page_timeout_s, services.clock),
        )
        positions = await reads.positions(query.start)
        ends = await reads.ends()
        give_back(request)
        end = services.cursors.token(Cursor(topic, ends, every=every))
        coding = preferred_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
        response = web.StreamResponse(
            headers={_END_CURSOR: end} if len(end) <= END_CURSOR_CHARS_MAX else None
        )
        response.content_type = "application/x-ndjson"
        if coding is not Coding.IDENTITY:
            response.headers[hdrs.CONTENT_ENCODING] = coding.name.lower()
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            writer = LineWriter(request, response, services.pages, lead=b"", coding=coding)
            async with aclosing(_cut(reads.entries(positions, ends), query.messages_max)) as entries:
                async for entry in entries:
                    cursor = Cursor(topic, entry.positions_before, every=every)
                    await made_ready(services.pages, entry.records, deadline=None, once=True)
                    await writer.write_lines(cursor_lines(entry, services.cursors, cursor, services.pages))
                    await writer.flush()
                    if services.lifecycle.draining:
                        break
            await writer.end()
            await response.write_eof()
    return response


async def _cut(entries: AsyncGenerator[Entry, None], messages_max: int) -> AsyncGenerator[Entry, None]:
    """The same up to *messages_max* messages; 0 for all."""
    left = messages_max
    async with aclosing(entries):
        async for entry in entries:
            yield entry.head(left) if messages_max else entry
            left -= len(entry.records)
            if messages_max and left <= 0:
                return
