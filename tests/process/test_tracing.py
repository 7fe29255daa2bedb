"""Spans leave a real process for a collector."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import user_event
from tests.support.ports import held_port

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(ThreadingHTTPServer):
    """What takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.taken: Queue[ExportTraceServiceRequest] = Queue()
        super().__init__(("127.0.0.1", 0), _Taking)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.put(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _post(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"event": user_event(), "partition_key": "k"})
    headers = {"Content-Type": "application/json", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    connection.request("POST", "/messages", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_spans_of_a_request_reach_the_collector_before_the_process_ends(
    tmp_path: Path, collector: Collector
) -> None:
    settings = {"TRACING": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    with BridgeProcess(tmp_path, settings) as served:
        assert _post(served.started()) == 201
        served.signal()
        assert served.ended() == 0
    names, services = set(), set()
    while not collector.taken.empty():
        for resource in collector.taken.get().resource_spans:
            services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            names |= {
                span.name
                for scope in resource.scope_spans
                for span in scope.spans
                if span.trace_id.hex() == TRACE
            }
    assert services == {"bridge"}
    assert names == {"POST /messages", "send sample-stream/events", "gather", "write"}


def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    settings = {
        "TRACING": "otlp",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with (
        held_port() as port,
        BridgeProcess(
            tmp_path, {**settings, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        ) as served,
    ):
        listening = served.started()
        assert _post(listening) == 201
        told = served.until("spans_not_exported")
        assert str(port) not in json.dumps(told)
        assert b"bridge_span_export_failures_total 0.0" not in get(listening, "/metrics")[1]
        served.signal()
        assert served.ended() == 0
        assert not [line for line in served.lines if str(port) in json.dumps(line)]


def test_what_switches_the_sdk_off_switches_off_spans_and_nothing_else(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"TRACING": "otlp", "OTEL_SDK_DISABLED": "True"}) as served:
        listening = served.started()
        assert get(listening, "/health")[0] == 200
        assert _post(listening) == 201
        status, body = get(listening, "/messages?cursor=first")
        assert status == 200
        assert json.loads(body)["messages"][0]["headers"]["traceparent"].split("-")[1] == TRACE


@pytest.mark.parametrize(
    "settings",
    [
        {"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "-1"},
    ],
)
def test_a_setting_of_the_sdk_that_cannot_be_used_ends_the_process_as_any_other(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with BridgeProcess(tmp_path, {"TRACING": "otlp", **settings}) as served:
        assert served.ended() == 78
        told = [line for line in served.lines if line["event"] == "configuration"]
        assert "OTEL_" in told[-1]["detail"]
        assert not [line for line in served.lines if "exception" in line or line["event"] == ""]


def test_where_traces_are_off_no_figure_names_one(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"TRACING": "off"}) as served:
        port = served.started()
        assert _post(port) == 201
        named = {
            "Message-Header-traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            "Content-Type": "text/plain",
        }
        with connected(port) as connection:
            connection.request("POST", "/messages", b"text", named)
            assert connection.getresponse().status == 201
        body = get(port, "/metrics", {"Accept": "application/openmetrics-text"})[1]
        assert b"bridge_append_duration_seconds_count 2.0" in body
        assert TRACE.encode() not in body
