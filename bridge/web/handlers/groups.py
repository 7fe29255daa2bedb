"""Groups: messages under leases, and how far groups came (shell)."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from bridge.errors import BadRequest, DeadlineExceeded
from bridge.groups.values import Delivery, TokenResult
from bridge.limits import LONG_POLL_MARGIN_S
from bridge.messagelog import TopicRef
from bridge.web.bodies.optional_body import read_optional_body, refuse_body
from bridge.web.bodies.whole import read_body
from bridge.web.handlers.answers import answer, no_content
from bridge.web.handlers.places import topic_of
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.departures import on_departure, protocol_of
from bridge.web.server.tickets import give_back
from bridge.web.wire.groups import (
    ReceiveRequest,
    deliveries_json,
    group_json,
    groups_json,
    messages_of,
    read_extension,
    read_nack,
    read_receive,
    read_seek,
    read_tokens,
    seek_json,
    token_results_json,
)
from bridge.web.wire.heavy_pages import made_ready
from bridge.web.wire.queries import refuse_query

__all__ = ("ack", "delete_group", "extend", "get_group", "list_groups", "nack", "receive", "seek")

_GROUP: Final = "group"


async def receive(request: web.Request) -> web.StreamResponse:
    """
    `POST .../groups/{group}/receive`: messages under a lease, those there are at once, else the first within `wait_ms`.

    None of them is given to anybody else before its lease has ended. Whoever waits holds no admission place, and gets
    an empty answer when the bridge drains. Messages whose answer could not be written are free at once, uncounted; so are
    those of a client that has ended its side of the connection, since nothing tells it from one that has left.
    """
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    services = request.app[SERVICES]
    order = read_receive(await read_optional_body(request), count_max=services.http.poll_messages_max)
    deliveries = await _receive(request, topic, group, order)
    messages = messages_of(deliveries)
    try:
        await made_ready(services.pages, messages, deadline=request[DEADLINE])
        response = answer(deliveries_json(deliveries, messages, services.pages))
        if not deliveries:
            return response
        if protocol_of(request).may_have_left:
            raise ConnectionResetError("the client is gone")
        # Here, and not after the return, to see whether it can be written.
        await response.prepare(request)
        await response.write_eof()
        if request.transport is None:
            # It ended while part of the answer waited to be taken.
            raise ConnectionResetError("the client is gone")
    except (ConnectionError, DeadlineExceeded, asyncio.CancelledError):
        services.groups.give_back(topic, group, deliveries)
        raise
    return response


async def _receive(
    request: web.Request, topic: TopicRef, group: str, order: ReceiveRequest
) -> tuple[Delivery, ...]:
    services, deadline = request.app[SERVICES], request[DEADLINE]

    async def attempt(wait_s: float) -> tuple[Delivery, ...]:
        with _of_the_body():
            return await services.groups.receive(
                topic,
                group,
                count=order.count,
                wait_s=wait_s,
                visibility_ms=order.visibility_ms,
                max_deliveries=order.max_deliveries,
                deadline=deadline,
            )

    deliveries = await attempt(0.0)
    wait_s = min(order.wait_ms / 1000, deadline.remaining_s() - LONG_POLL_MARGIN_S)
    if deliveries or wait_s <= 0:
        return deliveries
    with services.long_polls.joined(request[CLIENT]):
        give_back(request)
        return await _unless_left(request, attempt(wait_s))


async def _unless_left(
    request: web.Request, waiting: Awaitable[tuple[Delivery, ...]]
) -> tuple[Delivery, ...]:
    """What comes of *waiting*; nothing, at once, where the client leaves."""
    task = asyncio.ensure_future(waiting)
    has_left = False

    def left() -> None:
        nonlocal has_left
        has_left = True
        task.cancel()

    with on_departure(request, left):
        try:
            return await task
        except asyncio.CancelledError:
            running = asyncio.current_task()
            if has_left and (running is None or not running.cancelling()):
                return ()
            raise


async def ack(request: web.Request) -> web.Response:
    """`POST .../groups/{group}/ack`: done for good; the outcome of each token."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    tokens = read_tokens(await read_body(request))
    groups, deadline = request.app[SERVICES].groups, request[DEADLINE]
    return await _told(groups.ack(topic, group, tokens, deadline=deadline))


async def nack(request: web.Request) -> web.Response:
    """`POST .../groups/{group}/nack`: to come again, after `delay_ms`; the outcome of each token."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    tokens, delay_ms = read_nack(await read_body(request))
    groups, deadline = request.app[SERVICES].groups, request[DEADLINE]
    return await _told(groups.nack(topic, group, tokens, delay_ms=delay_ms, deadline=deadline))


async def extend(request: web.Request) -> web.Response:
    """`POST .../groups/{group}/extend`: leases end `visibility_ms` from now; the outcome of each token."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    tokens, visibility_ms = read_extension(await read_body(request))
    groups, deadline = request.app[SERVICES].groups, request[DEADLINE]
    return await _told(groups.extend(topic, group, tokens, visibility_ms=visibility_ms, deadline=deadline))


async def _told(settling: Awaitable[tuple[TokenResult, ...]]) -> web.Response:
    with _of_the_body():
        return answer(token_results_json(await settling))


async def list_groups(request: web.Request) -> web.Response:
    """`GET .../groups`: those that ever received from the topic."""
    refuse_query(request.query.items())
    groups = request.app[SERVICES].groups
    return answer(groups_json(await groups.groups(topic_of(request), deadline=request[DEADLINE])))


async def get_group(request: web.Request) -> web.Response:
    """`GET .../groups/{group}`: its members, and by partition how far it came."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    return answer(
        group_json(await request.app[SERVICES].groups.group(topic, group, deadline=request[DEADLINE]))
    )


async def delete_group(request: web.Request) -> web.Response:
    """`DELETE .../groups/{group}`: forgotten with its offsets; who receives as it again begins at the oldest."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    await refuse_body(request)
    await request.app[SERVICES].groups.delete(topic, group, deadline=request[DEADLINE])
    return no_content()


async def seek(request: web.Request) -> web.Response:
    """`PUT .../groups/{group}/offsets`: where it goes on; leases from before are forgotten."""
    refuse_query(request.query.items())
    topic, group = topic_of(request), request.match_info[_GROUP]
    order = read_seek(await read_body(request))
    moved = await request.app[SERVICES].groups.seek(
        topic, group, order.to, dry_run=order.dry_run, deadline=request[DEADLINE]
    )
    return answer(seek_json(moved, dry_run=order.dry_run))


@contextmanager
def _of_the_body() -> Iterator[None]:
    """A fault of an argument is one of the body's field of the same name."""
    try:
        yield
    except BadRequest as error:
        if error.path is not None and error.path != _GROUP and not error.path.startswith("$"):
            error.path = f"$.{error.path}"
        raise
