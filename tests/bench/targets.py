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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.cases import BARE, EMBEDDED, IGGY, IGGY_HTTP, SDK, Dialect
from tests.bench.requests import FILLED, PARTITIONS, STREAM, Request, filling
from tests.support.iggy_server import BinaryServer

__all__ = ("Profiles", "Target", "all_targets", "iggy_binary")

ROOT: Final = Path(__file__).resolve().parents[2]
START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 30.0
#: Nothing of the caller's settings may leak into what is measured.
KEPT: Final = ("PATH", "HOME", "LANG")
API_KEY: Final = "bench-8f14e45fceea167a5a36dedd4bea2543"
#: Every middleware has work to do, and none refuses any of it.
BRIDGE_SETTINGS: Final = {
    "API_KEY": API_KEY,
    "RATE_LIMIT_RPS": "1000000",
    "RATE_LIMIT_BURST": "1000000",
    "CORS_ALLOWED_ORIGINS": "https://bench.example",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "info",
    "WORKERS": "1",
    "IGGY_STREAM": STREAM,
    "IGGY_PARTITIONS": str(PARTITIONS),
}

#: Where cProfile writes what a target's server did, by the target's name.
Profiles = Mapping[str, Path]


class Target(NamedTuple):
    """
    Something that does the work, under the name its figures get.

    Attributes:
        pids: its own process first, then the Iggy server's; empty where the load program itself does the work.
        address: of Iggy's TCP endpoint, for the SDK.
        behind: the same endpoint, of what stands before it.
    """

    name: str
    dialect: Dialect
    port: int
    pids: tuple[int, ...]
    headers: Mapping[str, str]
    topic: str = ""
    address: str = ""
    behind: str = ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _ask(target: Target, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    with contextlib.closing(connection):
        headers = {**target.headers, **({"Content-Type": "application/json"} if request.body else {})}
        connection.request(request.method, request.path, request.body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _asked(target: Target, method: str, path: str, body: object) -> Any:
    status, answer = _ask(target, Request(method, path, json.dumps(body).encode()))
    if status >= http.client.BAD_REQUEST:
        raise RuntimeError(f"{target.name}: {method} {path} was answered with {status}")
    return json.loads(answer)


def _wait_until_ready(target: Target, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError):
            status, _ = _ask(target, Request("GET", "/ready", b""))
            if status < http.client.BAD_REQUEST:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{target.name} did not become ready")


@contextlib.contextmanager
def _running(
    target: Target, command: list[str], environ: dict[str, str], directory: Path, *behind: int
) -> Iterator[Target]:
    port = _free_port()
    given = {key: os.environ[key] for key in KEPT if key in os.environ}
    with (directory / f"{target.name.replace(' ', '-').replace(',', '')}.log").open("wb") as output:
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            env={**given, **environ, "PORT": str(port)},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        running = target._replace(port=port, pids=(process.pid, *behind))
        _wait_until_ready(running, process)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fill(target: Target) -> None:
    request = filling()
    for _ in range(FILLED // 1000):
        status, _ = _ask(target, request)
        if status != http.client.CREATED:
            raise RuntimeError(f"{target.name}: filling was answered with {status}")
    path = f"/messages?partition_id=0&offset={FILLED - 100}&count=100"
    page = json.loads(_ask(target, Request("GET", path, b""))[1])
    if page["count"] != 100:
        raise RuntimeError(f"{target.name}: a poll of 100 gave {page['count']}")


@contextlib.contextmanager
def _bridge(
    name: str, directory: Path, settings: dict[str, str], *behind: int, profiles: Profiles, filled: bool
) -> Iterator[Target]:
    profiled = ["-m", "cProfile", "-o", str(profiles[name])] if name in profiles else []
    command = [sys.executable, *profiled, "-m", "bridge", "serve"]
    target = Target(name, Dialect.BRIDGE, 0, (), {"X-API-Key": API_KEY})
    with _running(target, command, {**BRIDGE_SETTINGS, **settings}, directory, *behind) as running:
        if filled:
            _fill(running)
        yield running


def iggy_binary() -> str | None:
    """The same place that the tests take theirs from."""
    return os.environ.get("IGGY_SERVER_BIN") or shutil.which("iggy-server")


@contextlib.contextmanager
def _iggy(binary: str, port: int) -> Iterator[BinaryServer]:
    http_settings = {"IGGY_HTTP_ENABLED": "true", "IGGY_HTTP_ADDRESS": f"127.0.0.1:{port}"}
    server = BinaryServer(binary, extra_env=http_settings)
    server.start()
    try:
        yield server
    finally:
        server.close()


def _iggy_http(port: int, pid: int, topic: str) -> Target:
    """Iggy's own HTTP API, logged in."""
    target = Target(IGGY_HTTP, Dialect.IGGY_HTTP, port, (pid,), {}, topic)
    login = _asked(target, "POST", "/users/login", {"username": "iggy", "password": "iggy"})
    return target._replace(headers={"Authorization": f"Bearer {login['access_token']['token']}"})


@contextlib.contextmanager
def all_targets(
    directory: Path, profiles: Profiles | None = None, *, filled: bool = True
) -> Iterator[tuple[Target, ...]]:
    """
    Every target of this run; those on Iggy only where an `iggy-server` is found.

    Args:
        profiles: where given, only the bridges named in it are started, each under cProfile.
        filled: partition 0 holds `FILLED` messages; without, a profile shows nothing but its case.
    """
    with contextlib.ExitStack() as stack:
        wanted = profiles or {}

        def bridge(name: str, settings: dict[str, str], *behind: int) -> list[Target]:
            if profiles is not None and name not in profiles:
                return []
            context = _bridge(name, directory, settings, *behind, profiles=wanted, filled=filled)
            return [stack.enter_context(context)]

        targets = bridge(EMBEDDED, {"DATA_DIR": str(directory / "data")})
        if profiles is None:
            bare = Target(BARE, Dialect.BARE, 0, (), {})
            command = [sys.executable, "-m", "tests.bench.bare", "PORT"]
            targets.insert(0, stack.enter_context(_running(bare, command, {}, directory)))
        binary = iggy_binary()
        if binary is None:
            sys.stdout.write("no iggy-server on PATH: Iggy is not measured\n")
            yield tuple(targets)
            return
        http_port = _free_port()
        server = stack.enter_context(_iggy(binary, http_port))
        for durability, name in IGGY.items():
            settings = {
                "IGGY_CONNECTION_STRING": server.connection_string,
                "IGGY_TOPIC": durability,
                "DURABILITY": durability,
            }
            made = bridge(name, settings, server.pid)
            targets += [target._replace(topic=durability, behind=server.address) for target in made]
        if profiles is None:
            # They write to the topics that the bridges made, so all have the same options, and read the same messages.
            sdk = Target("", Dialect.SDK, 0, (), {}, address=server.address)
            targets += [sdk._replace(name=name, topic=durability) for durability, name in SDK.items()]
            targets.append(_iggy_http(http_port, server.pid, "replicated"))
        yield tuple(targets)
