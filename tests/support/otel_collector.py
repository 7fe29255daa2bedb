"""A real OpenTelemetry collector on loopback: it takes OTLP over HTTP and writes what it got to its log."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ports import held_port
from tests.support.programs import program

TIMEOUT_S = 60.0
POLL_S = 0.05
#: The distributions of the project; each has what is needed here.
NAMES = ("otelcorecol", "otelcol", "otelcol-contrib")
CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}
"""
_SPAN = re.compile(r"^Span #\d+\n(?P<fields>(?:    .*\n)+)", re.MULTILINE)
_FIELD = re.compile(r"^    (?P<name>[^:\n]+?)\s*:\s*(?P<value>.*)$", re.MULTILINE)


def binary() -> str | None:
    return next((found for name in NAMES if (found := program(name))), None)


def needs_collector() -> pytest.MarkDecorator:
    return pytest.mark.skipif(binary() is None, reason=f"needs one of {', '.join(NAMES)} on PATH")


class CollectedSpan(NamedTuple):
    """
    Attributes:
        parent_id: "" where it has none.
        kind: such as "Server".
    """

    trace_id: str
    parent_id: str
    span_id: str
    name: str
    kind: str


class OtelCollector(NamedTuple):
    endpoint: str
    log: Path

    def spans(self) -> list[CollectedSpan]:
        """All that it got so far."""
        found = []
        for match in _SPAN.finditer(self.log.read_text()):
            fields = {each["name"]: each["value"] for each in _FIELD.finditer(match["fields"])}
            found.append(
                CollectedSpan(*(fields[name] for name in ("Trace ID", "Parent ID", "ID", "Name", "Kind")))
            )
        return found

    def until(self, names: set[str], trace_id: str) -> list[CollectedSpan]:
        """The spans of a trace, once all of these *names* are among them."""
        until_s = time.monotonic() + TIMEOUT_S
        while True:
            spans = [span for span in self.spans() if span.trace_id == trace_id]
            if names <= {span.name for span in spans}:
                return spans
            assert time.monotonic() < until_s, f"of {names} there is {spans}: {self.log.read_text()[-2000:]}"
            time.sleep(POLL_S)


@contextlib.contextmanager
def running_collector(directory: Path) -> Iterator[OtelCollector]:
    """Takes spans at its `endpoint` until the block ends."""
    command = binary()
    assert command is not None
    config, log = directory / "collector.yaml", directory / "collector.log"
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(held_port())
        config.write_text(CONFIG.format(port=port))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [command, "--config", str(config)], stdout=output, stderr=subprocess.STDOUT
            )
        stack.callback(process.wait, TIMEOUT_S)
        stack.callback(process.terminate)
        until_s = time.monotonic() + TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            said = log.read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until_s, said
            time.sleep(POLL_S)
        yield OtelCollector(f"http://127.0.0.1:{port}", log)
