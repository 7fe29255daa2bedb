"""Typed slots of the application and of a request (pure); there are no others, and no string keys."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy

from bridge.audit import AuditTrail
from bridge.background.canary import Canary
from bridge.background.stats_refresh import StatsCache
from bridge.clock import Clock, Deadline, SystemClock
from bridge.config import HttpConfig, LogConfig
from bridge.errors import Outcome
from bridge.flow.following.follow import Feeds
from bridge.flow.following.tails import Tails
from bridge.flow.kept_topic import KeptTopic
from bridge.flow.partition_room import PartitionRoom
from bridge.groups.engine import Groups
from bridge.limits import BULK_READS_MAX, LONG_POLLS_MAX, NDJSON_BODIES_MAX
from bridge.messagelog import Appender, HealthProbe, MessageLog, TopicRef
from bridge.policy.access import Principal
from bridge.policy.admission import Grant
from bridge.policy.cursors import Cursors
from bridge.policy.key_ring import KeyRing, TokenJudge
from bridge.policy.limit_storage import LimitTables
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.trace_context import TraceContext
from bridge.telemetry.tracing import RequestSpan, Tracing
from bridge.web.live.heartbeats import Heartbeats
from bridge.web.live.lifetimes import Lifetimes
from bridge.web.live.streams import LiveStreams
from bridge.web.rules import Rules
from bridge.web.server.backstops import Backstops
from bridge.web.server.bounded import Bounded
from bridge.web.server.outflow import Outflow
from bridge.web.server.turns_in_line import Turns
from bridge.web.shared_limits import SharedLimits
from bridge.web.sockets.publishing import InFlight
from bridge.web.wire.pages import PageEncoder

_NEVER: Final = Deadline(math.inf, SystemClock())


@dataclass(slots=True)
class Lifecycle:
    """Where the process stands between start and end; written by `serve.py` only.

    Attributes:
        ending: no request may go on; each is answered with what is known of it.
        backstops: what ends each request in flight, kept by the deadline middleware.
        turns: of the requests that wait for a place.
    """

    started: bool = False
    draining: bool = False
    ending: bool = False
    backstops: Backstops = field(default_factory=Backstops)
    turns: Turns = field(default_factory=Turns)

    def end_requests(self) -> None:
        """End every request in flight now; each still gets its answer."""
        self.ending = True
        self.backstops.cancel_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers and middleware may use."""

    http: HttpConfig
    log_config: LogConfig
    log: MessageLog
    appender: Appender
    probe: HealthProbe
    stats: StatsCache
    metrics: Metrics
    clock: Clock
    #: Stores a message and reads it back.
    canary: Canary
    #: Reads and makes positions in topics.
    cursors: Cursors
    #: The ends of partitions, for those who wait.
    tails: Tails
    #: What is followed live.
    feeds: Feeds
    #: Who was given what, agreed with other replicas.
    groups: Groups
    #: Whether the default topic is there.
    kept_topic: KeptTopic
    #: Signs tickets of pages; whoever has the same takes each other's.
    ticket_key: bytes
    #: What becomes of the traces that requests belong to.
    tracing: Tracing
    #: Whether `/metrics` is served here; False where `METRICS_PORT` moved it or switched it off.
    metrics_here: bool
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    #: Makes the answers to reads; knows the payloads that it has judged.
    pages: PageEncoder = field(default_factory=PageEncoder)
    #: The streams being read.
    bulk_reads: Bounded = field(
        default_factory=lambda: Bounded(BULK_READS_MAX, "Too many streams are being read.")
    )
    #: The bodies of lines being written.
    bulk_writes: Bounded = field(
        default_factory=lambda: Bounded(
            NDJSON_BODIES_MAX, "Too many bodies of lines are being read.", outcome=Outcome.NOT_WRITTEN
        )
    )
    #: The streams that live until their client leaves or the process drains.
    live_streams: LiveStreams = field(default_factory=LiveStreams)
    #: What sockets publish and wait for.
    publications: InFlight = field(default_factory=InFlight)
    #: What waits for clients that do not take it.
    outflow: Outflow = field(default_factory=lambda: Outflow(SystemClock()))
    #: What keeps event streams from being silent.
    heartbeats: Heartbeats = field(default_factory=lambda: Heartbeats(SystemClock()))
    #: The clients that wait for messages.
    long_polls: Bounded = field(
        default_factory=lambda: Bounded(LONG_POLLS_MAX, "Too many long polls are waiting.")
    )
    #: Where limits are counted, shared with other workers; None for tables of this process alone.
    limit_tables: LimitTables | None = None
    #: The keys of a file; None where none is configured.
    key_ring: KeyRing | None = None
    #: Where it is written down who did what; None where nobody asks for that.
    audit: AuditTrail | None = None
    audits_all: bool = False
    #: Who judges tokens of an identity provider; None where none are taken.
    tokens: TokenJudge | None = None
    #: What replicas count together; None where each counts by itself.
    shared_limits: SharedLimits | None = None
    #: What ends with the credentials that it was opened with.
    lifetimes: Lifetimes = field(init=False)
    #: What topics over HTTP may have more of.
    partition_room: PartitionRoom = field(init=False)
    #: Of requests that name none.
    default_topic: TopicRef = field(init=False)
    #: Reading of `clock.monotonic_s` when these were put together, for the uptime.
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        room = PartitionRoom(self.log, self.clock, self.log_config.partitions_max)
        object.__setattr__(self, "partition_room", room)
        object.__setattr__(self, "default_topic", TopicRef(self.log_config.stream, self.log_config.topic))
        object.__setattr__(self, "lifetimes", Lifetimes(self.clock, self.key_ring))
        object.__setattr__(self, "started_s", self.clock.monotonic_s())


#: Stands for the route where no route was found; raw paths are no label.
UNMATCHED: Final = "unmatched"


class Exchange(msgspec.Struct, gc=False, eq=False):
    """What is known of one request while it is answered; made by `identity`, and filled by the rules that follow.

    One object for all of it: each slot of a request that is filled takes 1,100 instructions, each look 300; and each look at
    what aiohttp keeps of a request 500, so that what most rules ask for is here. The garbage collector does not see it, so
    nothing that it holds when the request has ended may lead back to the request.

    Attributes:
        services, rules: that it is answered with, and judged by.
        route: its template, such as `/streams/{stream}`, or `UNMATCHED`.
        names: what its path holds in the places of its template, by their names.
        message: its head as it was parsed: aiohttp's request takes 600 instructions to tell each part for the first time.
        method, target: as they stood in the request line.
        headers: of the request, as `web.Request.headers`.
        request_id: the caller's, or the one made for it.
        client: its address after `TRUSTED_PROXIES`, for limits and logs.
        trace: that the request belongs to, at the span that is to be the parent of what follows from it; None for no trace.
        lines: of the head of every answer, errors included, each with its end; nothing in them came from outside unchecked.
        policies, left: of the limits that it counts in, as lists of `RateLimit-Policy` and `RateLimit`; "" for none.
        vary: the fields of the request that every answer depends on, "" for none.
        closes: whether the answer ends the connection.
        deadline: by when there must be an answer.
        started_s: when it began, by the clock's `monotonic_s`.
        grant: what it has taken of the room there is; None where there is no `admission`, and for what needs none.
        principal: who calls, and what they may; None as long as nobody has found out.
        error_code: of the error that it ended with, for the log.
        refused: whether that was because the caller was not let in, or has no right to what was asked.
        span: where spans are collected.
        task: that serves it, while its deadline is watched.
    """

    services: Services
    rules: Rules
    route: str
    names: Mapping[str, str]
    message: RawRequestMessage
    method: str
    target: str
    headers: CIMultiDictProxy[str]
    request_id: str
    client: str
    trace: TraceContext | None
    lines: str
    vary: str
    closes: bool = False
    deadline: Deadline = _NEVER
    started_s: float = 0.0
    grant: Grant | None = None
    principal: Principal | None = None
    error_code: str | None = None
    refused: bool = False
    span: RequestSpan | None = None
    task: "asyncio.Task[object] | None" = None
    policies: str = ""
    left: str = ""

    @property
    def all_lines(self) -> str:
        """With those that tell of limits: one field each (draft-ietf-httpapi-ratelimit-headers), whoever added to it."""
        if not self.left:
            return self.lines
        return f"{self.lines}RateLimit-Policy: {self.policies}\r\nRateLimit: {self.left}\r\n"

    @property
    def key_id(self) -> str | None:
        """Of the key that was shown, where it has one."""
        return None if self.principal is None else self.principal.key_id


EXCHANGE = web.RequestKey("exchange", Exchange)
