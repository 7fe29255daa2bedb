"""
The yardstick (shell): an ordinary aiohttp app under uvloop that reads the body and answers, and nothing else.

What it is sent it writes to its event streams, one after the other, as a first version of them would.
"""

import asyncio
import sys
from typing import Final

import uvloop
from aiohttp import web

BODY: Final = b'{"success":true}'
BODY_BYTES_MAX: Final = 64 * 1024 * 1024


EVENTS: Final[web.AppKey[asyncio.Queue[bytes]]] = web.AppKey("events")
STREAMS: Final[web.AppKey[set[web.StreamResponse]]] = web.AppKey("streams")


async def taken(request: web.Request) -> web.Response:
    body = await request.read()
    if request.app[STREAMS]:
        request.app[EVENTS].put_nowait(b"id: 1\ndata: %b\n\n" % body)
    return web.Response(status=201, body=BODY, content_type="application/json")


async def told(_: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


async def streamed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"retry: 1\nid: 0\n\n")
    streams = request.app[STREAMS]
    streams.add(response)
    try:
        await asyncio.Event().wait()
    finally:
        streams.discard(response)
    return response


async def write_events(app: web.Application) -> None:
    streams = app[STREAMS]
    while True:
        event = await app[EVENTS].get()
        for response in tuple(streams):
            try:
                await response.write(event)
            except ConnectionError:
                streams.discard(response)


async def serve(port: int) -> None:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.post("/messages", taken),
            web.post("/messages/batch", taken),
            web.get("/messages", told),
            web.get("/messages/stream", streamed),
            web.get("/ready", told),
        ]
    )
    app[EVENTS] = asyncio.Queue()
    app[STREAMS] = set()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await write_events(app)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
