"""The panels about the log and its topics (pure)."""

from typing import Final

from tests.deploy.grafana import Panel, Row
from tests.deploy.queries import OURS, counted, gauge, quantile, rate_by

_TOPIC: Final = "{{stream}}/{{topic}}"
_NO_CANARY: Final = "No canary: see CANARY_PER_MINUTE"
_ON_IGGY: Final = "Only with Iggy"
_EMBEDDED_ONLY: Final = "Only with the embedded log"

LOG: Final = Row(
    "The log",
    (
        Panel(
            "State",
            "short",
            {"{{instance}} {{state}}": f"{gauge('bridge_connection_state', 'instance, state')} > 0"},
            "connected and open are well; full is a full disk; the rest is no connection.",
            scale="stacked",
        ),
        Panel(
            "What an acknowledgement means",
            "short",
            {
                "{{durability}}": gauge("bridge_log_durability", "durability", of="max"),
                "topics that promise less": gauge("bridge_log_weaker_topics", "job", of="max"),
            },
            "The line at 1 is the promise of the bridge.",
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
        Panel(
            "Canary: duration",
            "s",
            {
                name: quantile("bridge_canary_duration_seconds", at)
                for name, at in (("p50", 0.5), ("p99", 0.99))
            },
            "A message of the bridge's own, stored and read back, whatever clients do.",
            empty=_NO_CANARY,
        ),
        Panel(
            "Canary: messages that did not come back",
            "eps",
            {"{{code}}": rate_by("bridge_canary_failures_total", "code")},
            "The code says why; then look at the state of the log.",
            empty="None",
        ),
    ),
)

IGGY: Final = Row(
    "Connection to Iggy",
    (
        Panel(
            "Circuit breaker",
            "short",
            {"{{instance}} {{state}}": f"{gauge('bridge_breaker_state', 'instance, state')} > 0"},
            "open refuses at once; half open lets one probe through. The embedded log has none.",
            empty=_ON_IGGY,
            scale="stacked",
        ),
        Panel(
            "Reconnects in 30 minutes",
            "short",
            {"{{instance}}": counted("bridge_reconnects_total", "instance", "30m")},
            "More than a few: the network or Iggy is not stable.",
        ),
        Panel(
            "Writes that the log refused",
            "wps",
            {"{{code}}": rate_by("bridge_append_failures_total", "code")},
            "The code says why.",
            empty="None",
        ),
    ),
)

EMBEDDED: Final = Row(
    "Embedded log",
    (
        Panel(
            "Files",
            "bytes",
            {"{{part}}": gauge("bridge_embedded_log_disk_bytes", "part", selector=f'{OURS}, part!="free"')},
            "The database does not shrink; what is deleted in it is used again.",
            empty=_EMBEDDED_ONLY,
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
            empty=_EMBEDDED_ONLY,
        ),
        Panel(
            "Growth of the database",
            "binBps",
            {
                "{{instance}}": f'sum by (instance) (deriv(bridge_embedded_log_disk_bytes{{{OURS}, part="database"}}[1h]))'
            },
            "Free space divided by it is the time that is left.",
            empty=_EMBEDDED_ONLY,
        ),
    ),
)

TOPICS: Final = Row(
    "Topics",
    (
        Panel(
            "Messages in",
            "mps",
            {_TOPIC: rate_by("bridge_messages_in_total", "stream, topic")},
            "A topic that falls to 0: ask its producers.",
        ),
        Panel(
            "Messages out",
            "mps",
            {_TOPIC: rate_by("bridge_messages_out_total", "stream, topic")},
            "Read from the log: once for all who follow live.",
        ),
        Panel(
            "Payload bytes in",
            "binBps",
            {_TOPIC: rate_by("bridge_payload_bytes_in_total", "stream, topic")},
            "What the disk grows by.",
        ),
        Panel(
            "Payload bytes out",
            "binBps",
            {_TOPIC: rate_by("bridge_payload_bytes_out_total", "stream, topic")},
            "What readers take.",
        ),
    ),
    many=True,
)
