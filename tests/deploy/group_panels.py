"""The panels about groups (pure)."""

from typing import Final

from tests.deploy.grafana import Panel, Row
from tests.deploy.queries import counted, group_gauge, rate_by

_GROUP: Final = "{{stream}}/{{topic}} {{group}}"
GROUPS: Final = Row(
    "How groups stand",
    (
        Panel("Lag", "short", {_GROUP: group_gauge("lag")}, "Messages that the group has not settled."),
        Panel(
            "Oldest unsettled message",
            "dtdhms",
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
            "mps",
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
            {_GROUP: group_gauge("dead_letters")},
            "What is in the topic of dead letters: read it, mend the worker, send it again.",
        ),
        Panel(
            "Dead letters in the last hour",
            "short",
            {_GROUP: counted("bridge_group_dead_lettered_total", "stream, topic, group", "1h")},
            "What workers give up now.",
        ),
    ),
    many=True,
)
