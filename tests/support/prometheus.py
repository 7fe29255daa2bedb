"""A real Prometheus on loopback that scrapes bridges and evaluates the rules."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.ports import held_port
from tests.support.programs import program

START_TIMEOUT_S = 60.0
POLL_S = 0.1
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: bridge
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus(NamedTuple):
    url: str

    def ask(self, path: str, **query: str) -> Any:
        """
        The `data` of an answer.

        Raises:
            ValueError: with what it says, if it refuses the query.
        """
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=START_TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{json.load(error)['error']}: {query}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, now."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def until(self, expression: str) -> None:
        """Return once the query has a result."""
        until_s = time.monotonic() + START_TIMEOUT_S
        while not self.query(expression):
            assert time.monotonic() < until_s, f"nothing came of {expression}"
            time.sleep(POLL_S)


@contextlib.contextmanager
def running_prometheus(directory: Path, *, port: int, rules: Path) -> Iterator[Prometheus]:
    """Scrapes the bridge on *port* once a second, as the job `bridge`."""
    binary = program("prometheus")
    assert binary is not None
    config = directory / "prometheus.yaml"
    config.write_text(CONFIG.format(port=port, rules=rules))
    with contextlib.ExitStack() as stack:
        own_port = stack.enter_context(held_port())
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{own_port}",
            "--enable-feature=exemplar-storage",
        ]
        with (directory / "prometheus.log").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=directory)
        stack.callback(process.wait, START_TIMEOUT_S)
        stack.callback(process.terminate)
        prometheus = Prometheus(f"http://127.0.0.1:{own_port}")
        until_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError, ValueError):
                prometheus.query("1")
                break
            said = (directory / "prometheus.log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until_s, said
            time.sleep(POLL_S)
        yield prometheus
