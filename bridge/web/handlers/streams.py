"""Streams (shell)."""

from aiohttp import web

from bridge.web.bodies.whole import read_body
from bridge.web.handlers.answers import answer, created, no_content
from bridge.web.handlers.path_params import refuse_own, stream_of
from bridge.web.keys import DEADLINE, SERVICES
from bridge.web.wire.answers import stream_json, streams_json
from bridge.web.wire.queries import refuse_query
from bridge.web.wire.topics import read_stream


async def list_streams(request: web.Request) -> web.Response:
    """`GET /streams`: all but the bridge's own."""
    refuse_query(request.query.items())
    services = request.app[SERVICES]
    streams = await services.log.streams(deadline=request[DEADLINE])
    return answer(streams_json([each for each in streams if not services.groups.is_own(each.name)]))


async def create_stream(request: web.Request) -> web.Response:
    """`POST /streams`: 201, or 409 if there is one of that name."""
    refuse_query(request.query.items())
    services, name = request.app[SERVICES], read_stream(await read_body(request))
    refuse_own(services, name, path="$.name")
    stream = await services.log.create_stream(name, deadline=request[DEADLINE])
    return created(stream_json(stream), location=f"/streams/{name}")


async def get_stream(request: web.Request) -> web.Response:
    """`GET /streams/{stream}`."""
    refuse_query(request.query.items())
    name = stream_of(request)
    return answer(stream_json(await request.app[SERVICES].log.stream(name, deadline=request[DEADLINE])))


async def delete_stream(request: web.Request) -> web.Response:
    """`DELETE /streams/{stream}`: with its topics, their messages and offsets."""
    refuse_query(request.query.items())
    services, stream = request.app[SERVICES], stream_of(request)
    await services.log.delete_stream(stream, deadline=request[DEADLINE])
    await services.groups.forget(stream, deadline=request[DEADLINE])
    return no_content()
