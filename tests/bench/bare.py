"""The yardstick (shell): an ordinary aiohttp app under uvloop that reads the body and answers, and nothing else."""

import asyncio
import sys
from typing import Final

import uvloop
from aiohttp import web

BODY: Final = b'{"success":true}'
BODY_BYTES_MAX: Final = 64 * 1024 * 1024


async def taken(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=201, body=BODY, content_type="application/json")


async def told(_: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


async def serve(port: int) -> None:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.post("/messages", taken),
            web.post("/messages/batch", taken),
            web.get("/messages", told),
            web.get("/ready", told),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
