"""
What each middleware adds to one `POST /messages`, in microseconds of the process (shell).

    python -m tests.bench.middleware_costs

Requests are fed to the protocol and answers taken from it in this process, without sockets, over a log that
acknowledges at once: what is left is what Python does. Steps are added in their order; figures are the lowest of
several interleaved rounds, since whatever else the machine does only ever adds.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import uvloop
from aiohttp import web

from bridge.background.stats_refresh import StatsCache
from bridge.clock import Deadline, SystemClock
from bridge.config import GroupsConfig, HttpConfig, LogConfig, ObserveConfig
from bridge.flow.following.follow import Feeds
from bridge.flow.following.tails import Tails
from bridge.garbage import freeze_start
from bridge.groups.engine import Groups
from bridge.messagelog import Durability, NewMessage, Placement, Receipt, TopicRef
from bridge.policy.cursors import Cursors
from bridge.telemetry.logs import configure
from bridge.telemetry.metrics import GroupMetrics, Metrics
from bridge.web.app import MIDDLEWARES, MiddlewareFactory, RouteRow, build_app
from bridge.web.handlers.routes import ROUTES, Route
from bridge.web.keys import Services
from bridge.web.server.runner import make_runner
from tests.bench.bare import BODY
from tests.bench.cases import CASES, Dialect
from tests.bench.requests import request_of

__all__ = ("measure",)

#: Enough that a turn of the loop is shared, as under load.
CONNECTIONS: Final = 64
#: And that each round is long enough for the log's own thread to write lines in it, every 20 ms.
TURNS: Final = 8
ROUNDS: Final = 20
BARE: Final = "bare aiohttp"
SERVER: Final = "server and routing"
HANDLER: Final = "handler"
_KEY: Final = "k" * 32

#: A round of requests over one configuration; gives microseconds for each.
_Round = Callable[[], Awaitable[float]]


class _Acknowledging:
    """The write half of a log that has no disk."""

    async def append(
        self,
        topic: TopicRef,  # noqa: ARG002
        placement: Placement,  # noqa: ARG002
        messages: Sequence[NewMessage],
        *,
        deadline: Deadline,  # noqa: ARG002
    ) -> Receipt:
        return Receipt(0, 0, len(messages), Durability.PERSISTED)


class _Counter:
    """Answers that are still to come."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None


class _Pipe(asyncio.Transport):
    """The other end of a connection: counts answers, keeps none."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711)})
        self._counter = counter
        self.last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)
        self._counter.left -= 1
        if not self._counter.left and self._counter.done is not None:
            self._counter.done.set_result(None)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def _answer_at_once(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(status=201, body=BODY, content_type="application/json")


def _request() -> bytes:
    body = request_of(CASES[0], Dialect.BRIDGE).body
    head = (
        "POST /messages HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _rounds(runner: web.BaseRunner, request: bytes) -> _Round:
    """*runner*, set up, with its connections."""
    if isinstance(runner, web.AppRunner):
        await runner.setup()
    server, counter = runner.server, _Counter()
    if server is None:
        raise RuntimeError("the runner made no server")
    pipes = [_Pipe(counter) for _ in range(CONNECTIONS)]
    protocols = [cast("asyncio.Protocol", server()) for _ in pipes]
    for protocol, pipe in zip(protocols, pipes, strict=True):
        protocol.connection_made(pipe)

    async def one_round() -> float:
        begun_s = time.process_time()
        for _ in range(TURNS):
            counter.left, counter.done = CONNECTIONS, asyncio.get_running_loop().create_future()
            for protocol in protocols:
                protocol.data_received(request)
            await counter.done
        seconds = time.process_time() - begun_s
        if not pipes[0].last.startswith(b"HTTP/1.1 201 "):
            raise RuntimeError("an answer was no 201")
        return seconds / (TURNS * CONNECTIONS) * 1e6

    await one_round()
    return one_round


async def _bridge(middlewares: Sequence[MiddlewareFactory], routes: Sequence[RouteRow]) -> web.BaseRunner:
    clock, nobody = SystemClock(), cast("Any", None)
    tails = Tails(nobody, clock=clock, pushes=True)
    services = Services(
        http=HttpConfig(rate_limit_rps=1_000_000, rate_limit_burst=1_000_000, api_key=_KEY),
        log_config=LogConfig(),
        log=nobody,
        appender=_Acknowledging(),
        probe=nobody,
        stats=StatsCache(clock, ttl_s=5.0),
        metrics=Metrics(),
        clock=clock,
        cursors=Cursors(b"key of a test"),
        tails=tails,
        feeds=Feeds(tails),
        groups=Groups(nobody, nobody, tails, config=GroupsConfig(), clock=clock, observer=GroupMetrics()),
    )
    return await make_runner(build_app(services, middlewares=middlewares, routes=routes), services)


async def _measure() -> dict[str, float]:
    request = _request()
    bare = web.Application()
    bare.router.add_route("*", "/{path:.*}", _answer_at_once)
    at_once = (Route("POST", "/messages", _answer_at_once), *(r for r in ROUTES if r.path != "/messages"))
    runners: dict[str, web.BaseRunner] = {BARE: web.AppRunner(bare, access_log=None)}
    runners[SERVER] = await _bridge((), at_once)
    for count, factory in enumerate(MIDDLEWARES, 1):
        runners[factory.__name__] = await _bridge(MIDDLEWARES[:count], at_once)
    runners[HANDLER] = await _bridge(MIDDLEWARES, ROUTES)
    rounds = {name: await _rounds(runner, request) for name, runner in runners.items()}
    # As the process does it once it is ready.
    freeze_start()
    totals = dict.fromkeys(rounds, float("inf"))
    for _ in range(ROUNDS):
        for name, one_round in rounds.items():
            totals[name] = min(totals[name], await one_round())
    for runner in runners.values():
        await runner.cleanup()
    figures = {BARE: totals[BARE], SERVER: totals[SERVER]}
    before_us = totals[SERVER]
    for name in (*(factory.__name__ for factory in MIDDLEWARES), HANDLER):
        figures[name], before_us = totals[name] - before_us, totals[name]
    return {**figures, "all": before_us}


def measure() -> dict[str, float]:
    """
    Microseconds a request, without sockets.

    Returns:
        "bare aiohttp" and "server and routing": a whole request each. Then what each middleware adds, by its name
        and in order, and the handler (parsing, a log that acknowledges at once, the receipt). "all": the whole.
    """
    with Path(os.devnull).open("wb") as nowhere:
        sink = configure(ObserveConfig(log_format="json"), fd=nowhere.fileno())
        try:
            return uvloop.run(_measure())
        finally:
            sink.close()


if __name__ == "__main__":
    figures = {name: round(us, 1) for name, us in measure().items()}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
