"""Messages as they come, by server-sent events (shell)."""

import random
from contextlib import closing
from typing import Final

from aiohttp import hdrs, web

from bridge.errors import BadRequest, NotAcceptable
from bridge.flow.positions import Start
from bridge.limits import LIVE_RETRY_MS_MAX, LIVE_RETRY_MS_MIN
from bridge.messagelog import TopicRef
from bridge.policy.cursors import Cursors
from bridge.web import sse
from bridge.web.admission_tickets import give_back
from bridge.web.answer_headers import vary_by
from bridge.web.departures import on_departure
from bridge.web.handlers.places import topic_of
from bridge.web.keys import DEADLINE, SERVICES
from bridge.web.live_streams import LiveKind
from bridge.web.sse_entries import EventForm
from bridge.web.sse_stream import SseStream
from bridge.web.wire_accept import takes_events
from bridge.web.wire_cursors import read_cursor
from bridge.web.wire_live import LiveQuery, read_live_query

__all__ = ("stream", "stream_events")

_LAST_EVENT_ID: Final = "Last-Event-ID"
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
    """
    Every message from `cursor` or `from` on, as it comes, until the client leaves or the process drains.

    An event of the default type for each message, its data the message as in a page with its `partition_id`, its id the
    cursor after it. `Last-Event-ID` holds against `cursor` and `from`; without any of them, the stream begins with
    what comes from now on. `partitions` names some of them, `event_type` the types of events wanted; other messages
    are left out, and the id moves on past them by the next heartbeat.

    An event `gap` tells of messages that are no longer there, an event `bye` of the end of this stream, with the
    cursor at which the next one goes on.
    """
    services = request.app[SERVICES]
    query = read_live_query(request.query.items(), request.headers.getall(_LAST_EVENT_ID, ()))
    start, partitions = _start(services.cursors, topic, query)
    response = web.StreamResponse(headers=_HEADERS)
    live = SseStream(
        request,
        response,
        retry_ms=random.randint(LIVE_RETRY_MS_MIN, LIVE_RETRY_MS_MAX),  # noqa: S311 (to spread, not to hide)
    )
    with services.live_streams.joined(live.farewell, LiveKind.EVENTS), on_departure(request, live.left):
        # Already: a thousand readers come back at once after a restart, and a browser that is refused never asks again.
        give_back(request)
        follower = await services.feeds.follow(
            topic, start, partitions=partitions, deadline=request[DEADLINE]
        )
        with closing(follower):
            await response.prepare(request)
            if request.method == hdrs.METH_GET:
                # From now on each of its steps has its own time.
                services.lifecycle.backstops.lift()
                form = EventForm(services.cursors, services.pages, topic, follower.every, query.event_types)
                with services.heartbeats.beating(live):
                    await live.run(follower, form)
    return response


def _start(cursors: Cursors, topic: TopicRef, query: LiveQuery) -> tuple[Start, tuple[int, ...] | None]:
    """Where to begin, and in which partitions."""
    start, partitions = query.start, query.partitions
    if not isinstance(start, str):
        return start, partitions
    try:
        return read_cursor(start, cursors, topic, partitions)
    except BadRequest as error:
        if error.path == "cursor":
            error.path = query.start_path
        raise
