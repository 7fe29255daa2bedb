"""What handlers and middleware use, built of what is open (wiring); tests and benches build it here too."""

import asyncio

from bridge.background.canary import Canary
from bridge.background.stats_refresh import StatsCache
from bridge.clock import Clock
from bridge.config import Config
from bridge.flow.following.follow import Feeds
from bridge.groups.engine import Groups
from bridge.policy.cursors import Cursors
from bridge.process.adapters import OpenLog
from bridge.process.callers import Callers
from bridge.process.files import cursor_key_of
from bridge.process.listeners import ProcessContext
from bridge.web.keys import Services


async def build_services(
    config: Config, context: ProcessContext, opened: OpenLog, callers: Callers, clock: Clock
) -> Services:
    """All of it.

    Raises:
        StartupError: if the key of cursors that is kept beside the embedded log cannot be read.
    """
    cursor_key = (await asyncio.to_thread(cursor_key_of, config)).encode()
    return Services(
        http=config.http,
        log_config=config.log,
        log=opened.log,
        appender=opened.appender,
        probe=opened.bare_log,
        stats=StatsCache(clock, config.log.stats_cache_ttl_s),
        canary=Canary(opened.bare_log, config.groups.stream, clock=clock, metrics=context.metrics.canary),
        metrics=context.metrics,
        clock=clock,
        cursors=Cursors(cursor_key),
        ticket_key=cursor_key,
        tails=opened.tails,
        feeds=Feeds(opened.tails),
        groups=Groups(
            opened.log,
            opened.appender,
            opened.tails,
            config=config.groups,
            clock=clock,
            observer=context.metrics.groups,
        ),
        kept_topic=opened.kept_topic,
        limit_tables=context.limit_tables,
        shared_limits=callers.shared_limits,
        tracing=opened.tracing,
        key_ring=callers.keys,
        tokens=callers.tokens,
        audit=callers.audit,
        metrics_here=config.observe.metrics_port is None,
        audits_all=config.observe.audit_requests == "all",
    )
