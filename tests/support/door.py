"""The whole web shell over a few handlers that need no log, on a real port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.clock import Clock, SystemClock
from bridge.config import Config, HttpConfig
from bridge.flow.following.tails import Tails
from bridge.flow.kept_topic import KeptTopic
from bridge.messagelog import TopicRef
from bridge.policy.key_ring import KeyRing
from bridge.process.adapters import OpenLog
from bridge.process.callers import Callers
from bridge.process.listeners import ProcessContext
from bridge.process.services import build_services
from bridge.telemetry.tracing import Tracing
from bridge.web.app import build_app
from bridge.web.bodies.whole import read_body
from bridge.web.handlers.access import ANYONE, Access, Route
from bridge.web.keys import EXCHANGE, Services
from bridge.web.openapi.service import HEALTH
from bridge.web.server.runner import BridgeRunner, make_runner
from tests.support.bridge_app import CURSOR_KEY


def row(method: str, path: str, handler: Handler, access: Access = ANYONE) -> Route:
    """A route of a test; no document tells of it."""
    return Route(method, path, handler, HEALTH, access)


class Door(NamedTuple):
    """A running server.

    Attributes:
        seen: what the path named and body of every request that reached a handler.
    """

    port: int
    services: Services
    runner: BridgeRunner
    seen: list[tuple[dict[str, str], bytes]]


async def services_for(
    http: HttpConfig, clock: Clock | None = None, key_ring: KeyRing | None = None
) -> Services:
    """As the process builds them, but for a log."""
    clock, nobody = clock or SystemClock(), cast("Any", None)
    config = Config(http=replace(http, cursor_key=CURSOR_KEY))
    opened = OpenLog(
        log=nobody,
        appender=nobody,
        bare_log=nobody,
        kept_topic=KeptTopic(TopicRef(config.log.stream, config.log.topic)),
        tracing=Tracing(),
        tails=Tails(nobody, clock=clock, pushes=True),
        run=nobody,
        closers=(),
    )
    callers = Callers(keys=key_ring, tokens=None, audit=None, shared_limits=None)
    return await build_services(config, ProcessContext(), opened, callers, clock)


@asynccontextmanager
async def open_door(
    *rows: Route,
    http: HttpConfig | None = None,
    clock: Clock | None = None,
    key_ring: KeyRing | None = None,
    middlewares: Sequence[Any] | None = None,
) -> AsyncIterator[Door]:
    """Serves `GET /health`, `GET /ready`, `GET|POST /things/{name}` and *rows* on 127.0.0.1."""
    services = await services_for(http or HttpConfig(rate_limit_rps=0), clock, key_ring)
    seen: list[tuple[dict[str, str], bytes]] = []

    async def show(request: web.Request) -> web.StreamResponse:
        seen.append((dict(request[EXCHANGE].names), b""))
        return web.json_response({"ok": True})

    async def take(request: web.Request) -> web.StreamResponse:
        seen.append((dict(request[EXCHANGE].names), await read_body(request)))
        return web.json_response({"ok": True}, status=201)

    routes = (
        row("GET", "/health", show),
        row("GET", "/ready", show),
        row("GET", "/things/{name}", show),
        row("POST", "/things/{name}", take),
        *rows,
    )
    chosen = {} if middlewares is None else {"middlewares": middlewares}
    runner = await make_runner(build_app(services, routes=routes, **chosen), services, shutdown_timeout_s=1.0)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Door(runner.addresses[0][1], services, runner, seen)
    finally:
        await runner.cleanup()
