"""Messages in and out (shell)."""

from aiohttp import hdrs, web

from bridge.web.body import read_body
from bridge.web.handlers.answers import answer, created
from bridge.web.handlers.places import topic_of
from bridge.web.keys import DEADLINE, SERVICES
from bridge.web.wire import read_batch, read_message
from bridge.web.wire_answers import batch_json, receipt_json
from bridge.web.wire_pages import page_json
from bridge.web.wire_queries import read_poll_query, refuse_query

__all__ = ("poll", "send", "send_batch")


async def send(request: web.Request) -> web.Response:
    """`POST .../messages`: one event, stored when the answer is 201."""
    services = request.app[SERVICES]
    accepted_us = services.clock.now_us()
    topic = topic_of(request)
    refuse_query(request.query.items())
    submission = read_message(await read_body(request))
    receipt = await services.appender.append(
        topic, submission.placement, submission.messages, deadline=request[DEADLINE]
    )
    return created(receipt_json(submission.events[0], topic, receipt, accepted_us))


async def send_batch(request: web.Request) -> web.Response:
    """`POST .../messages/batch`: all events or none, in order, into one partition."""
    services = request.app[SERVICES]
    accepted_us = services.clock.now_us()
    topic = topic_of(request)
    refuse_query(request.query.items())
    submission = read_batch(await read_body(request), messages_max=services.http.batch_messages_max)
    receipt = await services.appender.append(
        topic, submission.placement, submission.messages, deadline=request[DEADLINE]
    )
    return created(batch_json(submission.events, topic, receipt, accepted_us))


async def poll(request: web.Request) -> web.Response:
    """
    `GET .../messages`: a page of one partition.

    With `auto_commit` (and not for HEAD, which shows nothing) the offset is stored once the page is built, so that nothing which could not be told counts as
    read; the answer may still be lost on its way, and the messages then stay unread.
    """
    services = request.app[SERVICES]
    topic = topic_of(request)
    query = read_poll_query(request.query.items(), count_max=services.http.poll_messages_max)
    page = await services.log.read(
        topic, query.partition_id, query.position, count=query.messages_max, deadline=request[DEADLINE]
    )
    body = page_json(page)
    if query.commit and page.messages and request.method == hdrs.METH_GET:
        await services.log.store_offset(
            topic, query.partition_id, query.consumer, page.messages[-1].offset, deadline=request[DEADLINE]
        )
    return answer(body)
