"""From a bucket of a histogram to the trace of a request, as Prometheus finds it."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import ROOT
from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import user_event
from tests.support.iggy_server import running_server
from tests.support.ports import held_port
from tests.support.programs import needs
from tests.support.prometheus import Prometheus, running_prometheus

RULES = ROOT / "deploy" / "prometheus" / "bridge.rules.yaml"
HISTOGRAMS = ("bridge_http_request_duration_seconds_bucket", "bridge_append_duration_seconds_bucket")
FOUND_TIMEOUT_S = 120.0
WORKERS = 2


@contextlib.contextmanager
def bridge_on(kind: str, directory: Path) -> Iterator[tuple[int, int]]:
    """The port of a bridge and that of its figures; on Iggy of two workers."""
    with contextlib.ExitStack() as stack:
        figures_port = stack.enter_context(held_port())
        environ = {"METRICS_PORT": str(figures_port)}
        if kind == "iggy":
            server = stack.enter_context(running_server())
            environ |= {"IGGY_CONNECTION_STRING": server.connection_string, "WORKERS": str(WORKERS)}
        bridge = stack.enter_context(BridgeProcess(directory, environ))
        port = bridge.started()
        for _ in range(WORKERS - 1 if kind == "iggy" else 0):
            bridge.until("ready")
        yield port, figures_port


def send(port: int, trace_id: str) -> None:
    headers = {"Content-Type": "application/json", "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    with connected(port) as connection:
        connection.request("POST", "/messages", json.dumps({"event": user_event()}), headers)
        assert connection.getresponse().status == 201


def exemplars(prometheus: Prometheus, query: str) -> set[str]:
    now_s = time.time()
    series: list[dict[str, Any]] = prometheus.ask(
        "query_exemplars", query=query, start=str(now_s - 60), end=str(now_s + 60)
    )
    return {each["labels"]["trace_id"] for one in series for each in one["exemplars"]}


@needs("prometheus")
@pytest.mark.parametrize("kind", ["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def test_prometheus_finds_the_trace_of_a_request_beside_its_duration(tmp_path: Path, kind: str) -> None:
    trace_id = secrets.token_hex(16)
    with (
        bridge_on(kind, tmp_path / "data") as (port, figures_port),
        running_prometheus(tmp_path, port=figures_port, rules=RULES) as prometheus,
    ):
        send(port, trace_id)
        until_s = time.monotonic() + FOUND_TIMEOUT_S
        missing = set(HISTOGRAMS)
        while missing:
            assert time.monotonic() < until_s, f"no exemplar of {missing}"
            prometheus.until(f"present_over_time({min(missing)}[1m])")
            missing = {name for name in missing if trace_id not in exemplars(prometheus, name)}
        openmetrics = {"Accept": "application/openmetrics-text"}
        assert get(figures_port, "/metrics", openmetrics)[1].endswith(b"\n# EOF\n")
