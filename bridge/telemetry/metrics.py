"""Prometheus metrics (shell): plain numbers while serving, families only on a scrape.

A scrape comes every few seconds, requests by the thousand: so observing is an addition to a cell, and
`prometheus-client` is met in `collect` only.
"""

import platform
from collections.abc import Collection, Iterator
from threading import Lock
from types import EllipsisType
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

import bridge
from bridge.limits import METRICS_TOPIC_IDLE_ROUNDS, METRICS_TOPICS_MAX
from bridge.telemetry.figures import OTHER, Histogram, TopicCells
from bridge.telemetry.group_figures import GroupFigures
from bridge.telemetry.live_figures import LiveFigures
from bridge.telemetry.port import LogObserver, TaskObserver
from bridge.telemetry.snapshot import Snapshot, TopicSnapshot
from bridge.telemetry.state_gauge import StateGauge

__all__ = ("CONTENT_TYPE", "Metrics")

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# The SLO of a produce is milliseconds, a poll may wait for seconds, a request ends after 300 s at most.
_REQUEST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a commit shared on a fast disk to a disk that hangs.
_LOG_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_BATCH_MESSAGES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 10_000.0)
_LAG_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# Callers may send any token as a method; it must not become a label.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(Collector):
    """All figures of one bridge; implements `telemetry.port.LogObserver`.

    What the log tells may come from its threads and is counted under a lock; the rest belongs to the event loop.

    Attributes:
        own_stream: the bridge's own, whose messages are no user's: they are not counted; None where there is none.
        messages_sent: messages acknowledged by the log since the start.
        messages_received: messages read from the log since the start.
        groups: what groups did.
        live: who waits and follows.
    """

    def __init__(
        self, *, topics_max: int = METRICS_TOPICS_MAX, process: Collector | EllipsisType | None = ...
    ) -> None:
        self.own_stream: str | None = None
        self.messages_sent = 0
        self.messages_received = 0
        self.groups = GroupFigures()
        self.live = LiveFigures()
        self._lock = Lock()
        self._topics = TopicCells(topics_max)
        self._requests: dict[tuple[str, str, int], int] = {}
        self._request_s: dict[tuple[str, str], Histogram] = {}
        self._in_flight = 0
        self._rate_limited = 0
        self._overloaded = 0
        self._slow_clients_cut: dict[str, int] = {}
        self._auth_failures: dict[str, int] = {}
        self._accept_failures: dict[str, int] = {}
        self._append_failures: dict[str, int] = {}
        self._append_s = Histogram(_LOG_S)
        self._append_messages = Histogram(_BATCH_MESSAGES)
        self._read_s = Histogram(_LOG_S)
        self._loop_lag_s = Histogram(_LAG_S)
        self._task_failures: dict[tuple[str, str], int] = {}
        self._connection = StateGauge()
        self._breaker = StateGauge()
        self._reconnects = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if process is ...:
            ProcessCollector(registry=self._registry)
        elif process is not None:
            self._registry.register(process)

    @property
    def requests_in_flight(self) -> int:
        """Requests taken up and not answered yet."""
        return self._in_flight

    # --- requests: the event loop only ------------------------------------------------------------------------

    def request_started(self) -> None:
        """A request was taken up; `request_finished` must follow."""
        self._in_flight += 1

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        """
        A request was answered.

        Args:
            route: the route's template or "unmatched", never a path: paths are without bound.
        """
        self._in_flight -= 1
        if method not in _METHODS:
            method = OTHER
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        duration = self._request_s.get((method, route))
        if duration is None:
            self._request_s[method, route] = duration = Histogram(_REQUEST_S)
        duration.observe(seconds)

    def rate_limited(self) -> None:
        """A request was refused by the rate limit."""
        self._rate_limited += 1

    def accept_failed(self, error: str) -> None:
        """Connections could not be taken, because of the error of that name."""
        _add(self._accept_failures, error, 1)

    def overloaded(self) -> None:
        """A request was refused because too much is in flight."""
        self._overloaded += 1

    def slow_client_cut(self, reason: str) -> None:
        """A connection was ended because its client did not take what waited for it; *reason* is a word of ours."""
        _add(self._slow_clients_cut, reason, 1)

    def auth_failed(self, reason: str) -> None:
        """A key was refused; *reason* is one of a few words of ours."""
        self._auth_failures[reason] = self._auth_failures.get(reason, 0) + 1

    def loop_lagged(self, seconds: float) -> None:
        """The event loop came back this much later than it was asked to."""
        self._loop_lag_s.observe(seconds)

    def task_failed(self, task: str, code: str) -> None:
        """A step of a background task failed in an expected way."""
        self._task_failures[task, code] = self._task_failures.get((task, code), 0) + 1

    # --- topics: any thread ------------------------------------------------------------------------------------

    def begin_round(self) -> tuple[str, ...]:
        """The streams of whose topics there are series; `keep_topics` of each follows."""
        with self._lock:
            self._topics.begin_round(idle_rounds=METRICS_TOPIC_IDLE_ROUNDS)
            return self._topics.streams()

    def keep_topics(self, stream: str, topics: Collection[str]) -> None:
        """Of *stream* there are only *topics*: the series of others end."""
        with self._lock:
            self._topics.keep(stream, topics)

    # --- LogObserver: any thread ------------------------------------------------------------------------------

    def appended(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None:
        with self._lock:
            self._append_s.observe(seconds)
            self._append_messages.observe(messages)
            if stream != self.own_stream:
                self.messages_sent += messages
                cell = self._topics.cell(stream, topic)
                cell.messages_in += messages
                cell.bytes_in += payload_bytes

    def append_failed(self, stream: str, topic: str, *, code: str) -> None:  # noqa: ARG002 (names may be made up: no label)
        with self._lock:
            self._append_failures[code] = self._append_failures.get(code, 0) + 1

    def read(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None:
        with self._lock:
            self._read_s.observe(seconds)
            if messages and stream != self.own_stream:
                self.messages_received += messages
                cell = self._topics.cell(stream, topic)
                cell.messages_out += messages
                cell.bytes_out += payload_bytes

    def connection_changed(self, state: str) -> None:
        self._connection.set(state)

    def reconnected(self) -> None:
        with self._lock:
            self._reconnects += 1

    def breaker_changed(self, state: str) -> None:
        self._breaker.set(state)

    # --- scrape -----------------------------------------------------------------------------------------------

    def render(self) -> tuple[bytes, str]:
        """The text of a scrape and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE

    def message_totals(self) -> tuple[int, int]:
        """Messages sent and received since the start, of all workers."""
        return self.messages_sent, self.messages_received

    def snapshot(self) -> Snapshot:
        """All figures as plain values; what the process tells of itself is not among them."""
        with self._lock:
            return Snapshot(
                messages_sent=self.messages_sent,
                messages_received=self.messages_received,
                topics=[
                    TopicSnapshot(*names, cell.messages_in, cell.bytes_in, cell.messages_out, cell.bytes_out)
                    for names, cell in self._topics.items()
                ],
                requests=[(*labels, count) for labels, count in self._requests.items()],
                request_s=[(*labels, cell.counts()) for labels, cell in self._request_s.items()],
                in_flight=self._in_flight,
                rate_limited=self._rate_limited,
                auth_failures=dict(self._auth_failures),
                append_failures=dict(self._append_failures),
                append_s=self._append_s.counts(),
                append_messages=self._append_messages.counts(),
                read_s=self._read_s.counts(),
                loop_lag_s=self._loop_lag_s.counts(),
                task_failures=[(*labels, count) for labels, count in self._task_failures.items()],
                connection=self._connection.snapshot(),
                breaker=self._breaker.snapshot(),
                reconnects=self._reconnects,
                overloaded=self._overloaded,
                slow_clients_cut=dict(self._slow_clients_cut),
                accept_failures=dict(self._accept_failures),
                groups=self.groups.snapshot(),
                live=self.live.snapshot(),
            )

    def absorb(self, other: Snapshot, *, alive: bool = True) -> None:
        """Add another's figures; of one that is no longer alive, what it counted but not the state it was in."""
        self.messages_sent += other.messages_sent
        self.messages_received += other.messages_received
        for topic in other.topics:
            cell = self._topics.cell(topic.stream, topic.topic)
            cell.messages_in += topic.messages_in
            cell.bytes_in += topic.bytes_in
            cell.messages_out += topic.messages_out
            cell.bytes_out += topic.bytes_out
        for method, route, status, count in other.requests:
            _add(self._requests, (method, route, status), count)
        for method, route, counts in other.request_s:
            self._request_s.setdefault((method, route), Histogram(_REQUEST_S)).add(*counts)
        for task, code, count in other.task_failures:
            _add(self._task_failures, (task, code), count)
        for own, words in (
            (self._auth_failures, other.auth_failures),
            (self._accept_failures, other.accept_failures),
            (self._slow_clients_cut, other.slow_clients_cut),
            (self._append_failures, other.append_failures),
        ):
            for word, count in words.items():
                _add(own, word, count)
        self._append_s.add(*other.append_s)
        self._append_messages.add(*other.append_messages)
        self._read_s.add(*other.read_s)
        self._loop_lag_s.add(*other.loop_lag_s)
        self.groups.absorb(other.groups, alive=alive)
        self.live.absorb(other.live, alive=alive)
        self._connection.absorb(other.connection, alive=alive)
        self._breaker.absorb(other.breaker, alive=alive)
        self._in_flight += other.in_flight if alive else 0
        self._rate_limited += other.rate_limited
        self._overloaded += other.overloaded
        self._reconnects += other.reconnects

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "bridge_build",
            "What is running",
            {"version": bridge.__version__, "python": platform.python_version()},
        )
        yield from self._http_families()
        yield from self._log_families()
        yield from self._topic_families()
        yield from self.groups.families()
        yield from self.live.families()
        yield _histogram("bridge_event_loop_lag_seconds", "Delay of the event loop", self._loop_lag_s)
        failures = CounterMetricFamily(
            "bridge_task_failures", "Failed steps of background tasks", labels=("task", "code")
        )
        for labels, count in tuple(self._task_failures.items()):
            failures.add_metric(labels, count)
        yield failures

    def _http_families(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "bridge_http_requests", "Requests answered", labels=("method", "route", "status")
        )
        for (method, route, status), count in self._requests.items():
            requests.add_metric((method, route, str(status)), count)
        yield requests
        duration = HistogramMetricFamily(
            "bridge_http_request_duration_seconds", "Time to the answer", labels=("method", "route")
        )
        for labels, histogram in self._request_s.items():
            duration.add_metric(labels, histogram.buckets(), histogram.total)
        yield duration
        yield GaugeMetricFamily(
            "bridge_http_requests_in_flight", "Requests being served", value=self._in_flight
        )
        yield CounterMetricFamily(
            "bridge_rate_limited", "Requests refused by the rate limit", value=self._rate_limited
        )
        yield CounterMetricFamily(
            "bridge_overloaded", "Requests refused because too much was in flight", value=self._overloaded
        )
        yield _by_word(
            "bridge_accept_failures",
            "Times that no connection could be taken, for want of descriptors or memory",
            "error",
            self._accept_failures,
        )
        yield _by_word(
            "bridge_slow_clients_cut",
            "Connections ended because their client did not take what waited for it",
            "reason",
            self._slow_clients_cut,
        )
        yield _by_word("bridge_auth_failures", "Keys refused", "reason", self._auth_failures)

    def _log_families(self) -> Iterator[Metric]:
        yield self._connection.family("bridge_connection_state", "State of the log, 1 for the present one")
        yield self._breaker.family("bridge_breaker_state", "State of the circuit breaker")
        yield CounterMetricFamily("bridge_reconnects", "Connections that came back", value=self._reconnects)
        yield _by_word("bridge_append_failures", "Writes the log refused", "code", self._append_failures)
        yield _histogram("bridge_append_duration_seconds", "Time of one write to the log", self._append_s)
        yield _histogram("bridge_append_batch_messages", "Messages in one write", self._append_messages)
        yield _histogram("bridge_read_duration_seconds", "Time of one read from the log", self._read_s)

    def _topic_families(self) -> Iterator[Metric]:
        labels = ("stream", "topic")
        messages_in = CounterMetricFamily("bridge_messages_in", "Messages stored", labels=labels)
        bytes_in = CounterMetricFamily("bridge_payload_bytes_in", "Payload bytes stored", labels=labels)
        messages_out = CounterMetricFamily(
            "bridge_messages_out",
            "Messages read from the log: once for all who follow live, and what looks for a place reads",
            labels=labels,
        )
        bytes_out = CounterMetricFamily(
            "bridge_payload_bytes_out", "Payload bytes read, likewise", labels=labels
        )
        for key, cell in self._topics.items():
            messages_in.add_metric(key, cell.messages_in)
            bytes_in.add_metric(key, cell.bytes_in)
            messages_out.add_metric(key, cell.messages_out)
            bytes_out.add_metric(key, cell.bytes_out)
        yield from (messages_in, bytes_in, messages_out, bytes_out)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, buckets=histogram.buckets(), sum_value=histogram.total)


def _by_word(name: str, text: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for word, count in tuple(counts.items()):
        family.add_metric((word,), count)
    return family


_Label = TypeVar("_Label")


def _add(counts: dict[_Label, int], label: _Label, count: int) -> None:
    counts[label] = counts.get(label, 0) + count


if TYPE_CHECKING:
    _log_observer: type[LogObserver] = Metrics
    _task_observer: type[TaskObserver] = Metrics
