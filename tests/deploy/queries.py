"""PromQL of the dashboards' panels (pure)."""

from typing import Final

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


def counted(metric: str, labels: str, over: str) -> str:
    """How often in that time; Prometheus extrapolates, so it is rounded to whole ones."""
    return f"round(sum by ({labels}) (increase({metric}{{{OURS}}}[{over}])))"


def group_gauge(name: str) -> str:
    """Every process tells the whole of a group."""
    return gauge(f"bridge_group_{name}", "stream, topic, group", of="max")
