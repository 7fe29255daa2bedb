"""Messages out (shell): pages and lines, of one partition or by cursor of several."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from aiohttp import hdrs, web

from bridge.clock import Deadline
from bridge.flow.following.batches import Positions, RecordBatch
from bridge.flow.following.topic_reader import TopicPage, TopicReader, batched
from bridge.flow.following.waiting import Waiting
from bridge.limits import END_CURSOR_CHARS_MAX, LONG_POLL_MARGIN_S
from bridge.messagelog import FromOffset, Last, Next, Page, TopicRef
from bridge.policy.cursors import Cursor
from bridge.web.bodies.line_writer import LineWriter, page_deadlines
from bridge.web.handlers.access import principal_of
from bridge.web.handlers.live import stream_events
from bridge.web.handlers.path_params import topic_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.answer_headers import vary_by
from bridge.web.server.departures import on_departure
from bridge.web.server.grants import give_back
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.accept import wants_events, wants_ndjson
from bridge.web.wire.cursors import (
    CursorQuery,
    cursor_lines,
    cursor_page_json,
    read_cursor_lines_query,
    read_cursor_query,
)
from bridge.web.wire.heavy_pages import made_ready
from bridge.web.wire.queries import BulkQuery, PollQuery, read_bulk_query, read_poll_query

_CURSOR: Final = "cursor"
_END_CURSOR: Final = "X-End-Cursor"
_END_OFFSET: Final = "X-End-Offset"


async def poll(request: web.Request) -> web.StreamResponse:
    """`GET .../messages`: a page of one partition, or of all with `cursor` (`_poll_by_cursor`); all of it as lines with `Accept: application/x-ndjson`; with
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
                _stream_by_cursor(request, topic) if _CURSOR in request.query else _stream(request, topic)
            )
    if _CURSOR in request.query:
        return await _poll_by_cursor(request, topic)
    services = request[EXCHANGE].services
    query = read_poll_query(request.query.items(), count_max=services.http.poll_messages_max)
    page = await services.log.read(
        topic,
        query.partition_id,
        query.position,
        count=query.messages_max,
        deadline=request[EXCHANGE].deadline,
    )
    left = False
    if query.wait_s and not _is_enough(page, query) and request.method == hdrs.METH_GET:
        page, left = await _page_when_there(request, topic, query, page)
    await made_ready(services.pages, page.messages, deadline=request[EXCHANGE].deadline)
    body = services.pages.page_json(page)
    if query.commit and page.messages and request.method == hdrs.METH_GET and not left:
        await services.log.store_offset(
            topic,
            query.partition_id,
            query.consumer,
            page.messages[-1].offset,
            deadline=request[EXCHANGE].deadline,
        )
    return JsonAnswer(body)


def _is_enough(page: Page, query: PollQuery) -> bool:
    """Whether *page* has so many messages as were asked for, or is as large as a page can be."""
    messages = page.messages
    return len(messages) >= query.messages_min or bool(messages and messages[-1].offset + 1 < page.end_offset)


async def _page_when_there(
    request: web.Request, topic: TopicRef, query: PollQuery, page: Page
) -> tuple[Page, bool]:
    """*page*, or a later one with what was waited for; and whether the client has left meanwhile."""
    services, deadline = request[EXCHANGE].services, request[EXCHANGE].deadline
    position = query.position
    with _waiting_for(request, query.wait_s) as waiting:
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
    """A message a line, each as in a page and with its `partition_id`, in order of offset.

    From `offset` or `from` (as for a page; `last` needs `count`) up to `until`, which is an offset or a time and does not
    belong to it, or to the end of the partition as it is now; at most `count` messages, without the bound of a page.

    `X-End-Offset` is the offset after the last line that there will be; without it there is none. A client has
    everything when its last line's offset is one less. If it is not, the stream was cut: by a fault, and then the
    last chunk is missing as well, since no line can tell of it, or by the end of the process, and then the body ends
    properly. Either way the line after the last one has `offset=` its offset plus 1.

    The request's time holds for every page by itself, not for the stream.
    """
    services = request[EXCHANGE].services
    query = read_bulk_query(request.query.items())
    with (
        services.bulk_reads.joined(request[EXCHANGE].client),
        services.lifetimes.of_request(principal_of(request)),
    ):
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


async def _poll_by_cursor(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """`GET .../messages?cursor=`: a page of all partitions, or of some, each having its share.

    `next_cursor` is where the next page begins, told even where this one is empty. `first` begins with the oldest messages
    kept, `last` after all there are. With `wait_ms` the answer waits until there are `min_count` messages.
    """
    services, deadline = request[EXCHANGE].services, request[EXCHANGE].deadline
    query = read_cursor_query(
        request.query.items(), services.cursors, topic, count_max=services.http.poll_messages_max
    )
    reader = TopicReader(services.log, topic, deadline=lambda: deadline)
    ends = await reader.ends(query.partitions)
    page = await reader.page(await reader.located(query.start, ends), ends, count=query.messages_max)
    if query.wait_s and not _is_cursor_enough(page, query) and request.method == hdrs.METH_GET:
        begin = page.begin

        async def read() -> TopicPage:
            return await reader.page(begin, await reader.ends(query.partitions), count=query.messages_max)

        with _waiting_for(request, query.wait_s) as waiting:
            page = await waiting.read_on(
                topic,
                page,
                read,
                begin=lambda page: dict(page.begin),
                is_enough=lambda page: _is_cursor_enough(page, query),
                messages_min=query.messages_min,
            )
    for _, records in page.runs:
        await made_ready(services.pages, records, deadline=deadline)
    cursor = Cursor(topic, page.positions, every=query.partitions is None)
    return JsonAnswer(cursor_page_json(page, services.pages, services.cursors.token(cursor)))


def _is_cursor_enough(page: TopicPage, query: CursorQuery) -> bool:
    # A gap is news as well.
    return page.messages_count >= query.messages_min or page.is_full or bool(page.gaps)


async def _stream_by_cursor(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """A message a line, each with its `cursor`, from `cursor` up to the end of each partition as it is now.

    Partitions take turns, a page each. `X-End-Cursor`, left out where it is longer than `END_CURSOR_CHARS_MAX`, is where a
    reader stands who has all lines; where `count` ends the stream before, or it was cut, the cursor of the last line is. A
    line with `gap` tells of messages that are no longer there.
    """
    services = request[EXCHANGE].services
    query = read_cursor_lines_query(request.query.items(), services.cursors, topic)
    every = query.partitions is None
    with (
        services.bulk_reads.joined(request[EXCHANGE].client),
        services.lifetimes.of_request(principal_of(request)),
    ):
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
            async with aclosing(_batches(reader, begin, ends)) as batches:
                left = query.messages_max
                async for whole in batches:
                    batch = whole.head(left) if query.messages_max else whole
                    cursor = Cursor(topic, batch.positions_before, every=every)
                    await made_ready(services.pages, batch.records, deadline=None, once=True)
                    await writer.write_lines(cursor_lines(batch, services.cursors, cursor, services.pages))
                    await writer.flush()
                    left -= len(batch.records)
                    if services.lifecycle.draining or (query.messages_max and left <= 0):
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


@contextmanager
def _waiting_for(request: web.Request, wait_s: float) -> Iterator[Waiting]:
    """Within this *request* waits: for *wait_s*, but not longer than leaves time for a last look before its deadline.

    The wait is over once its client has left or the process drains. The request gives its place back: those who wait
    have a bound of their own.

    Raises:
        Overloaded: if too many wait.
    """
    services, deadline = request[EXCHANGE].services, request[EXCHANGE].deadline
    ends_s = min(wait_s, max(0.0, deadline.remaining_s() - LONG_POLL_MARGIN_S))
    waiting = Waiting(services.tails, Deadline.after(ends_s, services.clock))
    with (
        services.long_polls.joined(request[EXCHANGE].client),
        on_departure(request, waiting.give_up),
        services.lifetimes.of_request(principal_of(request)),
    ):
        give_back(request)
        yield waiting
