"""The dashboards under `deploy/grafana/dashboards` (shell). `python -m tests.deploy.dashboards` writes them."""

from pathlib import Path
from typing import Final

from tests.deploy.grafana import Dashboard, Panel, Row, text

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"
#: What every query looks at: the variables at the top of the page.
OURS: Final = 'job="$job", instance=~"$instance"'
ASKED: Final = f'{OURS}, route!~"/health|/ready|/metrics"'
RATE: Final = "[$__rate_interval]"


def rate_by(metric: str, labels: str, *, selector: str = OURS, of: str = "sum") -> str:
    return f"{of} by ({labels}) (rate({metric}{{{selector}}}{RATE}))"


def quantile(metric: str, at: float, labels: str = "", *, selector: str = OURS) -> str:
    by = f"{labels}, le" if labels else "le"
    return f"histogram_quantile({at}, sum by ({by}) (rate({metric}_bucket{{{selector}}}{RATE})))"


def gauge(metric: str, labels: str, *, selector: str = OURS, of: str = "sum") -> str:
    return f"{of} by ({labels}) ({metric}{{{selector}}})"


def group_gauge(name: str) -> str:
    """Every process tells the whole of a group."""
    return gauge(f"bridge_group_{name}", "stream, topic, group", of="max")


_GROUP: Final = "{{stream}}/{{topic}} {{group}}"
_TOPIC: Final = "{{stream}}/{{topic}}"
_ROUTE: Final = "{{method}} {{route}}"
_SECONDS: Final = "bridge_http_request_duration_seconds"
_ERRORS: Final = f'{ASKED}, status=~"5.."'

_REQUESTS: Final = Row(
    "Requests: rate, errors, duration by route",
    (
        Panel(
            "Requests by route",
            "reqps",
            {_ROUTE: rate_by("bridge_http_requests_total", "method, route", selector=ASKED)},
            "What clients ask for; probes and scrapes are left out.",
        ),
        Panel(
            "Errors by route (5xx)",
            "reqps",
            {
                "{{route}} {{status}}": rate_by(
                    "bridge_http_requests_total", "route, status", selector=_ERRORS
                )
            },
            "Anything here is the bridge or its log: look at the dashboard of the log next.",
        ),
        Panel(
            "Refused by the client's fault (4xx)",
            "reqps",
            {
                "{{route}} {{status}}": rate_by(
                    "bridge_http_requests_total", "route, status", selector=f'{ASKED}, status=~"4.."'
                )
            },
            "401 is a wrong key, 429 the rate limit, 404 a name that is not there.",
        ),
        Panel(
            "Writes: duration",
            "s",
            {
                name: quantile(_SECONDS, at, selector=f'{OURS}, method="POST", route=~".*/messages"')
                for name, at in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
            },
            "From the request to the acknowledgement; a dot is one request, with its trace.",
            exemplars=True,
        ),
        Panel(
            "p99 by route",
            "s",
            {_ROUTE: quantile(_SECONDS, 0.99, "method, route", selector=ASKED)},
            "Reads that wait and streams last as long as their client wants.",
            exemplars=True,
        ),
        Panel(
            "Refused for load, limit and key",
            "reqps",
            {
                "overloaded": rate_by("bridge_overloaded_total", "job"),
                "rate limit": rate_by("bridge_rate_limited_total", "job"),
                "key {{reason}}": rate_by("bridge_auth_failures_total", "reason"),
            },
            "Overloaded asks for more replicas or workers; the others are about clients.",
        ),
    ),
)

_RESOURCES: Final = Row(
    "Resources: use, saturation, errors",
    (
        Panel(
            "CPU",
            "percentunit",
            {
                "{{instance}}": rate_by("process_cpu_seconds_total", "instance"),
                "{{instance}} worker {{worker}}": rate_by(
                    "bridge_worker_cpu_seconds_total", "instance, worker"
                ),
            },
            "One process uses one core: at 100 % it is full.",
        ),
        Panel(
            "Memory",
            "bytes",
            {
                "{{instance}}": gauge("process_resident_memory_bytes", "instance"),
                "{{instance}} worker {{worker}}, most": gauge(
                    "bridge_worker_peak_memory_bytes", "instance, worker"
                ),
            },
            "Compare with the memory limit.",
        ),
        Panel(
            "Event loop: late by",
            "s",
            {
                "{{instance}} p50": quantile("bridge_event_loop_lag_seconds", 0.5, "instance"),
                "{{instance}} p99": quantile("bridge_event_loop_lag_seconds", 0.99, "instance"),
            },
            "Saturation of the process: above 50 ms it lacks CPU.",
        ),
        Panel(
            "Requests in flight",
            "short",
            {"{{instance}}": gauge("bridge_http_requests_in_flight", "instance")},
            "Compare with MAX_IN_FLIGHT_REQUESTS.",
        ),
        Panel(
            "Open files",
            "percentunit",
            {
                "{{instance}}": f"{gauge('process_open_fds', 'instance')} / {gauge('process_max_fds', 'instance')}"
            },
            "Beyond the limit no connection is taken.",
        ),
        Panel(
            "Connections refused or cut, tasks that fail",
            "cps",
            {
                "accept {{error}}": rate_by("bridge_accept_failures_total", "error"),
                "cut {{reason}}": rate_by("bridge_slow_clients_cut_total", "reason"),
                "task {{task}} {{code}}": rate_by("bridge_task_failures_total", "task, code"),
            },
            "Errors of the process itself.",
        ),
    ),
)

_LIVE: Final = Row(
    "Live reading",
    (
        Panel(
            "Streams, sockets, subscriptions, long polls",
            "short",
            {
                "{{kind}}": gauge("bridge_live_streams", "kind"),
                "long polls": gauge("bridge_long_polls", "job"),
            },
            "A worker has 5,000 live streams and 8,000 long polls at most.",
        ),
        Panel(
            "What is followed",
            "short",
            {"feeds": gauge("bridge_feeds", "job"), "tails": gauge("bridge_tails", "job")},
            "Many readers share few feeds; as many feeds as readers means that nobody shares.",
        ),
        Panel(
            "Held for those who are behind",
            "bytes",
            {
                "feeds": gauge("bridge_feeds_held_bytes", "job"),
                "slow clients": gauge("bridge_slow_clients_held_bytes", "job"),
            },
            "A worker holds 128 MiB for slow clients at most, then cuts the slowest.",
        ),
    ),
)

_LOG: Final = Row(
    "The log",
    (
        Panel(
            "State, and what an acknowledgement means",
            "short",
            {
                "{{instance}} {{state}}": f"{gauge('bridge_connection_state', 'instance, state')} > 0",
                "{{durability}}": gauge("bridge_log_durability", "durability", of="max"),
                "topics that promise less": gauge("bridge_log_weaker_topics", "job", of="max"),
            },
            "connected and open are well; full is a full disk; the rest is no connection.",
        ),
        Panel(
            "Messages in the log",
            "short",
            {"messages": gauge("bridge_log_messages", "job", of="max")},
            "If it only grows, topics have no retention.",
        ),
        Panel(
            "Size of the log",
            "bytes",
            {"size": gauge("bridge_log_size_bytes", "job", of="max")},
            "What messages take.",
        ),
        Panel(
            "Appends: duration",
            "s",
            {
                name: quantile("bridge_append_duration_seconds", at)
                for name, at in (("p50", 0.5), ("p99", 0.99))
            },
            "The log without HTTP: the disk's sync, or Iggy. A dot is one write, with a trace.",
            exemplars=True,
        ),
        Panel(
            "Reads: duration",
            "s",
            {
                name: quantile("bridge_read_duration_seconds", at)
                for name, at in (("p50", 0.5), ("p99", 0.99))
            },
            "The log without HTTP.",
        ),
        Panel(
            "Messages in one write, on average",
            "short",
            {
                "messages": f"{rate_by('bridge_append_batch_messages_sum', 'job')}"
                f" / {rate_by('bridge_append_batch_messages_count', 'job')}"
            },
            "It grows with load: concurrent writes share one.",
        ),
    ),
)

_IGGY: Final = Row(
    "Connection to Iggy",
    (
        Panel(
            "Circuit breaker",
            "short",
            {"{{instance}} {{state}}": gauge("bridge_breaker_state", "instance, state")},
            "open refuses at once; half open lets one probe through. The embedded log has none.",
        ),
        Panel(
            "Reconnects in 30 minutes",
            "short",
            {"{{instance}}": f"sum by (instance) (increase(bridge_reconnects_total{{{OURS}}}[30m]))"},
            "More than a few: the network or Iggy is not stable.",
        ),
        Panel(
            "Writes that the log refused",
            "wps",
            {"{{code}}": rate_by("bridge_append_failures_total", "code")},
            "The code says why.",
        ),
    ),
)

_EMBEDDED: Final = Row(
    "Embedded log",
    (
        Panel(
            "Files",
            "bytes",
            {"{{part}}": gauge("bridge_embedded_log_disk_bytes", "part", selector=f'{OURS}, part!="free"')},
            "The database does not shrink; what is deleted in it is used again.",
        ),
        Panel(
            "Free on the disk",
            "bytes",
            {
                "{{instance}}": gauge(
                    "bridge_embedded_log_disk_bytes", "instance", selector=f'{OURS}, part="free"'
                )
            },
            "At 0 writes get 503 until there is room.",
        ),
        Panel(
            "Growth of the database",
            "Bps",
            {
                "{{instance}}": f'sum by (instance) (deriv(bridge_embedded_log_disk_bytes{{{OURS}, part="database"}}[1h]))'
            },
            "Free space divided by it is the time that is left.",
        ),
    ),
)

_TOPICS: Final = Row(
    "Topics",
    (
        Panel(
            "Messages in",
            "cps",
            {_TOPIC: rate_by("bridge_messages_in_total", "stream, topic")},
            "A topic that falls to 0: ask its producers.",
        ),
        Panel(
            "Messages out",
            "cps",
            {_TOPIC: rate_by("bridge_messages_out_total", "stream, topic")},
            "Read from the log: once for all who follow live.",
        ),
        Panel(
            "Payload bytes",
            "Bps",
            {
                f"in {_TOPIC}": rate_by("bridge_payload_bytes_in_total", "stream, topic"),
                f"out {_TOPIC}": rate_by("bridge_payload_bytes_out_total", "stream, topic"),
            },
            "What the disk grows by, and what readers take.",
        ),
    ),
)

_GROUPS: Final = Row(
    "How groups stand",
    (
        Panel("Lag", "short", {_GROUP: group_gauge("lag")}, "Messages that the group has not settled."),
        Panel(
            "Oldest unsettled message",
            "s",
            {_GROUP: group_gauge("oldest_unsettled_age_seconds")},
            "How late the group is.",
        ),
        Panel("In flight", "short", {_GROUP: group_gauge("in_flight")}, "Messages that workers have now."),
        Panel(
            "Coming again",
            "short",
            {
                f"{_GROUP} waiting": group_gauge("waiting"),
                f"{_GROUP} of them put off": group_gauge("delayed"),
            },
            "Messages that failed or whose lease ended.",
        ),
        Panel(
            "Given out",
            "cps",
            {_GROUP: rate_by("bridge_group_delivered_total", "stream, topic, group")},
            "What workers get; at 0 with a lag nobody asks.",
        ),
        Panel(
            "Share that was given out before",
            "percentunit",
            {
                _GROUP: f"{rate_by('bridge_group_redelivered_total', 'stream, topic, group')}"
                f" / {rate_by('bridge_group_delivered_total', 'stream, topic, group')}"
            },
            "Above a fifth: workers fail or take longer than their lease.",
        ),
        Panel(
            "Dead letters",
            "short",
            {
                f"{_GROUP} in the topic": group_gauge("dead_letters"),
                f"{_GROUP} in the last hour": "sum by (stream, topic, group) "
                f"(increase(bridge_group_dead_lettered_total{{{OURS}}}[1h]))",
            },
            "Read them, mend the worker, send them again.",
        ),
    ),
)

DASHBOARDS: Final = (
    Dashboard("bridge-requests", "Bridge: requests and resources", (_REQUESTS, _RESOURCES, _LIVE)),
    Dashboard("bridge-log", "Bridge: log and topics", (_LOG, _IGGY, _EMBEDDED, _TOPICS)),
    Dashboard("bridge-groups", "Bridge: groups", (_GROUPS,)),
)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in DASHBOARDS:
        (FOLDER / f"{each.uid}.json").write_text(text(each))
