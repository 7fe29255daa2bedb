"""Streams and topics (shell)."""

from dataclasses import replace
from functools import partial

from aiohttp import hdrs, web

from bridge.errors import BadRequest, StreamNotFound
from bridge.flow.timers import some_at_once
from bridge.limits import TOPIC_LISTS_AT_ONCE
from bridge.messagelog import StreamInfo, TopicRef
from bridge.web.bodies.whole import read_body, refuse_body
from bridge.web.handlers.access import principal_of, require_new_stream, require_new_topic
from bridge.web.handlers.path_params import refuse_own, stream_of, topic_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.answers import stream_json, streams_json, topic_json, topics_json
from bridge.web.wire.topics import read_partitions, read_retention, read_stream, read_topic


async def list_streams(request: web.Request) -> web.StreamResponse:
    """`GET /streams`: those that the caller sees, without the bridge's own."""
    services, principal = request[EXCHANGE].services, principal_of(request)
    streams = [
        each
        for each in await services.log.streams(deadline=request[EXCHANGE].deadline)
        if principal.sees_stream(each.name) and not services.groups.is_own(each.name)
    ]
    if not principal.unrestricted:
        seen = await some_at_once(partial(_if_there, request), streams, TOPIC_LISTS_AT_ONCE)
        streams = [each for each in seen if each is not None]
    return JsonAnswer(streams_json(streams))


async def create_stream(request: web.Request) -> web.StreamResponse:
    """`POST /streams`: 201, or 409 if there is one of that name."""
    services, name = request[EXCHANGE].services, read_stream(await read_body(request))
    refuse_own(services, name, path="$.name")
    require_new_stream(principal_of(request), name)
    stream = await services.log.create_stream(name, deadline=request[EXCHANGE].deadline)
    return _created(stream_json(stream), location=f"/streams/{name}")


def _created(body: bytes, *, location: str) -> JsonAnswer:
    response = JsonAnswer(body, status=201)
    response.location = location
    response.add_field(hdrs.LOCATION, location)
    return response


async def get_stream(request: web.Request) -> web.StreamResponse:
    """`GET /streams/{stream}`."""
    name = stream_of(request)
    stream = await request[EXCHANGE].services.log.stream(name, deadline=request[EXCHANGE].deadline)
    return JsonAnswer(stream_json(await _as_seen(request, stream)))


async def _as_seen(request: web.Request, stream: StreamInfo) -> StreamInfo:
    """*stream* with the figures of those of its topics that the caller sees: its own would tell of the others."""
    principal, log = principal_of(request), request[EXCHANGE].services.log
    if principal.sees_whole(stream.name):
        return stream
    topics = await log.topics(stream.name, deadline=request[EXCHANGE].deadline)
    seen = [each for each in topics if principal.sees(stream.name, each.name)]
    return replace(
        stream,
        topics_count=len(seen),
        size_bytes=sum(each.size_bytes for each in seen),
        messages_count=sum(each.messages_count for each in seen),
    )


async def _if_there(request: web.Request, stream: StreamInfo) -> StreamInfo | None:
    try:
        return await _as_seen(request, stream)
    except StreamNotFound:
        # Deleted since it was listed.
        return None


async def delete_stream(request: web.Request) -> web.StreamResponse:
    """`DELETE /streams/{stream}`: with its topics, their messages and offsets."""
    services, stream = request[EXCHANGE].services, stream_of(request)
    await services.log.delete_stream(stream, deadline=request[EXCHANGE].deadline)
    await services.groups.forget(stream, deadline=request[EXCHANGE].deadline)
    return web.Response(status=204)


async def list_topics(request: web.Request) -> web.StreamResponse:
    """`GET /streams/{stream}/topics`: those that the caller sees."""
    stream, principal = stream_of(request), principal_of(request)
    topics = await request[EXCHANGE].services.log.topics(stream, deadline=request[EXCHANGE].deadline)
    return JsonAnswer(topics_json([each for each in topics if principal.sees(stream, each.name)]))


async def create_topic(request: web.Request) -> web.StreamResponse:
    """`POST /streams/{stream}/topics`: 201, or 409 if there is one of that name."""
    stream = stream_of(request)
    order = read_topic(await read_body(request))
    require_new_topic(principal_of(request), TopicRef(stream, order.name))
    services, deadline = request[EXCHANGE].services, request[EXCHANGE].deadline
    async with services.partition_room.taken(order.partitions_count, path="$.partitions", deadline=deadline):
        topic = await services.log.create_topic(
            TopicRef(stream, order.name),
            partitions_count=order.partitions_count,
            durability=order.durability,
            retention=order.retention,
            deadline=deadline,
        )
    return _created(topic_json(topic), location=f"/streams/{stream}/topics/{order.name}")


async def get_topic(request: web.Request) -> web.StreamResponse:
    """`GET /streams/{stream}/topics/{topic}`, with its partitions."""
    return JsonAnswer(
        topic_json(
            await request[EXCHANGE].services.log.topic(topic_of(request), deadline=request[EXCHANGE].deadline)
        )
    )


async def delete_topic(request: web.Request) -> web.StreamResponse:
    """`DELETE /streams/{stream}/topics/{topic}`: with its messages and offsets."""
    services, topic = request[EXCHANGE].services, topic_of(request)
    await services.log.delete_topic(topic, deadline=request[EXCHANGE].deadline)
    services.tails.suspect(topic)
    await services.groups.forget(*topic, deadline=request[EXCHANGE].deadline)
    return web.Response(status=204)


async def update_topic(request: web.Request) -> web.StreamResponse:
    """`PATCH /streams/{stream}/topics/{topic}`: other retention, in the place of what there was."""
    topic = topic_of(request)
    retention = read_retention(await read_body(request))
    log = request[EXCHANGE].services.log
    return JsonAnswer(
        topic_json(await log.update_retention(topic, retention, deadline=request[EXCHANGE].deadline))
    )


async def purge_topic(request: web.Request) -> web.StreamResponse:
    """`POST /streams/{stream}/topics/{topic}/purge`: no message, stored offset or group is left, the topic is."""
    services, topic = request[EXCHANGE].services, topic_of(request)
    await refuse_body(request)
    try:
        await services.log.purge_topic(topic, deadline=request[EXCHANGE].deadline)
    finally:
        # Also where nobody knows whether it was: live readers look.
        services.tails.suspect(topic)
    # Where they were means nothing any more: what comes has the same offsets again.
    await services.groups.forget(*topic, deadline=request[EXCHANGE].deadline)
    return web.Response(status=204)


async def add_partitions(request: web.Request) -> web.StreamResponse:
    """`POST /streams/{stream}/topics/{topic}/partitions`: 201 with the topic as it is then."""
    services, topic = request[EXCHANGE].services, topic_of(request)
    count, deadline = read_partitions(await read_body(request)), request[EXCHANGE].deadline
    try:
        async with services.partition_room.taken(count, path="$.count", deadline=deadline):
            grown = await services.log.add_partitions(topic, count, deadline=deadline)
    except BadRequest as error:
        error.path = error.path or "$.count"
        raise
    services.feeds.look(topic)
    return JsonAnswer(topic_json(grown), status=201)
