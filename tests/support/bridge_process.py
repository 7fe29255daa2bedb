"""A bridge in a process of its own, on a free port and a directory of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

START_TIMEOUT_S = 60.0
#: Of a line, or of the end; a test that hangs says so before its own time is up.
LINE_TIMEOUT_S = 200.0
#: How each line of the log begins; within a text its quotes would be escaped.
_BEGIN = '{"timestamp":'
ROOT = Path(__file__).parents[2]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what Python needs, and *extra*."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PATH", "COV_", "COVERAGE_", "LANG", "HOME"))
    }
    return {**kept, "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT), **extra}


def run_bridge(
    *arguments: str, environ: Mapping[str, str] | None = None, stdin: IO[bytes] | None = None
) -> subprocess.CompletedProcess[str]:
    """One command, from start to end; *stdin* is that of the tests where it is left out."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        env=environment(environ or {}),
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )


#: A bridge that gets each signal once more when all that it does has ended.
SIGNALLED_AT_EXIT = """
import atexit, os, signal
atexit.register(lambda: [os.kill(os.getpid(), each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)])
from bridge.__main__ import main
main()
"""


class BridgeProcess:
    """
    `bridge serve` on port 0; a thread reads its output, so that it never waits for the test.

    Args:
        code: Python that is run instead of `-m bridge`, to break something on purpose.

    Attributes:
        output: every line as it was written.
        lines: of its log so far; what is no whole line of it stands there as `{"event": "", "text": ...}`.
    """

    def __init__(
        self, data_dir: Path, environ: Mapping[str, str] | None = None, *, code: str | None = None
    ) -> None:
        given = {"PORT": "0", "DATA_DIR": str(data_dir), "SHUTDOWN_GRACE_SECS": "10", **(environ or {})}
        entry = ["-m", "bridge"] if code is None else ["-c", code]
        self.output: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, *entry, "serve"],
            env=environment(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._news = threading.Condition()
        self._cursor = 0
        self._over = False
        self._reader = threading.Thread(target=self._read, name="bridge-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is None:
            raise RuntimeError("not started with a pipe")
        for text in self.process.stdout:
            with self._news:
                self.output.append(text)
                self.lines += lines_of(text)
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(START_TIMEOUT_S)
        self._reader.join(START_TIMEOUT_S)
        # Whoever was started by it may have the other end still; then there is a test that fails anyway.
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()

    def until(self, event: str, **fields: str) -> dict[str, Any]:
        """The next line with this event and these fields; the lines before it are passed over."""
        until_s = time.monotonic() + LINE_TIMEOUT_S
        with self._news:
            while True:
                while self._cursor < len(self.lines):
                    line = self.lines[self._cursor]
                    self._cursor += 1
                    if line["event"] == event and fields.items() <= line.items():
                        return line
                left_s = until_s - time.monotonic()
                if self._over or left_s <= 0:
                    raise EOFError(f"no {event} {fields} (ended: {self._over}): {self.output[-8:]}")
                self._news.wait(left_s)

    def started(self) -> int:
        """Wait until it is ready; its port."""
        port = int(self.until("listening")["port"])
        self.until("ready")
        return port

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end and for that of its log, which its children have too; the exit code."""
        self._reader.join(LINE_TIMEOUT_S)
        assert not self._reader.is_alive(), f"it goes on: {self.output[-8:]}"
        return self.process.wait(START_TIMEOUT_S)

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


def lines_of(text: str) -> list[dict[str, Any]]:
    """
    What is written in one line of the output.

    A process that is killed leaves its last line unfinished, and the next one of another stands right behind it.
    """
    cut, begin, rest = text.rpartition(_BEGIN)
    found: list[dict[str, Any]] = []
    if begin and text.endswith("\n"):
        found, text = [json.loads(begin + rest)], cut
    return [{"event": "", "text": text}, *found] if text else found


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
