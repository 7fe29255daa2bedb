"""The dashboards under `deploy/grafana/dashboards` (shell). `python -m tests.deploy.dashboards` writes them."""

from pathlib import Path
from typing import Final

from tests.deploy.grafana import Dashboard, Panel, Row, text
from tests.deploy.group_panels import GROUPS
from tests.deploy.log_panels import EMBEDDED, IGGY, LOG, TOPICS
from tests.deploy.queries import ASKED, OURS, gauge, quantile, rate_by

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"

_ROUTE: Final = "{{method}} {{route}}"
_SECONDS: Final = "bridge_http_request_duration_seconds"
_ERRORS: Final = f'{ASKED}, status=~"5.."'
#: A stream or socket lasts as long as its client wants: that is no duration of the bridge.
_ENDING: Final = f'{OURS}, route!~"/health|/ready|/metrics|/ws|.*/stream"'

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
            empty="No request failed",
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
            empty="No request was refused",
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
            {_ROUTE: quantile(_SECONDS, 0.99, "method, route", selector=_ENDING)},
            "Reads and receives that wait last as long as their client wants; streams and sockets are left out.",
            exemplars=True,
            scale="logarithmic",
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
    many=True,
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
            empty="Told of one process, not of workers",
        ),
        Panel(
            "Connections refused or cut, tasks that fail",
            "eps",
            {
                "accept {{error}}": rate_by("bridge_accept_failures_total", "error"),
                "cut {{reason}}": rate_by("bridge_slow_clients_cut_total", "reason"),
                "task {{task}} {{code}}": rate_by("bridge_task_failures_total", "task, code"),
            },
            "Errors of the process itself.",
            empty="None",
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

DASHBOARDS: Final = (
    Dashboard("bridge-requests", "Bridge: requests and resources", (_REQUESTS, _RESOURCES, _LIVE)),
    Dashboard("bridge-log", "Bridge: log and topics", (LOG, IGGY, EMBEDDED, TOPICS)),
    Dashboard("bridge-groups", "Bridge: groups", (GROUPS,)),
)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in DASHBOARDS:
        (FOLDER / f"{each.uid}.json").write_text(text(each))
