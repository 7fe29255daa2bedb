"""The whole HTTP application over a real log, on a real port, with a client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

import bridge.iggy.message_log  # noqa: F401 (here: no file may be read while a loop runs)
from bridge.background.stats_refresh import refresh_stats
from bridge.clock import Deadline, SystemClock
from bridge.config import (
    Config,
    GroupsConfig,
    HttpConfig,
    IggyConfig,
    LocalLogConfig,
    LogConfig,
    ObserveConfig,
)
from bridge.messagelog import MessageLog, TopicRef
from bridge.policy.key_ring import KeyRing
from bridge.policy.limit_storage import LimitTables
from bridge.process.adapters import BareLog, open_log
from bridge.process.callers import Callers
from bridge.process.listeners import Listeners, ProcessContext
from bridge.process.ports import take_ports
from bridge.process.reloads import Reloads
from bridge.process.services import build_services
from bridge.process.tasks import background_tasks
from bridge.web.keys import Services
from bridge.web.server.runner import BridgeRunner
from tests.support.described import check_described
from tests.support.turns import until

__all__ = ("CURSOR_KEY", "Answer", "BridgeApp", "bridge_app")

#: Of every application of a test, so that one reads the cursors of the other.
CURSOR_KEY = "a key of tests, and of no use"

#: Off, so that a test of a route says nothing of limits.
#: Whoever asks for much of Iggy on a machine that does much else, as a topic of many partitions, is not cut for it.
UNLIMITED = HttpConfig(rate_limit_rps=0, operation_timeout_s=200.0)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Any
    body: bytes
    json: Any


@dataclass(frozen=True, slots=True)
class BridgeApp:
    """A running bridge.

    Attributes:
        log: as handlers see it.
        bare_log: the adapter.
        topic: the default one; it exists.
        runner: of the server, for what a test cannot see from outside.
    """

    services: Services
    log: MessageLog
    bare_log: BareLog
    topic: TopicRef
    port: int
    session: aiohttp.ClientSession
    runner: BridgeRunner

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """One request, whose answer must be as the OpenAPI document says; *body* is sent as it is if it is bytes, else as JSON. *path* goes out unchanged."""
        if body is not None and not isinstance(body, bytes):
            options["json"] = body
        elif body is not None:
            options["data"] = body
            options.setdefault("headers", {}).setdefault("Content-Type", "application/json")
        url = URL(self.base + path, encoded=True)
        async with self.session.request(method, url, **options) as response:
            raw = await response.read()
            check_described(method, path.partition("?")[0], response.status, response.headers, raw)
            is_json = response.content_type.endswith(("/json", "+json")) and raw
            return Answer(
                response.status,
                response.headers,
                raw,
                await response.json(content_type=None) if is_json else None,
            )

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def deadline(self) -> Deadline:
        return Deadline.after(60, self.services.clock)

    async def refresh_stats(self) -> None:
        """What the background does every few seconds."""
        await refresh_stats(
            self.bare_log,
            self.bare_log,
            self.services.stats,
            own_stream=GroupsConfig().stream,
            clock=self.services.clock,
            timeout_s=10,
        )


@asynccontextmanager
async def bridge_app(
    where: Path | str,
    *,
    http: HttpConfig = UNLIMITED,
    defaults: LogConfig | None = None,
    observe: ObserveConfig | None = None,
    limit_tables: LimitTables | None = None,
    key_ring: KeyRing | None = None,
) -> AsyncIterator[BridgeApp]:
    """The application as the process builds it, over a log of its own, with its default stream and topic made.

    Args:
        where: the directory of the embedded log, or the connection string of Iggy.
        key_ring: in the place of the one that a file makes.
    """
    clock = SystemClock()
    config = Config(
        http=http if http.cursor_key else replace(http, cursor_key=CURSOR_KEY),
        log=defaults or LogConfig(),
        local=LocalLogConfig(data_dir=str(where)),
        iggy=IggyConfig(connection_string=where if isinstance(where, str) else None),
        observe=observe or ObserveConfig(),
    )
    (port_sockets,) = take_ports("127.0.0.1", 0, 1)
    context = ProcessContext(port_sockets=port_sockets, limit_tables=limit_tables)
    opened = await open_log(
        config, clock=clock, metrics=context.metrics, reloads=Reloads({}, context.metrics.reloads)
    )
    callers = Callers(keys=key_ring, tokens=None, audit=None, shared_limits=None)
    services = await build_services(config, context, opened, callers, clock)
    listeners = Listeners(services, config.observe, context, shutdown_timeout_s=1)
    async with AsyncExitStack() as ends:
        for _, close in reversed(opened.closers):
            ends.push_async_callback(close)
        ends.push_async_callback(listeners.close)
        await listeners.open()
        for name, work in background_tasks(config, services, opened, callers.look_at_signing_keys):
            ends.push_async_callback(_ended, asyncio.create_task(work, name=name))
        ends.push_async_callback(services.groups.release)
        await until(lambda: services.lifecycle.started)
        session = await ends.enter_async_context(aiohttp.ClientSession())
        yield BridgeApp(
            services,
            services.log,
            opened.bare_log,
            services.default_topic,
            listeners.port,
            session,
            listeners.runners[0],
        )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    # A log that a test has closed ends its part by itself.
    with contextlib.suppress(asyncio.CancelledError, RuntimeError):
        await task
