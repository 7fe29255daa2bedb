"""What is measured against each other: processes of their own on loopback, with fresh data (shell)."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.cases import FILLING

__all__ = ("BARE", "Target", "all_targets")

BARE: Final = "bare aiohttp"
ROOT: Final = Path(__file__).resolve().parents[2]
START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 30.0
#: So that each of the topic's three partitions holds more than a page of 100.
FILLINGS: Final = 6
#: Nothing of the caller's settings may leak into what is measured.
KEPT: Final = ("PATH", "HOME", "LANG")


class Target(NamedTuple):
    """A server that is up, under the name its figures get."""

    name: str
    port: int


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def _wait_until_ready(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError):
            status, _ = _ask(port, "GET", "/ready")
            if status < http.client.BAD_REQUEST:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{name} did not become ready")


@contextlib.contextmanager
def _running(name: str, command: list[str], environ: dict[str, str], directory: Path) -> Iterator[Target]:
    port = _free_port()
    given = {key: os.environ[key] for key in KEPT if key in os.environ}
    with (directory / f"{name.replace(' ', '-').replace(',', '')}.log").open("wb") as output:
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            env={**given, **environ, "PORT": str(port)},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(name, port, process)
        yield Target(name, port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fill(target: Target) -> None:
    for _ in range(FILLINGS):
        status, _ = _ask(target.port, FILLING.method, FILLING.path, FILLING.body)
        if status != http.client.CREATED:
            raise RuntimeError(f"{target.name}: filling was answered with {status}")
    _, body = _ask(target.port, "GET", "/messages?partition_id=0&offset=0&count=100")
    page: dict[str, Any] = json.loads(body)
    if page["count"] != 100:
        raise RuntimeError(f"{target.name}: a poll of 100 gave {page['count']}")


@contextlib.contextmanager
def _bridge(name: str, directory: Path, **settings: str) -> Iterator[Target]:
    environ = {"RATE_LIMIT_RPS": "0", "LOG_FORMAT": "json", **settings}
    with _running(name, [sys.executable, "-m", "bridge", "serve"], environ, directory) as target:
        _fill(target)
        yield target


@contextlib.contextmanager
def all_targets(directory: Path) -> Iterator[tuple[Target, ...]]:
    """Every server of this run; those on Iggy only where an `iggy-server` is found."""
    from tests.support.iggy_server import running_server  # noqa: PLC0415 - pytest comes with it

    with contextlib.ExitStack() as stack:
        bare = [sys.executable, str(ROOT / "tests/bench/bare.py"), "PORT"]
        targets = [
            stack.enter_context(_running(BARE, bare, {}, directory)),
            stack.enter_context(_bridge("embedded log", directory, DATA_DIR=str(directory / "data"))),
        ]
        binary = os.environ.get("IGGY_SERVER_BIN") or shutil.which("iggy-server")
        if binary is None and "IGGY_ADDRESS" not in os.environ:
            sys.stdout.write("no iggy-server on PATH: Iggy is not measured\n")
            yield tuple(targets)
            return
        server = stack.enter_context(running_server())
        for durability in ("persisted", "replicated"):
            settings = {
                "IGGY_CONNECTION_STRING": server.connection_string,
                "IGGY_TOPIC": f"bench-{durability}",
                "DURABILITY": durability,
            }
            targets.append(stack.enter_context(_bridge(f"Iggy, {durability}", directory, **settings)))
        yield tuple(targets)
