"""The whole HTTP application over a real log, on a real port, with a client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from bridge.background.canary import Canary
from bridge.background.stats_refresh import StatsCache, refresh_stats
from bridge.clock import Deadline, SystemClock
from bridge.config import GroupsConfig, HttpConfig, IggyConfig, LocalLogConfig, LogConfig
from bridge.errors import AlreadyExists
from bridge.flow.appending.batching import BatchingAppender
from bridge.flow.following.follow import Feeds
from bridge.flow.following.tails import Tails
from bridge.groups.engine import Groups
from bridge.iggy.message_log import IggyMessageLog
from bridge.locallog import LocalMessageLog
from bridge.messagelog import Durability, StoredNews, TopicRef
from bridge.policy.cursors import Cursors
from bridge.policy.key_ring import KeyRing
from bridge.policy.limit_storage import LimitTables
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.tracing import Tracing
from bridge.tracing import Spans, TracedAppender, TracedBatches
from bridge.web.app import build_app
from bridge.web.keys import Services
from bridge.web.server.outflow import Outflow
from bridge.web.server.runner import BridgeRunner, make_runner
from tests.support.described import check_described

__all__ = ("CURSOR_KEY", "Answer", "AnyLog", "BridgeApp", "bridge_app", "iggy_log", "local_log")

AnyLog = LocalMessageLog | IggyMessageLog

#: Of every application of a test, so that one reads the cursors of the other.
CURSOR_KEY = b"a key of tests, and of no use"

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
        topic: the default one; it exists.
        runner: of the server, for what a test cannot see from outside.
    """

    services: Services
    log: AnyLog
    topic: TopicRef
    base: str
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

    def deadline(self) -> Deadline:
        return Deadline.after(60, self.services.clock)

    async def refresh_stats(self) -> None:
        """What the background does every few seconds."""
        await refresh_stats(
            self.log,
            self.log,
            self.services.stats,
            own_stream=GroupsConfig().stream,
            clock=self.services.clock,
            timeout_s=10,
        )


@asynccontextmanager
async def local_log(directory: Path, metrics: Metrics) -> AsyncIterator[LocalMessageLog]:
    log = await LocalMessageLog.open(
        LocalLogConfig(data_dir=str(directory)), clock=SystemClock(), observer=metrics.log
    )
    try:
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def iggy_log(connection_string: str, metrics: Metrics) -> AsyncIterator[IggyMessageLog]:
    log = IggyMessageLog(
        IggyConfig(connection_string=connection_string),
        durability=Durability.PERSISTED,
        clock=SystemClock(),
        observer=metrics.log,
    )
    await log.start(Deadline.after(10, SystemClock()))
    background = asyncio.create_task(log.run())
    try:
        yield log
    finally:
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background
        await log.close()


async def _make(log: AnyLog, topic: TopicRef, partitions: int, clock: SystemClock) -> None:
    # A log that was opened again has them.
    with contextlib.suppress(AlreadyExists):
        await log.create_stream(topic.stream, deadline=Deadline.after(60, clock))
    with contextlib.suppress(AlreadyExists):
        await log.create_topic(topic, partitions_count=partitions, deadline=Deadline.after(60, clock))


@asynccontextmanager
async def bridge_app(
    log: AnyLog,
    metrics: Metrics,
    *,
    http: HttpConfig = UNLIMITED,
    defaults: LogConfig | None = None,
    metrics_here: bool = True,
    outflow: Outflow | None = None,
    limit_tables: LimitTables | None = None,
    tracing: Tracing | None = None,
    spans: Spans | None = None,
    key_ring: KeyRing | None = None,
) -> AsyncIterator[BridgeApp]:
    """The application over *log*, with its default stream and topic made; gone at the end, the log left open."""
    clock = SystemClock()
    defaults = defaults or LogConfig()
    topic = TopicRef(defaults.stream, defaults.topic)
    await _make(log, topic, defaults.partitions, clock)
    news = StoredNews()
    batching = BatchingAppender(log if spans is None else TracedBatches(log, spans), probe=log, news=news)
    appender = batching if spans is None else TracedAppender(batching, spans)
    tails = Tails(log, clock=clock, pushes=False)  # as on Iggy: others may append past this appender
    news.listen(tails.stored)
    metrics.log.own_stream = GroupsConfig().stream
    metrics.log.on_read = None if spans is None else spans.read
    groups = Groups(log, appender, tails, config=GroupsConfig(), clock=clock, observer=metrics.groups)
    groups_running = asyncio.create_task(groups.run())
    services = Services(
        http=http,
        log_config=defaults,
        log=log,
        appender=appender,
        probe=log,
        stats=StatsCache(clock, ttl_s=5.0),
        canary=Canary(log, GroupsConfig().stream, clock=clock, metrics=metrics.canary),
        metrics=metrics,
        clock=clock,
        cursors=Cursors(CURSOR_KEY),
        tails=tails,
        feeds=Feeds(tails),
        groups=groups,
        metrics_here=metrics_here,
        outflow=Outflow(SystemClock()) if outflow is None else outflow,
        limit_tables=limit_tables,
        key_ring=key_ring,
        tracing=tracing or Tracing(spans=spans),
    )
    services.lifecycle.started = True
    try:
        async with _served(services) as (base, session, runner):
            yield BridgeApp(services, log, topic, base, session, runner)
    finally:
        await groups.release()
        groups_running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await groups_running
        await tails.close()
        await batching.close()


@asynccontextmanager
async def _served(services: Services) -> AsyncIterator[tuple[str, aiohttp.ClientSession, BridgeRunner]]:
    """Under which address, and a client of it."""
    runner = await make_runner(build_app(services), services, shutdown_timeout_s=1)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", session, runner
    finally:
        await runner.cleanup()
