"""Messages as they come, by server-sent events (shell)."""

import random
from contextlib import closing
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from bridge.errors import BadRequest, NotAcceptable
from bridge.flow.following.batches import Positions, Start, furthest
from bridge.limits import LIVE_RETRY_MS_MAX, LIVE_RETRY_MS_MIN
from bridge.messagelog import FromTimestamp, TopicRef
from bridge.policy.cursors import Cursors
from bridge.web.handlers.access import principal_of
from bridge.web.handlers.path_params import topic_of
from bridge.web.keys import EXCHANGE
from bridge.web.live import sse
from bridge.web.live.sse import EventForm
from bridge.web.live.sse_stream import SseStream
from bridge.web.live.streams import LiveKind
from bridge.web.server.answer_headers import send_head, vary_by
from bridge.web.server.departures import on_departure
from bridge.web.server.grants import give_back
from bridge.web.wire.accept import takes_events
from bridge.web.wire.cursors import read_cursor
from bridge.web.wire.live import LAST_EVENT_ID, LiveQuery, read_live_query

_HEADERS: Final = {
    hdrs.CONTENT_TYPE: sse.CONTENT_TYPE,
    # nginx would hold events back until it has a page of them.
    "X-Accel-Buffering": "no",
}


async def stream(request: web.Request) -> web.StreamResponse:
    """`GET .../messages/stream`: as `stream_events`, for those who cannot say `Accept`."""
    vary_by(request, hdrs.ACCEPT)
    if not takes_events(request.headers.getall(hdrs.ACCEPT, ())):
        raise NotAcceptable("Here are only server-sent events: accept 'text/event-stream'.", path=hdrs.ACCEPT)
    return await stream_events(request, topic_of(request))


async def stream_events(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """Every message from `cursor` or `from` on, as it comes, until the client leaves or the process drains.

    An event of the default type for each message, its data the message as in a page with its `partition_id`, its id the
    cursor after it. `Last-Event-ID`, or `lastEventId` or `last_event_id` in the query, holds against `cursor` and `from`
    (beside a time, whichever is later); without any of them, the stream begins with what comes from now on. `partitions`
    names some of them, `event_type` the types of events wanted; other messages are left out, and an event `progress`
    tells of the place behind them by the next heartbeat.

    An event `open` comes first, with the cursor of the beginning; an event `gap` tells of messages that are no longer
    there, an event `bye` of the end of this stream, with the cursor at which the next one goes on.
    """
    services = request[EXCHANGE].services
    query = read_live_query(request.query.items(), request.headers.getall(LAST_EVENT_ID, ()))
    begin = _begin(services.cursors, topic, query)
    response = web.StreamResponse(headers=_HEADERS)
    live = SseStream(
        request,
        response,
        retry_ms=random.randint(LIVE_RETRY_MS_MIN, LIVE_RETRY_MS_MAX),  # noqa: S311 (to spread, not to hide)
    )
    with (
        services.live_streams.joined(live.farewell, LiveKind.EVENTS, client=request[EXCHANGE].client),
        on_departure(request, live.left),
        services.lifetimes.bound(principal_of(request), live.dismiss),
    ):
        # Already: a thousand readers come back at once after a restart, and a browser that is refused never asks again.
        give_back(request)
        follower = await services.feeds.follow(
            topic,
            begin.start,
            partitions=begin.partitions,
            seen=begin.seen,
            deadline=request[EXCHANGE].deadline,
        )
        with closing(follower):
            await send_head(request, response)
            if request.method == hdrs.METH_GET:
                # From now on each of its steps has its own time.
                services.lifecycle.backstops.lift()
                form = EventForm(services.cursors, services.pages, topic, follower.every, query.event_types)
                with services.heartbeats.beating(live):
                    await live.run(follower, form)
    return response


class _Begin(NamedTuple):
    """Where to begin, in which partitions, and where the reader has been before."""

    start: Start
    partitions: tuple[int, ...] | None
    seen: Positions = ()


def _begin(cursors: Cursors, topic: TopicRef, query: LiveQuery) -> _Begin:
    start, partitions = query.start, query.partitions
    if not query.last_seen:
        if not isinstance(start, str):
            return _Begin(start, partitions)
        return _Begin(*read_cursor(start, cursors, topic, partitions))
    seen: Positions = ()
    for token, path in query.last_seen:
        try:
            positions, partitions = read_cursor(token, cursors, topic, partitions)
        except BadRequest as error:
            if error.path == "cursor":
                error.path = path
            raise
        seen = furthest(seen, positions)
    # A header is what a browser sends when it comes back, which many do at once: a time is not looked for again.
    if isinstance(start, FromTimestamp) and all(path != LAST_EVENT_ID for _, path in query.last_seen):
        return _Begin(start, partitions, seen)
    return _Begin(seen, partitions)
