"""The table of `docs/metrics.md`, made from the code and the advice (shell). `python -m tests.generated` writes it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import Metric as ScrapedMetric
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.metrics import Metrics
from tests.readme.metric_advice import ADVICE

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
#: By the beginning of a name, in the order of the page; the first that fits holds.
SECTIONS: Final = (
    (
        "Requests",
        r"bridge_(http_requests|http_request_duration|rate_limited|shared_limits|overloaded|auth_failures|key)",
    ),
    ("Connections", r"bridge_(accept_failures|slow_clients|tls)"),
    ("Log", r"bridge_(connection|breaker|reconnects|append|read|log|embedded|durability|canary)"),
    ("Topics", r"bridge_(messages|payload)"),
    ("Groups", r"bridge_group"),
    ("Live reading", r"bridge_(live|long_polls|tails|feeds)"),
    ("Process", r"bridge_(audit|event_loop|task|span|reload|worker|build)|process_"),
)
_TABLE: Final = re.compile(r"(<!-- metrics [^\n]*-->\n)(.*?)(<!-- /metrics -->)", re.DOTALL)


def shown_metrics() -> Iterator[tuple[str, ScrapedMetric]]:
    """Every metric by the name that a scrape shows, those of workers behind those of one process."""
    seen: set[str] = set()
    for each in (Metrics(), Metrics(of_workers=True)):
        text, _ = each.render()
        for family in text_string_to_metric_families(text.decode()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if name not in seen:
                seen.add(name)
                yield name, family


def declared_labels() -> dict[str, tuple[str, ...]]:
    """The label names of each of our metrics, by the name that a scrape shows."""
    labels = {each.name: each.labels for each in Metrics(of_workers=True).families if each.is_shown}
    shown = {name: labels.get(family.name, ()) for name, family in shown_metrics()}
    return shown | {"bridge_build_info": ("version", "python")}


def section_of(name: str) -> str:
    return next(title for title, pattern in SECTIONS if re.match(pattern, name))


def metrics_table() -> str:
    """One table a section: what a metric is, what it says, what to do."""
    labels = declared_labels()
    rows: dict[str, list[str]] = {title: [] for title, _ in SECTIONS}
    for name, family in shown_metrics():
        named = ", ".join(f"`{label}`" for label in labels[name])
        kind = family.type if not named else f"{family.type} by {named}"
        text = family.documentation.removesuffix(".")
        rows[section_of(name)].append(f"| `{name}` | {kind} | {text} | {ADVICE[name]} |")
    lines = []
    for title, section in rows.items():
        lines += [f"\n## {title}\n", "| metric | kind | what it says | what to do |"]
        lines += ["| --- | --- | --- | --- |", *section]
    return "\n".join((*lines, ""))


def with_table(page: str) -> str:
    (place,) = _TABLE.finditer(page)
    return f"{page[: place.end(1)]}{metrics_table()}\n{page[place.start(3) :]}"


def write() -> None:
    PAGE.write_text(with_table(PAGE.read_text()))
