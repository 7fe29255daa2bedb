"""Messages out (shell)."""

from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from bridge.flow.following.topic_reader import TopicReader
from bridge.messagelog import FromOffset, Last, Next, Page, TopicRef
from bridge.web.bodies.line_writer import LineWriter, page_deadlines
from bridge.web.handlers.answers import answer
from bridge.web.handlers.cursor_reading import poll_by_cursor, stream_by_cursor
from bridge.web.handlers.live import stream_events
from bridge.web.handlers.places import topic_of
from bridge.web.handlers.waiting import waiting_for
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.answer_headers import vary_by
from bridge.web.server.tickets import give_back
from bridge.web.wire.accept import wants_events, wants_ndjson
from bridge.web.wire.heavy_pages import page_json
from bridge.web.wire.queries import BulkQuery, PollQuery, read_bulk_query, read_poll_query

__all__ = ("poll",)

_CURSOR: Final = "cursor"
_END_OFFSET: Final = "X-End-Offset"


async def poll(request: web.Request) -> web.StreamResponse:
    """
    `GET .../messages`: a page of one partition, or of all with `cursor` (`cursor_reading`); all of it as lines with `Accept: application/x-ndjson`; with
    `Accept: text/event-stream` what comes, as it comes (`live.stream_events`).

    With `wait_ms` the answer waits until there are `min_count` messages, and tells what there is when the time is up.

    With `auto_commit` (and not for HEAD, which shows nothing) the offset is stored once the page is built, so that nothing which could not be told counts as
    read; the answer may still be lost on its way, and the messages then stay unread.
    """
    vary_by(request, hdrs.ACCEPT)
    topic = topic_of(request)
    if hdrs.ACCEPT in request.headers:
        accept = request.headers.getall(hdrs.ACCEPT)
        if wants_events(accept):
            return await stream_events(request, topic)
        if wants_ndjson(accept):
            vary_by(request, f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}")
            return await (
                stream_by_cursor(request, topic) if _CURSOR in request.query else _stream(request, topic)
            )
    if _CURSOR in request.query:
        return await poll_by_cursor(request, topic)
    services = request.app[SERVICES]
    query = read_poll_query(request.query.items(), count_max=services.http.poll_messages_max)
    page = await services.log.read(
        topic, query.partition_id, query.position, count=query.messages_max, deadline=request[DEADLINE]
    )
    left = False
    if query.wait_s and not _is_enough(page, query) and request.method == hdrs.METH_GET:
        page, left = await _page_when_there(request, topic, query, page)
    body = await page_json(services.pages, page, deadline=request[DEADLINE])
    if query.commit and page.messages and request.method == hdrs.METH_GET and not left:
        await services.log.store_offset(
            topic, query.partition_id, query.consumer, page.messages[-1].offset, deadline=request[DEADLINE]
        )
    return answer(body)


def _is_enough(page: Page, query: PollQuery) -> bool:
    """Whether *page* has so many messages as were asked for, or is as large as a page can be."""
    messages = page.messages
    return len(messages) >= query.messages_min or bool(messages and messages[-1].offset + 1 < page.end_offset)


async def _page_when_there(
    request: web.Request, topic: TopicRef, query: PollQuery, page: Page
) -> tuple[Page, bool]:
    """*page*, or a later one with what was waited for; and whether the client has left meanwhile."""
    services, deadline = request.app[SERVICES], request[DEADLINE]
    position = query.position
    with waiting_for(request, query.wait_s) as waiting:
        if isinstance(position, Next):
            # Where the consumer stands does not change by itself; from now on it is an offset like any other.
            stored = await services.log.stored_offset(
                topic, query.partition_id, position.consumer, deadline=deadline
            )
            position = FromOffset(0 if stored is None else stored.offset + 1)
        page = await waiting.read_on(
            topic,
            page,
            lambda: services.log.read(
                topic, query.partition_id, position, count=query.messages_max, deadline=deadline
            ),
            begin=lambda page: {
                query.partition_id: page.messages[0].offset
                if page.messages
                else position.offset
                if isinstance(position, FromOffset)
                else page.end_offset
            },
            is_enough=lambda page: _is_enough(page, query),
            messages_min=query.messages_min,
        )
        return page, waiting.given_up


async def _stream(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """
    A message a line, each as in a page and with its `partition_id`, in order of offset.

    From `offset` or `from` (as for a page; `last` needs `count`) up to `until`, which is an offset or a time and does not
    belong to it, or to the end of the partition as it is now; at most `count` messages, without the bound of a page.

    `X-End-Offset` is the offset after the last line that there will be; without it there is none. A client has
    everything when its last line's offset is one less. If it is not, the stream was cut: by a fault, and then the
    last chunk is missing as well, since no line can tell of it, or by the end of the process, and then the body ends
    properly. Either way the line after the last one has `offset=` its offset plus 1.

    The request's time holds for every page by itself, not for the stream.
    """
    services = request.app[SERVICES]
    query = read_bulk_query(request.query.items())
    with services.bulk_reads.joined(request[CLIENT]):
        services.lifecycle.backstops.lift()
        reader = TopicReader(services.log, topic, deadline=page_deadlines(request))
        wanted = await _wanted(reader, query)
        give_back(request)
        writer = await LineWriter.open(request, {_END_OFFSET: str(wanted.stop)} if wanted else {})
        if request.method != hdrs.METH_HEAD:
            lead = b'{"partition_id":%d,' % query.partition_id
            begin, end = ((query.partition_id, wanted.start),), {query.partition_id: wanted.stop}
            async with aclosing(reader.pages_ahead(begin, end)) as pages:
                async for page in pages:
                    await writer.write(page.records, lead=lead)
                    if services.lifecycle.draining:
                        break
            await writer.end()
    return writer.response


async def _wanted(reader: TopicReader, query: BulkQuery) -> range:
    """The offsets of the messages that *query* asks for, as far as they are there now."""
    position, partition_id = query.position, query.partition_id
    if isinstance(position, Last):
        newest = await reader.read(partition_id, position, 1)
        position = FromOffset(max(0, newest.end_offset - query.messages_max))
    first = await reader.read(partition_id, position, 1)
    if not first.messages:
        return range(0)
    begin, end = first.messages[0].offset, first.end_offset
    if query.messages_max:
        end = min(end, begin + query.messages_max)
    if isinstance(query.until, FromOffset):
        end = min(end, query.until.offset)
    elif query.until is not None:
        after = await reader.read(partition_id, query.until, 1)
        if after.messages:
            end = min(end, after.messages[0].offset)
    return range(begin, end)
