"""The process from start to end (wiring): one task group, and the end as a written list.

Start: log opened -> application built -> ports taken -> background tasks -> default topic made -> ready.

End, on SIGTERM, SIGINT or SIGHUP, within `SHUTDOWN_GRACE_SECS` altogether; a second SIGTERM or SIGINT cuts the waits short:
1. not ready: `/ready` answers 503, answers ask for their connection to be closed
2. `DRAIN_DELAY_SECS`, in which load balancers look elsewhere
3. the ports are closed: nobody new comes in
4. live streams end, each with a word of where to go on, and long polls with what there is
5. requests in flight finish, those that do not are ended: 503 with their outcome, then cancelled
6. background tasks are cancelled and awaited
7. what was accepted is flushed, the log is closed
8. exit 0

A step that fails or overruns is logged and the next one follows. When a background task dies, steps 3, 5 and 7 are
done with the shorter `CLOSE_TIMEOUT_S` each. Exit codes: 0; 69 the log, its lock or the port is not to be had; 70 a
fault of the program or the disk; 78 the configuration.
"""

import asyncio
from asyncio import TaskGroup
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog

import bridge
from bridge.clock import SystemClock
from bridge.config import Config, Effective
from bridge.limits import CLOSE_TIMEOUT_S
from bridge.process.adapters import open_log
from bridge.process.callers import Callers
from bridge.process.listeners import Listeners, ProcessContext
from bridge.process.memory import freeze_start, keep_freed_blocks
from bridge.process.reloads import Reloads, reloadable_files
from bridge.process.services import build_services
from bridge.process.shutdown import EXIT_OK, Stop, Watchdog, bounded_step, told
from bridge.process.tasks import background_tasks
from bridge.process.tls import PortTls
from bridge.telemetry.logs import configure
from bridge.web.keys import Services

_log = structlog.get_logger("bridge.serve")
# Of the grace, what closing the log and cutting connections may have; the rest belongs to the requests.
_CLOSE_SHARE: Final = 0.2
_CUT_SHARE: Final = 0.1
# A request whose time is up gets so much of that share to end by itself, after its cancellation.
_CUT_WAIT_SHARE: Final = 0.3

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run(effective: Effective, *, loop_factory: LoopFactory | None = None) -> int:
    """Serve until a signal, and return the exit code; what went wrong is in the log."""
    sink = configure(effective.config.observe)
    try:
        for warning in effective.warnings:
            _log.warning("configuration", advice=warning)
        return run_logged(effective.config, ProcessContext(), stop=Stop(), loop_factory=loop_factory)
    finally:
        sink.close()


def run_logged(
    config: Config, context: ProcessContext, *, stop: Stop, loop_factory: LoopFactory | None = None
) -> int:
    """As `run`, with the log set up by the caller."""
    watchdog = Watchdog()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(serve(config, context, stop=stop, watchdog=watchdog))
    except KeyboardInterrupt:
        # A SIGINT before or after the time in which `Stop` listens.
        return EXIT_OK
    except BaseException as error:  # noqa: BLE001 (the outermost frame: whatever it is becomes an exit code)
        return told(error, _log)
    else:
        _log.info("stopped")
        return EXIT_OK
    finally:
        watchdog.disarm()


async def serve(config: Config, context: ProcessContext, *, stop: Stop, watchdog: Watchdog) -> None:
    """Serve until *stop* is asked for, then drain; *watchdog* is armed for the drain and for the end, and left so.

    Raises:
        StartupError: if the log or a port is not to be had.
        ExceptionGroup: of what background tasks raised.
    """
    metrics = context.metrics
    files = reloadable_files(config)
    reloads = Reloads(files, metrics.reloads)
    stop.listen(reload=reloads.ask if files else None)
    await reloads.begin()
    clock = SystemClock()
    tls = None if config.tls.cert_file is None else PortTls(config.tls, metrics.tls, clock)
    if tls is not None:
        await tls.load()
        reloads.add("tls", tls.load)
    callers = await Callers.open(config, context, clock, reloads)
    opened = await open_log(config, clock=clock, metrics=metrics, reloads=reloads)
    try:
        services = await build_services(config, context, opened, callers, clock)
        listeners = Listeners(
            services,
            config.observe,
            context,
            shutdown_timeout_s=_cut_timeout_s(config) * _CUT_WAIT_SHARE,
            tls=None if tls is None else tls.context,
        )
        try:
            await listeners.open()
            _banner(config, services, listeners)
            freeze_start()
            keep_freed_blocks()
            work = (
                *background_tasks(config, services, opened, callers.look_at_signing_keys),
                *((("reloads", reloads.run()),) if files else ()),
                *callers.work(),
                *((name, do(stop)) for name, do in context.background),
            )
            await _until_stopped(config, services, work, listeners, stop, watchdog)
        finally:
            # From here on a hang is the fault of what is closed, not of a slow client.
            watchdog.arm(_cut_timeout_s(config) + 2 * _close_timeout_s(config))
            services.lifecycle.draining = True
            await bounded_step("connections", listeners.close, timeout_s=_cut_timeout_s(config), stop=stop)
    finally:
        for name, close in (*opened.closers, *callers.closers):
            await bounded_step(name, close, timeout_s=_close_timeout_s(config), stop=stop)
        stop.ignore()


async def _until_stopped(
    config: Config,
    services: Services,
    background: Iterable[tuple[str, Coroutine[Any, Any, None]]],
    listeners: Listeners,
    stop: Stop,
    watchdog: Watchdog,
) -> None:
    async with TaskGroup() as group:
        tasks = [group.create_task(work, name=name) for name, work in background]
        await stop.asked.wait()
        watchdog.arm(config.http.shutdown_grace_s)
        await _drain(config, services, listeners, stop)
        for task in tasks:
            task.cancel()


async def _drain(config: Config, services: Services, listeners: Listeners, stop: Stop) -> None:
    http = config.http
    ends_s = (
        services.clock.monotonic_s()
        + http.shutdown_grace_s
        - _close_timeout_s(config)
        - _cut_timeout_s(config)
    )
    services.lifecycle.draining = True
    _log.info("draining", requests=services.metrics.http.requests_in_flight, grace_s=http.shutdown_grace_s)
    if http.drain_delay_s:
        await bounded_step(
            "drain-delay",
            lambda: asyncio.sleep(http.drain_delay_s),
            timeout_s=http.shutdown_grace_s,
            stop=stop,
        )
    await bounded_step("stop-accepting", listeners.stop_accepting, timeout_s=CLOSE_TIMEOUT_S, stop=stop)
    services.tails.end_waits()
    services.groups.end_waits()
    await bounded_step("farewell", services.live_streams.say_farewell, timeout_s=CLOSE_TIMEOUT_S, stop=stop)
    left_s = max(0.0, ends_s - services.clock.monotonic_s())
    if not await bounded_step("requests", listeners.finish_requests, timeout_s=left_s, stop=stop):
        services.lifecycle.end_requests()
    await bounded_step("groups", services.groups.release, timeout_s=_close_timeout_s(config), stop=stop)


def _close_timeout_s(config: Config) -> float:
    return min(CLOSE_TIMEOUT_S, config.http.shutdown_grace_s * _CLOSE_SHARE)


def _cut_timeout_s(config: Config) -> float:
    return min(CLOSE_TIMEOUT_S, config.http.shutdown_grace_s * _CUT_SHARE)


def _banner(config: Config, services: Services, listeners: Listeners) -> None:
    health = services.probe.health()
    _log.info(
        "listening",
        version=bridge.__version__,
        host=config.http.host,
        port=listeners.port,
        metrics_port=listeners.metrics_port,
        log=health.kind,
        durability=str(health.durability),
        tls=config.tls.cert_file is not None,
        authenticated=config.asks_for_credentials,
        keys=None if services.key_ring is None else services.key_ring.in_force(services.clock.wall_s()),
    )
