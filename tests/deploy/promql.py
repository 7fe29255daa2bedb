"""Which metrics and labels a PromQL query names (pure)."""

import re
from collections.abc import Iterator
from typing import Final

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Names with colons are those of recording rules.
_SELECTOR: Final = re.compile(r"(?<![:\w])((?:bridge|process)_[a-z_]+|up)(?![:\w])(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def with_variables(query: str) -> str:
    """A query of a dashboard as Grafana sends it."""
    values = {"$__rate_interval": "1m", "$instance": ".*", "$job": "bridge"}
    for name, value in values.items():
        query = query.replace(name, value)
    return query


def names_of(query: str) -> tuple[dict[str, set[str]], set[str]]:
    """Labels that are matched by metric, and labels that results are grouped by."""
    bare = _STRING.sub('""', query)
    matched: dict[str, set[str]] = {}
    for name, matchers in _SELECTOR.findall(bare):
        matched.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return matched, set(_grouped(bare))


def _grouped(bare: str) -> Iterator[str]:
    for labels in _GROUPING.findall(bare):
        yield from (label.strip() for label in labels.split(",") if label.strip())
