"""What Grafana loads as a dashboard, from tables (pure)."""

import json
from typing import Any, Final, Literal, NamedTuple

_WIDTH: Final = 24
#: By whether a row has many lines, which need room for the table of their names.
_HEIGHT: Final = {False: 8, True: 10}
_COLUMNS: Final = {False: 3, True: 2}
_LIST: Final = {"displayMode": "list", "placement": "bottom"}
#: The highest lines are on top, with their figures: a list would hide all but the first few names.
_TABLE: Final = {
    "displayMode": "table",
    "placement": "bottom",
    "calcs": ["lastNotNull", "max"],
    "sortBy": "Max",
    "sortDesc": True,
}
#: What an axis reaches at least, by unit: Grafana draws one up to 100 (10,000 %) for what was always 0.
_SOFT_MAX: Final = {"short": 1.0, "percentunit": 1.0, "reqps": 0.01, "wps": 0.01, "eps": 0.01, "mps": 0.01}

Scale = Literal["linear", "logarithmic", "stacked"]


class Panel(NamedTuple):
    """
    One picture.

    Attributes:
        unit: Grafana's own name of it.
        queries: PromQL by legend.
        advice: one sentence, shown where the reader points at the title.
        exemplars: whether traces are shown beside it, where Prometheus keeps those of the histogram.
        empty: what stands there where nothing was counted, as on a healthy bridge.
        scale: logarithmic where lines differ by powers of ten; stacked where each adds to a whole.
    """

    title: str
    unit: str
    queries: dict[str, str]
    advice: str
    exemplars: bool = False
    empty: str = ""
    scale: Scale = "linear"


class Row(NamedTuple):
    """
    Panels that belong together.

    Attributes:
        many: whether they have a line for each route, topic or group, so that their names need a table.
    """

    title: str
    panels: tuple[Panel, ...]
    many: bool = False


class Dashboard(NamedTuple):
    uid: str
    title: str
    rows: tuple[Row, ...]


def _variable(name: str, label: str) -> dict[str, Any]:
    selector = "" if name == "job" else '{job="$job"}'
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": f"label_values(bridge_build_info{selector}, {label})", "refId": name},
        "refresh": 2,
        "current": {},
        **({} if name == "job" else {"includeAll": True, "multi": True, "allValue": ".*"}),
    }


def _field(panel: Panel) -> dict[str, Any]:
    """How the values of a panel are shown."""
    custom: dict[str, Any] = {"fillOpacity": 10}
    defaults: dict[str, Any] = {"unit": panel.unit, "custom": custom}
    if panel.scale == "logarithmic":
        custom |= {"scaleDistribution": {"type": "log", "log": 10}, "fillOpacity": 0}
    else:
        defaults["min"] = 0
    if panel.scale == "stacked":
        custom["stacking"] = {"mode": "normal", "group": "A"}
    if panel.unit in _SOFT_MAX:
        custom["axisSoftMax"] = _SOFT_MAX[panel.unit]
    if panel.empty:
        defaults["noValue"] = panel.empty
    return {"defaults": defaults, "overrides": []}


def _panel(panel: Panel, number: int, x: int, y: int, *, many: bool) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.advice,
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": _WIDTH // _COLUMNS[many], "h": _HEIGHT[many]},
        "fieldConfig": _field(panel),
        "options": {"legend": _TABLE if many else _LIST, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
                **({"exemplar": True} if panel.exemplars else {}),
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def document(dashboard: Dashboard) -> dict[str, Any]:
    """What Grafana loads."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in dashboard.rows:
        columns, height = _COLUMNS[row.many], _HEIGHT[row.many]
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
                "panels": [],
            }
        )
        y += 1
        for place, panel in enumerate(row.panels):
            x, below = place % columns * (_WIDTH // columns), place // columns * height
            panels.append(_panel(panel, len(panels) + 1, x, y + below, many=row.many))
        y += -(-len(row.panels) // columns) * height
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["bridge"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        # One cross-hair for all panels: what else happened at that moment.
        "graphTooltip": 1,
        "links": [
            {
                "type": "dashboards",
                "title": "Bridge",
                "tags": ["bridge"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [source, _variable("job", "job"), _variable("instance", "instance")]},
        "panels": panels,
    }


def text(dashboard: Dashboard) -> str:
    return json.dumps(document(dashboard), indent=1) + "\n"
