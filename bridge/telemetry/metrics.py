"""Every metric, declared once (shell): its name, help, labels and buckets stand where it is made, and nowhere else.

Those of groups are in `group_metrics.py`, those of TLS and of renewed files in `process_metrics.py`.
What records it calls the family by its attribute, or a method here where several are told together.
"""

import platform
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

import bridge
from bridge.limits import METRICS_TOPIC_IDLE_ROUNDS, METRICS_TOPICS_MAX
from bridge.telemetry.exemplars import Traced
from bridge.telemetry.families import (
    OTHER,
    Buckets,
    Counter,
    Family,
    Gauge,
    Histogram,
    Labels,
    Number,
    Plain,
    Rows,
)
from bridge.telemetry.group_metrics import GroupMetrics
from bridge.telemetry.process_metrics import (
    AuditMetrics,
    KeyMetrics,
    ReloadMetrics,
    SharedLimitMetrics,
    TlsMetrics,
)

#: By family, each series as a plain value.
Snapshot: TypeAlias = dict[str, list[tuple[Labels, Plain]]]

# The SLO of a produce is milliseconds, a poll may wait for seconds, a request ends after 300 s at most.
_REQUEST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a commit shared on a fast disk to a disk that hangs.
_LOG_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_BATCH_MESSAGES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 10_000.0)
_LAG_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# Callers may send any token as a method; it must not become a label.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    def __init__(self) -> None:
        self.requests = Counter("bridge_http_requests", "Requests answered", "method", "route", "status")
        self.request_s = Histogram(
            "bridge_http_request_duration_seconds", "Time to the answer", "method", "route", bounds=_REQUEST_S
        )
        self.in_flight = Gauge("bridge_http_requests_in_flight", "Requests being served")
        self.waiting = Gauge("bridge_http_requests_waiting", "Requests that wait for a place")
        self.rate_limited = Counter("bridge_rate_limited", "Requests refused by the rate limit")
        self.overloaded = Counter("bridge_overloaded", "Requests refused because too much was in flight")
        self.accept_failures = Counter(
            "bridge_accept_failures",
            "Times that no connection could be taken, for want of descriptors or memory",
            "error",
        )
        self.slow_clients_cut = Counter(
            "bridge_slow_clients_cut",
            "Connections ended because their client did not take what waited for it",
            "reason",
        )
        self.auth_failures = Counter("bridge_auth_failures", "Keys refused", "reason")
        self._in_flight = self.in_flight.at()
        self._answered: dict[tuple[str, str, int], tuple[Number, Buckets]] = {}

    @property
    def requests_in_flight(self) -> float:
        return self._in_flight.value

    def request_started(self) -> None:
        """A request was taken up; `request_finished` must follow."""
        self._in_flight.value += 1

    def request_finished(
        self, method: str, route: str, status: int, seconds: float, traced: Traced | None = None
    ) -> None:
        """A request was answered.

        Args:
            route: the route's template or "unmatched", never a path: paths are without bound.
            traced: the trace it belonged to, if somebody keeps that.
        """
        self._in_flight.value -= 1
        if method not in _METHODS:
            method = OTHER
        key = (method, route, status)
        answered = self._answered.get(key)
        if answered is None:
            answered = self.requests.at(method, route, str(status)), self.request_s.at(method, route)
            self._answered[key] = answered
        answered[0].value += 1
        answered[1].observe(seconds, traced)


ReadListener: TypeAlias = Callable[[str, str, int, float], None]
"""Stream, topic, messages, seconds."""


class LogMetrics:
    """What the log does.

    Attributes:
        own_stream: the bridge's own, whose messages are no user's: they are not counted; None where there is none.
        sent, received: messages acknowledged by the log, and read from it, since the start.
        on_read: called with each read, in the task that it was for.
        is_traced: whether traces are looked for in what is written.
    """

    def __init__(self, topics_max: int = METRICS_TOPICS_MAX) -> None:
        self.own_stream: str | None = None
        self.on_read: ReadListener | None = None
        self.is_traced = True
        self.connection = Gauge("bridge_connection_state", "State of the log, 1 for the present one", "state")
        self.breaker = Gauge("bridge_breaker_state", "State of the circuit breaker", "state")
        self.durability = Gauge(
            "bridge_log_durability",
            "What an acknowledgement of a topic that the bridge makes means, 1 for what is in force",
            "durability",
            is_of_all=True,
        )
        self.weaker_topics = Gauge(
            "bridge_log_weaker_topics",
            "Topics seen lately whose acknowledgements promise less",
            is_of_all=True,
        )
        self.messages = Gauge(
            "bridge_log_messages", "Messages in the log, without the bridge's own", is_of_all=True
        )
        self.size_bytes = Gauge("bridge_log_size_bytes", "Size of the log, likewise", is_of_all=True)
        self.disk_bytes = Gauge(
            "bridge_embedded_log_disk_bytes",
            "Bytes of the embedded log's files, and free ones of its disk",
            "part",
        )
        self.reconnects = Counter("bridge_reconnects", "Connections that came back")
        self.append_failures = Counter("bridge_append_failures", "Writes the log refused", "code")
        self.append_s = Histogram(
            "bridge_append_duration_seconds", "Time of one write to the log", bounds=_LOG_S
        )
        self.append_messages = Histogram(
            "bridge_append_batch_messages", "Messages in one write", bounds=_BATCH_MESSAGES
        )
        self.read_s = Histogram(
            "bridge_read_duration_seconds", "Time of one read from the log", bounds=_LOG_S
        )
        by_topic = ("stream", "topic")
        self.messages_in = Counter("bridge_messages_in", "Messages stored", *by_topic)
        self.bytes_in = Counter("bridge_payload_bytes_in", "Payload bytes stored", *by_topic)
        self.messages_out = Counter(
            "bridge_messages_out",
            "Messages read from the log: once for all who follow live, and what looks for a place reads",
            *by_topic,
        )
        self.bytes_out = Counter("bridge_payload_bytes_out", "Payload bytes read, likewise", *by_topic)
        self.sent = Counter("sent", "Not of a topic, whose series may end", is_shown=False)
        self.received = Counter("received", "Likewise", is_shown=False)
        self._topics = Rows(topics_max, (self.messages_in, self.bytes_in, self.messages_out, self.bytes_out))
        #: Of each topic, what it had counted when a round began, and the last round in which that changed.
        self._rounds: dict[Labels, tuple[float, int]] = {}
        self._round = 0
        self._sent, self._received = self.sent.at(), self.received.at()
        self._append_s, self._append_messages = self.append_s.at(), self.append_messages.at()
        self._read_s = self.read_s.at()

    def appended(
        self,
        stream: str,
        topic: str,
        *,
        messages: int,
        payload_bytes: int,
        seconds: float,
        traced: Traced | None = None,
    ) -> None:
        """One write was acknowledged: *messages* in one go, *seconds* from handing over to the answer."""
        self._append_s.observe(seconds, traced if self.is_traced else None)
        self._append_messages.observe(messages)
        if stream != self.own_stream:
            self._sent.value += messages
            row = self._topics.row((stream, topic))
            row[0].value += messages
            row[1].value += payload_bytes

    def read(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None:
        """One read was answered."""
        self._read_s.observe(seconds)
        if self.on_read is not None:
            self.on_read(stream, topic, messages, seconds)
        if messages and stream != self.own_stream:
            self._received.value += messages
            row = self._topics.row((stream, topic))
            row[2].value += messages
            row[3].value += payload_bytes

    def disk_measured(self, bytes_by_part: Mapping[str, int]) -> None:
        """How large the files of the embedded log are, and what is free on their disk."""
        for part, size_bytes in bytes_by_part.items():
            self.disk_bytes.set(size_bytes, part)

    def begin_round(self) -> tuple[str, ...]:
        """Look which topics are still used; where there is no room, the series of those that are not end.

        Returns:
            The streams of whose topics there are series; `keep_topics` of each follows.
        """
        self._round += 1
        before, self._rounds = self._rounds, {}
        for labels, counted in self._topics.known():
            counted_before, used = before.get(labels, (None, 0))
            self._rounds[labels] = counted, used if counted == counted_before else self._round - 1
        if self._topics.is_full:
            idle = self._round - METRICS_TOPIC_IDLE_ROUNDS
            self._topics.end([labels for labels, (_, used) in self._rounds.items() if used < idle])
        return tuple(dict.fromkeys(labels[0] for labels, _ in self._topics.known()))

    def keep_topics(self, stream: str, topics: Collection[str]) -> None:
        """Of *stream* there are only *topics*: the series of others end, but for those used in this round."""
        gone = [
            labels
            for labels, counted in self._topics.known()
            if labels[0] == stream
            and labels[1] not in topics
            and self._rounds.get(labels, (None,))[0] == counted
        ]
        self._topics.end(gone)
        for labels in gone:
            del self._rounds[labels]


class LiveMetrics:
    """Who waits and follows. Nobody counts twice: those who bound them know how many there are, and are asked on a scrape.

    Attributes:
        ask: sets all of these.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], None] = lambda: None
        self.streams = Gauge("bridge_live_streams", "Event streams, sockets and subscriptions open", "kind")
        self.long_polls = Gauge("bridge_long_polls", "Reads and group receivers that may wait")
        self.tails = Gauge("bridge_tails", "Partitions watched for those who wait or follow")
        self.feeds = Gauge("bridge_feeds", "Topics, or lists of partitions, followed")
        self.feeds_held_bytes = Gauge("bridge_feeds_held_bytes", "Held of them for readers behind")
        self.slow_clients = Gauge("bridge_slow_clients", "Connections whose client does not take what waits")
        self.slow_clients_held_bytes = Gauge("bridge_slow_clients_held_bytes", "Held for them")


class TaskMetrics:
    """The event loop, and what background tasks meet on it."""

    def __init__(self) -> None:
        self.loop_lag_s = Histogram("bridge_event_loop_lag_seconds", "Delay of the event loop", bounds=_LAG_S)
        self.failures = Counter("bridge_task_failures", "Failed steps of background tasks", "task", "code")
        # Told by the one thread that exports.
        self.span_export_failures = Counter("bridge_span_export_failures", "Exports of spans that failed")


class CanaryMetrics:
    """Messages of the bridge's own that are stored and read back."""

    def __init__(self) -> None:
        self.round_trip_s = Histogram(
            "bridge_canary_duration_seconds", "Time to store a message and read it back", bounds=_LOG_S
        )
        self.failures = Counter("bridge_canary_failures", "Messages that did not come back", "code")


class EncryptionMetrics:
    """What came of payloads that are stored encrypted."""

    def __init__(self) -> None:
        self.unopened = Counter(
            "bridge_payloads_not_decrypted", "Payloads read and given as ciphertext", "reason"
        )


class WorkerProcessMetrics:
    """What each of several workers tells of its process, by its number."""

    def __init__(self) -> None:
        self.up = Gauge("bridge_worker_up", "Whether the worker tells its figures", "worker")
        self.cpu_s = Counter("bridge_worker_cpu_seconds", "Processor time", "worker")
        self.peak_memory_bytes = Gauge("bridge_worker_peak_memory_bytes", "Most resident memory", "worker")
        self.starts = Counter("bridge_worker_starts", "How often it was started", "worker")


class Metrics(Collector):
    """All metrics of one bridge, by what they are about; told on the event loop only.

    Args:
        of_workers: whether each of several workers tells of its process; else this one does, as a whole.

    Attributes:
        families: in the order of a scrape.
    """

    def __init__(self, *, of_workers: bool = False) -> None:
        self.http = HttpMetrics()
        self.tls = TlsMetrics()
        self.log = LogMetrics()
        self.groups = GroupMetrics()
        self.live = LiveMetrics()
        self.tasks = TaskMetrics()
        self.canary = CanaryMetrics()
        self.encryption = EncryptionMetrics()
        self.reloads = ReloadMetrics()
        self.keys = KeyMetrics()
        self.shared_limits = SharedLimitMetrics()
        self.audit = AuditMetrics()
        self.workers = WorkerProcessMetrics()
        of_requests = (self.http, self.tls, self.log, self.groups, self.live)
        of_work = (self.tasks, self.canary, self.encryption, self.reloads)
        of_callers = (self.keys, self.shared_limits, self.audit)
        parts = (*of_requests, *of_work, *of_callers, *((self.workers,) * of_workers))
        self.families = tuple(family for part in parts for family in families_of(part))
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if not of_workers:
            ProcessCollector(registry=self._registry)

    def render(self, *, as_openmetrics: bool = False) -> tuple[bytes, str]:
        """The text of a scrape and its content type; OpenMetrics has exemplars, Prometheus' own text has none."""
        if not as_openmetrics:
            return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
        # No name needs to be escaped. To look for what does takes 18 of 46 ms at a thousand topics, in which nothing is served.
        text: bytes = openmetrics.generate_latest(  # type: ignore[no-untyped-call]
            self._registry, escaping=openmetrics.ALLOWUTF8
        )
        return text, openmetrics.CONTENT_TYPE_LATEST

    def message_totals(self) -> tuple[int, int]:
        """Messages sent and received since the start, of all workers."""
        return int(self.log.sent.at().value), int(self.log.received.at().value)

    def collect(self) -> Iterator[Metric]:
        self.live.ask()
        self.keys.ask()
        build = {"version": bridge.__version__, "python": platform.python_version()}
        yield InfoMetricFamily("bridge_build", "What is running", build)
        for family in self.families:
            if family.is_shown:
                yield family.shown()

    def plain(self) -> Snapshot:
        """Everything as plain values, by family."""
        self.live.ask()
        self.keys.ask()
        return {family.name: family.plain() for family in self.families}

    def absorb(self, other: Snapshot, *, alive: bool) -> None:
        """Add what `plain` of another worker gave; of one that is no longer alive, what it counted, not how it stood."""
        for family in self.families:
            for labels, plain in other.get(family.name, ()):
                family.absorb(labels, plain, alive=alive)


def families_of(part: object) -> Iterator[Family[Any]]:
    """Those that *part* declares, in their order."""
    for declared in vars(part).values():
        for each in declared if isinstance(declared, tuple) else (declared,):
            if isinstance(each, Family):
                yield each
