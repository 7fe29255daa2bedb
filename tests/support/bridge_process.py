"""A bridge in a process of its own, on a free port and a directory of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_TIMEOUT_S = 60.0
ROOT = Path(__file__).parents[2]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what Python needs, and *extra*."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PATH", "COV_", "COVERAGE_", "LANG", "HOME"))
    }
    return {**kept, "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT), **extra}


def run_bridge(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command, from start to end."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        env=environment(environ or {}),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )


class BridgeProcess:
    """
    `bridge serve` on port 0; its log lines are read as they come.

    Args:
        code: Python that is run instead of `-m bridge`, to break something on purpose.
    """

    def __init__(
        self, data_dir: Path, environ: Mapping[str, str] | None = None, *, code: str | None = None
    ) -> None:
        given = {"PORT": "0", "DATA_DIR": str(data_dir), "SHUTDOWN_GRACE_SECS": "10", **(environ or {})}
        entry = ["-m", "bridge"] if code is None else ["-c", code]
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, *entry, "serve"],
            env=environment(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(START_TIMEOUT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def until(self, event: str) -> dict[str, Any]:
        """The next line with this event; the lines before it are kept in `lines`."""
        if self.process.stdout is None:
            raise RuntimeError("not started with a pipe")
        for text in self.process.stdout:
            # A process that is killed leaves its last line unfinished.
            whole = text.startswith("{") and text.endswith("\n")
            line = json.loads(text) if whole else {"event": "", "text": text}
            self.lines.append(line)
            if line["event"] == event:
                return line
        raise EOFError(f"ended with {self.process.wait(START_TIMEOUT_S)} before {event!r}: {self.lines[-5:]}")

    def started(self) -> int:
        """Wait until it is ready; its port."""
        port = int(self.until("listening")["port"])
        self.until("ready")
        return port

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Read the log to its end; the exit code."""
        with contextlib.suppress(EOFError):
            self.until("\x00never")
        return self.process.wait(START_TIMEOUT_S)

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@contextlib.contextmanager
def connected(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    try:
        yield connection
    finally:
        connection.close()


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own: (status, body)."""
    with connected(port) as connection:
        connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
