"""What the caller would like to have (pure): `Accept` and `Accept-Encoding`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from bridge.limits import ACCEPTED_REMEMBERED_MAX
from bridge.policy.body_kinds import Coding
from bridge.telemetry.exemplars import OPENMETRICS

_NDJSON: Final = "application/x-ndjson"
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_TEXT: Final = "text/plain"
_OPENMETRICS_VERSION: Final = "1.0.0"
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def wants_ndjson(accept: Sequence[str]) -> bool:
    """Whether these `Accept` fields name NDJSON, and JSON not with more weight; no wildcard means it."""
    weights = _weights(accept)
    ndjson = weights.get(_NDJSON, 0.0)
    return ndjson > 0 and ndjson >= weights.get(_JSON, 0.0)


def wants_events(accept: Sequence[str]) -> bool:
    """Whether these `Accept` fields name server-sent events, and neither NDJSON nor JSON with more weight."""
    weights = _weights(accept)
    events = weights.get(_EVENTS, 0.0)
    return events > 0 and events >= max(weights.get(_NDJSON, 0.0), weights.get(_JSON, 0.0))


def wants_openmetrics(accept: Sequence[str]) -> bool:
    """Whether these `Accept` fields name OpenMetrics 1.0.0, and plain text not with more weight; no wildcard means it."""
    openmetrics = text = 0.0
    for name, parameters, weight in _elements(accept):
        if name == OPENMETRICS and _is_version(parameters.get("version")):
            openmetrics = max(openmetrics, weight)
        elif name == _TEXT:
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


def _is_version(named: str | None) -> bool:
    return named is None or named.strip('"') == _OPENMETRICS_VERSION


def takes_events(accept: Sequence[str]) -> bool:
    """Whether server-sent events are an answer to these `Accept` fields; none at all take anything."""
    weights = _weights(accept)
    named = (weights[name] for name in (_EVENTS, "text/*", "*/*") if name in weights)
    return not any(accept) or next(named, 0.0) > 0


def takes_gzip(accept_encoding: Sequence[str]) -> bool:
    """Whether these `Accept-Encoding` fields name gzip, and `identity` not with more weight; no wildcard means it."""
    weights = _weights(accept_encoding)
    gzip = _gzip_weight(weights)
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def preferred_coding(accept_encoding: Sequence[str]) -> Coding:
    """What these `Accept-Encoding` fields name with most weight, zstd before gzip; no wildcard means either."""
    weights = _weights(accept_encoding)
    zstd = weights.get("zstd", 0.0)
    gzip = _gzip_weight(weights)
    if zstd > 0 and zstd >= gzip:
        return Coding.ZSTD
    return Coding.GZIP if gzip > 0 else Coding.IDENTITY


def _gzip_weight(weights: Mapping[str, float]) -> float:
    return max(weights.get("gzip", 0.0), weights.get("x-gzip", 0.0))


def _weights(fields: Sequence[str]) -> Mapping[str, float]:
    return _weights_of(",".join(fields))


@lru_cache(ACCEPTED_REMEMBERED_MAX)
def _weights_of(field: str) -> Mapping[str, float]:
    return {name: weight for name, _, weight in _elements((field,))}


def _elements(fields: Sequence[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each name, its parameters, and its weight: 1 where none is given, 0 where it cannot be read (RFC 9110, section 12.4.2)."""
    for element in ",".join(fields).split(","):
        name, *rest = element.split(";")
        parameters = {}
        for parameter in rest:
            key, _, value = parameter.partition("=")
            parameters[key.strip().lower()] = value.strip()
        weight = parameters.get("q", "1")
        yield name.strip().lower(), parameters, float(weight) if _WEIGHT.fullmatch(weight) else 0.0
