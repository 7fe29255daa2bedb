"""What Grafana loads as a dashboard, from tables (pure)."""

import json
from typing import Any, Final, NamedTuple

_WIDTH: Final = 24
_HEIGHT: Final = 8
_COLUMNS: Final = 3


class Panel(NamedTuple):
    """
    One picture.

    Attributes:
        unit: Grafana's own name of it.
        queries: PromQL by legend.
        advice: one sentence, shown where the reader points at the title.
        exemplars: whether traces are shown beside it, where Prometheus keeps those of the histogram.
    """

    title: str
    unit: str
    queries: dict[str, str]
    advice: str
    exemplars: bool = False


class Row(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


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
        "includeAll": name != "job",
        "multi": name != "job",
        "allValue": ".*" if name != "job" else None,
        "current": {},
    }


def _panel(panel: Panel, number: int, x: int, y: int, width: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.advice,
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": width, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 10}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
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
    y, width = 0, _WIDTH // _COLUMNS
    for row in dashboard.rows:
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
            column, line = place % _COLUMNS, place // _COLUMNS
            panels.append(_panel(panel, len(panels) + 1, column * width, y + line * _HEIGHT, width))
        y += -(-len(row.panels) // _COLUMNS) * _HEIGHT
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["bridge"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source, _variable("job", "job"), _variable("instance", "instance")]},
        "panels": panels,
    }


def text(dashboard: Dashboard) -> str:
    return json.dumps(document(dashboard), indent=1) + "\n"
