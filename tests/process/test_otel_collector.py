"""What a real collector of OpenTelemetry gets of a real bridge."""

import json
import secrets
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, connected
from tests.support.events import user_event
from tests.support.iggy_server import running_server
from tests.support.otel_collector import needs_collector, running_collector

CALLER_SPAN = "00f067aa0ba902b7"
TOPIC = "sample-stream/events"


def _call(port: int, method: str, path: str, trace_id: str, body: object = None) -> int:
    headers = {"Content-Type": "application/json", "traceparent": f"00-{trace_id}-{CALLER_SPAN}-01"}
    with connected(port) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse().status


@needs_collector()
@pytest.mark.parametrize("kind", ["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def test_a_collector_gets_the_spans_of_a_write_and_a_read_below_those_of_the_caller(
    tmp_path: Path, kind: str
) -> None:
    write, read = secrets.token_hex(16), secrets.token_hex(16)
    with running_collector(tmp_path) as collector:
        environ = {
            "TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        if kind == "iggy":
            with running_server() as server:
                environ |= {"IGGY_CONNECTION_STRING": server.connection_string}
                _write_and_read(tmp_path, environ, write, read)
        else:
            _write_and_read(tmp_path, environ, write, read)
        written = collector.until({"POST /messages", f"send {TOPIC}", "gather", "write"}, write)
        polled = collector.until({"GET /messages", f"poll {TOPIC}"}, read)
        said = collector.log.read_text()
    assert f"messaging.system: Str({kind})" in said
    assert "service.name: Str(bridge)" in said
    for spans, request, below in (
        (written, "POST /messages", {f"send {TOPIC}"}),
        (polled, "GET /messages", {f"poll {TOPIC}"}),
    ):
        (root,) = (span for span in spans if span.name == request)
        assert (root.parent_id, root.kind) == (CALLER_SPAN, "Server")
        assert {span.name for span in spans if span.parent_id == root.span_id} == below


def _write_and_read(directory: Path, environ: dict[str, str], write: str, read: str) -> None:
    with BridgeProcess(directory / "data", environ) as bridge:
        port = bridge.started()
        assert _call(port, "POST", "/messages", write, {"event": user_event()}) == 201
        assert _call(port, "GET", "/messages?partition_id=0&from=first", read) == 200
        bridge.signal()
        assert bridge.ended() == 0
