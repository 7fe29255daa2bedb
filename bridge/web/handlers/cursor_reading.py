"""Messages out, by cursor (shell)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from bridge.flow.following.batches import Positions, RecordBatch
from bridge.flow.following.topic_reader import TopicPage, TopicReader, batched
from bridge.limits import END_CURSOR_CHARS_MAX
from bridge.messagelog import TopicRef
from bridge.policy.cursors import Cursor
from bridge.web.bodies.line_writer import LineWriter, page_deadlines
from bridge.web.handlers.answers import answer
from bridge.web.handlers.waiting import waiting_for
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.tickets import give_back
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
    reader = TopicReader(services.log, topic, deadline=lambda: deadline)
    ends = await reader.ends(query.partitions)
    page = await reader.page(await reader.located(query.start, ends), ends, count=query.messages_max)
    if query.wait_s and not _is_enough(page, query) and request.method == hdrs.METH_GET:
        begin = page.begin

        async def read() -> TopicPage:
            return await reader.page(begin, await reader.ends(query.partitions), count=query.messages_max)

        with waiting_for(request, query.wait_s) as waiting:
            page = await waiting.read_on(
                topic,
                page,
                read,
                begin=lambda page: dict(page.begin),
                is_enough=lambda page: _is_enough(page, query),
                messages_min=query.messages_min,
            )
    for _, records in page.runs:
        await made_ready(services.pages, records, deadline=deadline)
    cursor = Cursor(topic, page.positions, every=query.partitions is None)
    return answer(cursor_page_json(page, services.pages, services.cursors.token(cursor)))


def _is_enough(page: TopicPage, query: CursorQuery) -> bool:
    # A gap is news as well.
    return page.messages_count >= query.messages_min or page.is_full or bool(page.gaps)


async def stream_by_cursor(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """
    A message a line, each with its `cursor`, from `cursor` up to the end of each partition as it is now.

    Partitions take turns, a page each. `X-End-Cursor`, left out where it is longer than `END_CURSOR_CHARS_MAX`, is where a
    reader stands who has all lines; where `count` ends the stream before, or it was cut, the cursor of the last line is. A
    line with `gap` tells of messages that are no longer there.
    """
    services = request.app[SERVICES]
    query = read_cursor_lines_query(request.query.items(), services.cursors, topic)
    every = query.partitions is None
    with services.bulk_reads.joined(request[CLIENT]):
        services.lifecycle.backstops.lift()
        reader = TopicReader(services.log, topic, deadline=page_deadlines(request))
        ends = await reader.ends(query.partitions)
        begin = await reader.located(query.start, ends)
        give_back(request)
        end = services.cursors.token(Cursor(topic, ends, every=every))
        writer = await LineWriter.open(
            request, {_END_CURSOR: end} if len(end) <= END_CURSOR_CHARS_MAX else {}
        )
        if request.method != hdrs.METH_HEAD:
            async with aclosing(_cut(_batches(reader, begin, ends), query.messages_max)) as batches:
                async for batch in batches:
                    cursor = Cursor(topic, batch.positions_before, every=every)
                    await made_ready(services.pages, batch.records, deadline=None, once=True)
                    await writer.write_lines(cursor_lines(batch, services.cursors, cursor, services.pages))
                    await writer.flush()
                    if services.lifecycle.draining:
                        break
            await writer.end()
    return writer.response


async def _batches(
    reader: TopicReader, begin: Positions, ends: Positions
) -> AsyncGenerator[RecordBatch, None]:
    """Everything in between, as of now: of what began anew there may be less than was thought, and no more is given."""
    positions, targets = begin, dict(ends)
    for gap in await reader.gaps(positions, targets):
        yield gap
        positions = gap.positions_after
    pages = reader.pages_ahead(positions, targets)
    async with aclosing(batched(pages, positions)) as batches:
        async for batch in batches:
            yield batch


async def _cut(
    batches: AsyncGenerator[RecordBatch, None], messages_max: int
) -> AsyncGenerator[RecordBatch, None]:
    """The same up to *messages_max* messages; 0 for all."""
    left = messages_max
    async with aclosing(batches):
        async for batch in batches:
            yield batch.head(left) if messages_max else batch
            left -= len(batch.records)
            if messages_max and left <= 0:
                return
