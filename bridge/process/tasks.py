"""What runs beside the requests (wiring)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, NoReturn

import structlog

from bridge.background.default_topic import DefaultTopic
from bridge.background.stats_refresh import refresh_stats
from bridge.background.supervise import Pace, retry_until_done, supervise
from bridge.background.watches import measure_log, tidy_figures, watch_health, watch_loop_lag
from bridge.config import Config
from bridge.errors import LogError
from bridge.flow.kept_topic import KeptTopic
from bridge.limits import DEFAULT_TOPIC_LOOK_S, JWKS_ASKED_INTERVAL_S, METRICS_TIDY_INTERVAL_S
from bridge.process.adapters import OpenLog
from bridge.web.keys import Services

_log = structlog.get_logger("bridge.serve")
# A dead connection should be told well before the next look at it.
_PROBE_TIMEOUT_S: Final = 5.0
# Background work looks again at least so often while the log is away.
_RETRY_S_MAX: Final = 15.0


def background_tasks(
    config: Config, services: Services, opened: OpenLog, signing_keys: Callable[[], Awaitable[None]] | None
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """Every task by name, to be started in one task group; the last one makes the bridge ready.

    Args:
        signing_keys: looks whether those of tokens are still fresh; None where nobody publishes any.
    """
    clock, metrics = services.clock, services.metrics

    def pace(interval_s: float) -> Pace:
        return Pace(interval_s=interval_s, delay_max_s=max(interval_s, _RETRY_S_MAX), sleep=asyncio.sleep)

    async def stats() -> None:
        await refresh_stats(
            opened.bare_log,
            opened.bare_log,
            services.stats,
            own_stream=config.groups.stream,
            clock=clock,
            timeout_s=config.http.operation_timeout_s,
        )
        measure_log(metrics.log, services.stats.snapshot().totals, services.probe.health())

    async def tidy() -> None:
        await tidy_figures(
            opened.bare_log, metrics.log, clock=clock, timeout_s=config.http.operation_timeout_s
        )

    async def health() -> None:
        await watch_health(services.probe, clock=clock, timeout_s=_PROBE_TIMEOUT_S)

    def watched(
        name: str, step: Callable[[], Awaitable[None]], steps: Pace
    ) -> tuple[str, Coroutine[Any, Any, None]]:
        return name, supervise(name, step, pace=steps, metrics=metrics.tasks)

    look_s = config.iggy.health_check_interval_s
    yield "log", _endless("log", opened.run)
    yield watched("health-watch", health, Pace(interval_s=look_s, delay_max_s=look_s, sleep=asyncio.sleep))
    yield watched("stats-refresh", stats, pace(services.stats.ttl_s))
    yield watched("figures-tidy", tidy, pace(METRICS_TIDY_INTERVAL_S))
    if config.observe.canary_per_minute:
        yield watched("canary", services.canary.step, pace(60 / config.observe.canary_per_minute))
    if signing_keys is not None:
        yield watched("signing-keys", signing_keys, pace(JWKS_ASKED_INTERVAL_S))
    yield "groups", services.groups.run()
    yield "loop-lag", watch_loop_lag(metrics.tasks, clock=clock, sleep=asyncio.sleep)
    default_topic = _default_topic(config, services, opened)
    yield "default-topic", _keep_ready(services, opened.kept_topic, default_topic, pace(1.0), stats)


def _default_topic(config: Config, services: Services, opened: OpenLog) -> DefaultTopic:
    return DefaultTopic(
        opened.bare_log,
        opened.kept_topic,
        partitions_count=config.log.partitions,
        clock=services.clock,
        timeout_s=config.http.operation_timeout_s,
    )


async def _endless(name: str, work: Callable[[], Awaitable[None]]) -> NoReturn:
    await work()
    raise RuntimeError(f"the background part of the {name} ended by itself")


async def _keep_ready(
    services: Services,
    kept: KeptTopic,
    default_topic: DefaultTopic,
    pace: Pace,
    stats: Callable[[], Awaitable[None]],
) -> NoReturn:
    while True:
        await retry_until_done("default-topic", default_topic.look, pace=pace, metrics=services.metrics.tasks)
        kept.made()
        if not services.lifecycle.started:
            services.lifecycle.started = True
            _log.info("ready")
            with suppress(LogError):
                # The first figures should know what was just made; the next round comes anyway.
                await stats()
        await kept.until_missed(DEFAULT_TOPIC_LOOK_S)
