"""Claims about dashboards and rules (shell): what they ask is what a live bridge tells, and Prometheus understands it."""

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.dashboards import DASHBOARDS, FOLDER
from tests.deploy.grafana import Dashboard, Panel, text
from tests.deploy.manifests import ROOT
from tests.deploy.promql import names_of, with_variables
from tests.readme.metrics_page import declared_labels
from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import user_event
from tests.support.iggy_server import running_server
from tests.support.programs import checked, needs
from tests.support.prometheus import running_prometheus

RULES: Final = ROOT / "deploy" / "prometheus" / "bridge.rules.yaml"
#: What Prometheus adds to every series.
ADDED: Final = {"job", "instance"}
GROUP: Final = "/streams/sample-stream/topics/events/groups/mailer"
#: Panels of a healthy bridge on the embedded log that have nothing to show: faults, workers, Iggy.
EMPTY: Final = {
    "Errors by route (5xx)",
    "Connections refused or cut, tasks that fail",
    "Canary: messages that did not come back",
    "Circuit breaker",
    "Writes that the log refused",
}


def panels() -> Iterator[Panel]:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            yield from row.panels


def panel_queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        yield from ((panel.title, with_variables(query)) for query in panel.queries.values())


def written_panels() -> Iterator[dict[str, Any]]:
    """What Grafana loads, without the titles of rows."""
    for dashboard in DASHBOARDS:
        document = json.loads((FOLDER / f"{dashboard.uid}.json").read_text())
        yield from (panel for panel in document["panels"] if panel["type"] != "row")


def rule_queries() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in group["rules"])


def call(connection: HTTPConnection, method: str, path: str, body: object = None) -> int:
    payload = None if body is None else json.dumps(body)
    connection.request(method, path, payload, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


def traffic(port: int) -> None:
    """Something of everything: writes, reads, groups, refusals."""
    with connected(port) as connection:
        for _ in range(5):
            assert call(connection, "POST", "/messages", {"event": user_event()}) == 201
        assert call(connection, "GET", "/messages?partition_id=0") == 200
        assert call(connection, "POST", f"{GROUP}/receive", {"count": 2}) == 200
        assert call(connection, "POST", "/messages", {"event": 1}) == 400


@contextlib.contextmanager
def live(kind: str, directory: Path) -> Iterator[int]:
    """The port of a bridge that has had some traffic; on Iggy of two workers."""
    with contextlib.ExitStack() as stack:
        environ = {}
        if kind == "iggy":
            server = stack.enter_context(running_server())
            environ = {"IGGY_CONNECTION_STRING": server.connection_string, "WORKERS": "2"}
        bridge = stack.enter_context(BridgeProcess(directory, environ))
        port = bridge.started()
        traffic(port)
        yield port


@pytest.fixture(params=["local", "iggy"], name="scrape")
def live_scrape(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    with live(request.param, tmp_path) as port:
        status, body = get(port, "/metrics")
    assert status == 200
    return body


@needs("promtool")
def test_promtool_finds_nothing_in_a_live_scrape(scrape: bytes) -> None:
    assert checked("promtool", "check", "metrics", stdin=scrape) == ""


def labels_of(scrape: bytes) -> dict[str, set[str]]:
    """Label names by the names that PromQL has; declared ones where nothing was counted yet."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scrape.decode()):
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        names = [
            shown,
            *(f"{shown}_{part}" for part in ("bucket", "sum", "count") if family.type == "histogram"),
        ]
        for name in names:
            found = {label for sample in family.samples if sample.name == name for label in sample.labels}
            extra = {"le"} if name.endswith("_bucket") else set()
            labels[name] = found or {*declared_labels().get(shown, ()), *extra}
    return labels


def test_every_query_names_metrics_and_labels_that_a_live_bridge_has(scrape: bytes) -> None:
    # Those of workers are told where there are workers, and of a process where there is one.
    known = {name: set(labels) for name, labels in declared_labels().items() if "worker" in name}
    known |= (
        {name: set() for name in declared_labels() if name.startswith("process_")}
        | labels_of(scrape)
        | {"up": set()}
    )
    wrong: list[tuple[str, ...]] = []
    for title, query in (*panel_queries(), *rule_queries()):
        matched, grouped = names_of(query)
        wrong += [(title, name) for name in matched if name not in known]
        for name, labels in matched.items():
            wrong += [(title, name, label) for label in labels - known.get(name, set()) - ADDED]
        reach = ADDED.union(*(known.get(name, set()) for name in matched)) if matched else grouped
        wrong += [(title, label) for label in grouped - reach]
    assert wrong == []


def test_a_wrong_name_in_a_query_would_be_found() -> None:
    query = 'sum by (job, kind) (rate(bridge_nothing_total{kindd!~"a|b"}[5m])) > on(job) up'
    assert names_of(query) == ({"bridge_nothing_total": {"kindd"}, "up": set()}, {"job", "kind"})


@needs("prometheus")
def test_prometheus_answers_every_query_over_a_live_bridge(tmp_path: Path) -> None:
    with (
        live("local", tmp_path / "data") as port,
        running_prometheus(tmp_path, port=port, rules=RULES) as prometheus,
    ):
        prometheus.until('count_over_time(up{job="bridge"}[1m]) >= 3')
        traffic(port)
        prometheus.until("max(bridge_group_lag) > 0")
        prometheus.until('rate(bridge_http_requests_total{status="400"}[1m]) > 0')
        shown = {title: 0 for title, _ in panel_queries()}
        for title, query in panel_queries():
            shown[title] += len(prometheus.query(query))
        for _, query in rule_queries():
            prometheus.query(query)
        loaded = prometheus.ask("rules")["groups"]
        assert {rule["health"] for group in loaded for rule in group["rules"]} == {"ok"}
        firing = {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}
    assert {title for title, count in shown.items() if not count} == EMPTY
    assert firing == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)
def test_a_dashboard_is_the_newest(dashboard: Dashboard) -> None:
    written = (FOLDER / f"{dashboard.uid}.json").read_text()
    assert written == text(dashboard), "run: python -m tests.deploy.dashboards"


def test_no_dashboard_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {each.uid for each in DASHBOARDS}


def test_every_panel_says_what_its_reader_does_with_it() -> None:
    titles = [panel.title for panel in panels()]
    assert all(panel.advice.endswith(".") for panel in panels())
    assert len(set(titles)) == len(titles)


def test_a_panel_that_may_be_empty_says_why_instead_of_no_data() -> None:
    assert {panel.title for panel in panels() if panel.empty} >= EMPTY
    shown = {panel["title"]: panel["fieldConfig"]["defaults"].get("noValue") for panel in written_panels()}
    assert all(shown[panel.title] == (panel.empty or None) for panel in panels())


def test_bytes_are_binary_everywhere_and_messages_are_called_so() -> None:
    assert {panel.unit for panel in panels() if "ps" in panel.unit.lower()} == {
        *("reqps", "mps", "eps", "wps", "binBps"),
    }
    assert {panel.unit for panel in panels() if "bytes" in panel.unit} == {"bytes"}


def test_lines_that_a_legend_cannot_hold_are_named_in_a_table_with_the_highest_on_top() -> None:
    for panel in written_panels():
        names = {target["legendFormat"] for target in panel["targets"]}
        if any(label in name for name in names for label in ("{{route}}", "{{topic}}", "{{group}}")):
            legend = panel["options"]["legend"]
            assert (legend["displayMode"], legend["sortDesc"]) == ("table", True), panel["title"]


def test_durations_by_route_leave_out_what_its_client_ends() -> None:
    (panel,) = (each for each in panels() if each.title == "p99 by route")
    (query,) = panel.queries.values()
    assert "|/ws|.*/stream" in query
    (shown,) = (each for each in written_panels() if each["title"] == panel.title)
    defaults = shown["fieldConfig"]["defaults"]
    assert defaults["custom"]["scaleDistribution"]["type"] == "log"
    assert "min" not in defaults, "a logarithm of 0"


def test_what_was_always_0_is_not_drawn_on_an_axis_of_100() -> None:
    for panel in written_panels():
        defaults = panel["fieldConfig"]["defaults"]
        if defaults["unit"] not in {"s", "dtdhms", "bytes", "binBps"}:
            assert 0 < defaults["custom"]["axisSoftMax"] <= 1, panel["title"]


def test_panels_stand_beside_and_below_each_other_without_overlap() -> None:
    for dashboard in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads((FOLDER / f"{dashboard.uid}.json").read_text())["panels"]:
            x, y, w, h = (panel["gridPos"][name] for name in "xywh")
            cells = {(column, line) for column in range(x, x + w) for line in range(y, y + h)}
            assert x + w <= 24
            assert not cells & taken, panel["title"]
            taken |= cells


@needs("promtool")
def test_promtool_finds_nothing_in_the_configuration_of_prometheus() -> None:
    assert "SUCCESS" in checked(
        "promtool", "check", "config", ROOT / "deploy" / "prometheus" / "prometheus.yaml"
    )
