"""Which log stands behind the port, and what it needs to run (wiring)."""

import os
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from bridge.clock import Clock
from bridge.config import Config
from bridge.errors import ConfigError
from bridge.flow.appending.batching import BatchingAppender
from bridge.flow.following.tails import Tails
from bridge.flow.kept_topic import KeptLog, KeptTopic
from bridge.messagelog import Appender, Durability, HealthProbe, MessageLog, StatsSource, StoredNews, TopicRef
from bridge.process.encryption import encrypted
from bridge.process.reloads import Reloads
from bridge.telemetry.metrics import LogMetrics, Metrics
from bridge.telemetry.tracing import Tracing

_Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
# As the specification of OpenTelemetry has it.
_SDK_DISABLED: Final = "OTEL_SDK_DISABLED"


class BareLog(MessageLog, HealthProbe, StatsSource, Protocol):
    """What both adapters are."""

    async def close(self) -> None:
        """Flush what was accepted, and let go of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLog:
    """A log that is open, by the parts the rest of the bridge sees.

    Attributes:
        log, appender: in which the default topic is never missing.
        bare_log: in which it may be.
        kept_topic: whether it is there; who makes it says so.
        tracing: what becomes of the traces that requests belong to.
        tails: of `log`, told of every append; on Iggy of those of this process.
        run: the adapter's background part; ends only by cancellation or by raising.
        closers: what to close, first to last, each with a name for the log.
    """

    log: MessageLog
    appender: Appender
    bare_log: BareLog
    kept_topic: KeptTopic
    tracing: Tracing
    tails: Tails
    run: _Work
    closers: tuple[tuple[str, _Work], ...]


async def open_log(config: Config, *, clock: Clock, metrics: Metrics, reloads: Reloads) -> OpenLog:
    """Open the configured log.

    Raises:
        StartupError: if the directory of the embedded log cannot be taken.
        ConfigError: if the connection string, what says where spans go, or a file of encryption keys cannot be used.
    """
    is_local = config.iggy.connection_string is None
    news = StoredNews()
    metrics.log.own_stream = config.groups.stream
    if is_local:
        bare, run = await _open_local(config, clock, metrics.log, news)
    else:
        bare, run = _open_iggy(config, clock, metrics.log)
    # The embedded log tells the news by itself: of whatever is appended, in the order of its commits.
    own_news = None if is_local else news
    kept_topic = KeptTopic(TopicRef(config.log.stream, config.log.topic))
    more: tuple[tuple[str, _Work], ...] = ()
    # A tracer of an SDK that is switched off makes spans without ids.
    if not config.observe.exports_spans or os.environ.get(_SDK_DISABLED, "").strip().lower() == "true":
        tracing = Tracing(is_on=config.observe.tracing != "off")
        batching = BatchingAppender(bare, probe=bare, news=own_news, kept=kept_topic)
        appender: Appender = batching
    else:
        # Some 3 MB that nobody else needs.
        from bridge.tracing import TracedAppender, TracedBatches, open_export  # noqa: PLC0415

        failures = metrics.tasks.span_export_failures
        try:
            spans, close = open_export(system="local" if is_local else "iggy", failures=failures)
        except ConfigError:
            await bare.close()
            raise
        metrics.log.on_read = spans.read
        tracing, more = Tracing(spans=spans), (("spans", close),)
        batching = BatchingAppender(TracedBatches(bare, spans), probe=bare, news=own_news, kept=kept_topic)
        appender = TracedAppender(batching, spans)
    metrics.log.is_traced = tracing.is_on
    read = None
    if config.encryption.keys is not None:
        try:
            read, appender = await encrypted(config.encryption, bare, appender, metrics.encryption, reloads)
        except ConfigError:
            await bare.close()
            raise
    log = KeptLog(bare, kept_topic, read=read)
    tails = Tails(log, clock=clock, pushes=is_local)
    news.listen(tails.stored)
    return OpenLog(
        log=log,
        appender=appender,
        tracing=tracing,
        bare_log=bare,
        kept_topic=kept_topic,
        tails=tails,
        run=run,
        closers=(("tails", tails.close), ("appender", batching.close), ("log", bare.close), *more),
    )


async def _open_local(
    config: Config, clock: Clock, metrics: LogMetrics, news: StoredNews
) -> tuple[BareLog, _Work]:
    from bridge.locallog import LocalMessageLog  # noqa: PLC0415 (only the log that is used is loaded)

    log = await LocalMessageLog.open(config.local, clock=clock, observer=metrics, news=news)
    return log, log.run


def _open_iggy(config: Config, clock: Clock, metrics: LogMetrics) -> tuple[BareLog, _Work]:
    from bridge.iggy.message_log import IggyMessageLog  # noqa: PLC0415 (20 MB of a native library)

    log = IggyMessageLog(
        config.iggy,
        durability=Durability(config.log.durability),
        clock=clock,
        observer=metrics,
        rng=random.Random(),  # noqa: S311 (jitter)
    )
    # Shown from the start: an alert on a series that is not there never fires.
    metrics.breaker.set_state("closed")
    # It dials first, beside requests: probes are answered while Iggy is not there yet.
    return log, log.run
