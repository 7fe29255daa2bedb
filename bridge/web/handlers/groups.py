"""Groups: messages under leases, and how far groups came (shell)."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from bridge.errors import DeadlineExceeded
from bridge.groups.engine import Groups
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery
from bridge.limits import LONG_POLL_MARGIN_S
from bridge.messagelog import TopicRef
from bridge.web.bodies.whole import read_body, read_optional_body, refuse_body
from bridge.web.handlers.access import principal_of
from bridge.web.handlers.path_params import topic_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.answer_headers import send_head
from bridge.web.server.departures import on_departure, protocol_of
from bridge.web.server.grants import give_back
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.groups import (
    ReceiveRequest,
    arguments_as_fields,
    deliveries_json,
    group_json,
    groups_json,
    messages_of,
    read_ack,
    read_receive,
    read_seek,
    seek_json,
    token_results_json,
)
from bridge.web.wire.heavy_pages import made_ready

_GROUP: Final = "group"
_IN_PATH: Final = frozenset({_GROUP})


async def receive(request: web.Request) -> web.StreamResponse:
    """`POST .../groups/{group}/receive`: messages under a lease, those there are at once, else the first within `wait_ms`.

    None of them is given to anybody else before its lease has ended. Whoever waits holds no admission place, and gets
    an empty answer when the bridge drains. Messages whose answer could not be written are free at once, uncounted; so are
    those of a client that has ended its side of the connection, since nothing tells it from one that has left.
    """
    groups, topic, group = _named(request)
    services = request[EXCHANGE].services
    asked = read_receive(await read_optional_body(request))
    deliveries = await _receive(request, topic, group, asked)
    messages = messages_of(deliveries)
    try:
        await made_ready(services.pages, messages, deadline=request[EXCHANGE].deadline)
        response = JsonAnswer(deliveries_json(deliveries, messages, services.pages))
        if not deliveries:
            return response
        if protocol_of(request).may_have_left:
            raise ConnectionResetError("the client is gone")
        # Here, and not after the return, to see whether it can be written.
        await send_head(request, response)
        await response.write_eof()
        if request.transport is None:
            # It ended while part of the answer waited to be taken.
            raise ConnectionResetError("the client is gone")
    except (ConnectionError, DeadlineExceeded, asyncio.CancelledError):
        groups.give_back(topic, group, deliveries)
        raise
    return response


async def _receive(
    request: web.Request, topic: TopicRef, group: str, asked: ReceiveRequest
) -> tuple[Delivery, ...]:
    services, deadline = request[EXCHANGE].services, request[EXCHANGE].deadline
    count = asked.messages_max(services.http.poll_messages_max)

    async def attempt(wait_s: float) -> tuple[Delivery, ...]:
        with arguments_as_fields(in_path=_IN_PATH):
            return await services.groups.receive(
                topic,
                group,
                count=count,
                wait_s=wait_s,
                visibility_ms=asked.visibility_ms,
                max_deliveries=asked.max_deliveries,
                deadline=deadline,
            )

    deliveries = await attempt(0.0)
    wait_s = min(asked.wait_ms / 1000, deadline.remaining_s() - LONG_POLL_MARGIN_S)
    if deliveries or wait_s <= 0:
        return deliveries
    with (
        services.long_polls.joined(request[EXCHANGE].client),
        services.lifetimes.of_request(principal_of(request)),
    ):
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


async def ack(request: web.Request) -> web.StreamResponse:
    """`POST .../groups/{group}/ack`: done for good; the outcome of each token."""
    return await _acknowledge(request, AckKind.ACK)


async def nack(request: web.Request) -> web.StreamResponse:
    """`POST .../groups/{group}/nack`: to come again, after `delay_ms`; the outcome of each token."""
    return await _acknowledge(request, AckKind.NACK)


async def extend(request: web.Request) -> web.StreamResponse:
    """`POST .../groups/{group}/extend`: leases end `visibility_ms` from now; the outcome of each token."""
    return await _acknowledge(request, AckKind.EXTEND)


async def _acknowledge(request: web.Request, kind: AckKind) -> web.StreamResponse:
    groups, topic, group = _named(request)
    tokens, delay_ms = read_ack(await read_body(request), kind)
    with arguments_as_fields(in_path=_IN_PATH):
        results = await groups.acknowledge(
            topic, group, kind, tokens, delay_ms=delay_ms, deadline=request[EXCHANGE].deadline
        )
    return JsonAnswer(token_results_json(results))


async def list_groups(request: web.Request) -> web.StreamResponse:
    """`GET .../groups`: those that ever received from the topic."""
    groups = request[EXCHANGE].services.groups
    return JsonAnswer(
        groups_json(await groups.groups(topic_of(request), deadline=request[EXCHANGE].deadline))
    )


async def get_group(request: web.Request) -> web.StreamResponse:
    """`GET .../groups/{group}`: its members, and by partition how far it came."""
    groups, topic, group = _named(request)
    return JsonAnswer(group_json(await groups.group(topic, group, deadline=request[EXCHANGE].deadline)))


async def delete_group(request: web.Request) -> web.StreamResponse:
    """`DELETE .../groups/{group}`: forgotten with its offsets; who receives as it again begins at the oldest."""
    groups, topic, group = _named(request)
    await refuse_body(request)
    await groups.delete(topic, group, deadline=request[EXCHANGE].deadline)
    return web.Response(status=204)


async def seek(request: web.Request) -> web.StreamResponse:
    """`PUT .../groups/{group}/offsets`: where it goes on; leases from before are forgotten."""
    groups, topic, group = _named(request)
    to, dry_run = read_seek(await read_body(request))
    moved = await groups.seek(topic, group, to, dry_run=dry_run, deadline=request[EXCHANGE].deadline)
    return JsonAnswer(seek_json(moved, dry_run=dry_run))


def _named(request: web.Request) -> tuple[Groups, TopicRef, str]:
    """All groups, and the topic and the group that the path names."""
    exchange = request[EXCHANGE]
    return exchange.services.groups, topic_of(request), exchange.names[_GROUP]
