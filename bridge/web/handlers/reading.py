"""Messages out (shell)."""

from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from bridge.flow.following.waiting import is_enough, read_when_there
from bridge.messagelog import TopicRef
from bridge.policy.body_kinds import Coding
from bridge.web.bodies.bulk_reads import BulkRead, LineWriter
from bridge.web.handlers.answers import answer
from bridge.web.handlers.cursor_reading import poll_by_cursor, stream_by_cursor
from bridge.web.handlers.live import stream_events
from bridge.web.handlers.places import topic_of
from bridge.web.handlers.waiting import waiting_for
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.answer_headers import vary_by
from bridge.web.server.tickets import give_back
from bridge.web.wire.accept import preferred_coding, wants_events, wants_ndjson
from bridge.web.wire.heavy_pages import page_json
from bridge.web.wire.queries import read_bulk_query, read_poll_query

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
    if query.wait_s and not is_enough(page, query.messages_min) and request.method == hdrs.METH_GET:
        with waiting_for(request, query.wait_s) as waiting:
            page = await read_when_there(
                services.tails,
                topic,
                query.partition_id,
                query.position,
                page,
                count=query.messages_max,
                messages_min=query.messages_min,
                waiting=waiting,
                deadline=request[DEADLINE],
            )
            left = waiting.given_up
    body = await page_json(services.pages, page, deadline=request[DEADLINE])
    if query.commit and page.messages and request.method == hdrs.METH_GET and not left:
        await services.log.store_offset(
            topic, query.partition_id, query.consumer, page.messages[-1].offset, deadline=request[DEADLINE]
        )
    return answer(body)


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
        read = BulkRead(
            services.log,
            topic,
            query,
            clock=services.clock,
            page_timeout_s=request[DEADLINE].remaining_s(),
        )
        await read.begin()
        give_back(request)
        coding = preferred_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        if read.end_offset is not None:
            response.headers[_END_OFFSET] = str(read.end_offset)
        if coding is not Coding.IDENTITY:
            response.headers[hdrs.CONTENT_ENCODING] = coding.name.lower()
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            lead = b'{"partition_id":%d,' % query.partition_id
            writer = LineWriter(request, response, services.pages, lead=lead, coding=coding)
            async with aclosing(read.pages()) as pages:
                async for records in pages:
                    await writer.write(records)
                    if services.lifecycle.draining:
                        break
            await writer.end()
            await response.write_eof()
    return response
