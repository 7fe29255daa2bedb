"""Figures of a bridge between two looks (pure): rates by topic, groups, requests."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

_TOPIC: Final = ("stream", "topic")
_GROUP: Final = ("stream", "topic", "group")
_RATES: Final = {
    "bridge_messages_in_total": "in_per_s",
    "bridge_messages_out_total": "out_per_s",
    "bridge_payload_bytes_in_total": "bytes_in_per_s",
    "bridge_payload_bytes_out_total": "bytes_out_per_s",
}
_GROUP_STATS: Final = {"bridge_group_lag": "lag", "bridge_group_in_flight": "in_flight"}
_SERVER_ERRORS: Final = "5"


class Look(NamedTuple):
    """One look at a bridge.

    Attributes:
        at_s: of a clock that only goes on.
        samples: by name and labels, of all workers.
        stats: what `/stats` says.
    """

    at_s: float
    samples: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
    stats: Mapping[str, Any]


def look(at_s: float, families: Iterable[Any], stats: Mapping[str, Any]) -> Look:
    """The samples of *families*, as the parser of Prometheus' own client gives them."""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:
        for sample in family.samples:
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return Look(at_s, samples, stats)


def between(before: Look, after: Look) -> dict[str, Any]:
    """What went on from the one to the other, as `bridge top` shows it."""
    spent_s = max(after.at_s - before.at_s, 1e-9)
    topics: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    groups: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    requests = failed = 0.0
    for (name, labels), value in after.samples.items():
        by = dict(labels)
        # A counter that is less than before began anew with its process.
        rate = max(value - before.samples.get((name, labels), 0.0), 0.0) / spent_s
        if name in _RATES:
            topics[tuple(by[each] for each in _TOPIC)][_RATES[name]] = round(rate, 1)
        elif name in _GROUP_STATS:
            groups[tuple(by[each] for each in _GROUP)][_GROUP_STATS[name]] = int(value)
        elif name == "bridge_http_requests_total":
            requests += rate
            failed += rate if by["status"].startswith(_SERVER_ERRORS) else 0.0
    return {
        "requests_per_s": round(requests, 1),
        "failed_per_s": round(failed, 1),
        "in_flight": _sum(after, "bridge_http_requests_in_flight"),
        "live": _sum(after, "bridge_live_streams"),
        "messages": after.stats["total_messages"],
        "size_bytes": after.stats["total_size_bytes"],
        "uptime_seconds": after.stats["uptime_seconds"],
        "topics": [{"topic": "/".join(key), **value} for key, value in sorted(topics.items())],
        "groups": [{"group": "/".join(key), **value} for key, value in sorted(groups.items())],
    }


def _sum(seen: Look, wanted: str) -> int:
    return int(sum(value for (name, _), value in seen.samples.items() if name == wanted))
