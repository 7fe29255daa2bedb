"""What is measured against each other: processes of their own on loopback, with fresh data (shell)."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.cases import (
    BARE,
    BEFORE,
    EMBEDDED,
    IGGY,
    IGGY_HTTP,
    PROTECTIONS,
    READ_TARGETS,
    SDK,
    Dialect,
)
from tests.bench.guards import key_and_settings
from tests.bench.requests import FILLED, PARTITIONS, STREAM, filling
from tests.support.iggy_server import BinaryServer
from tests.support.ports import held_port

__all__ = ("ROOT", "Target", "all_targets", "iggy_binary")

ROOT: Final = Path(__file__).resolve().parents[2]
#: Under valgrind it takes half of it.
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
#: Nothing of the caller's settings may leak into what is measured.
KEPT: Final = ("PATH", "HOME", "LANG")
#: Every middleware has work to do, and none refuses any of it.
BRIDGE_SETTINGS: Final = {
    "CORS_ALLOWED_ORIGINS": "https://bench.example",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "info",
    "WORKERS": "1",
    "IGGY_STREAM": STREAM,
    "IGGY_PARTITIONS": str(PARTITIONS),
    "POLL_MAX_COUNT": "200",
}
#: The Python of the tree that is measured.
PYTHON: Final = "PYTHON"


class Target(NamedTuple):
    """
    Something that does the work, under the name its figures get.

    Attributes:
        pids: its own process first, then the Iggy server's; empty where the load program itself does the work.
        directory: for what belongs to it.
        address: of Iggy's TCP endpoint, for the SDK.
        behind: the same endpoint, of what stands before it.
    """

    name: str
    dialect: Dialect
    port: int
    pids: tuple[int, ...]
    headers: Mapping[str, str]
    directory: Path
    topic: str = ""
    address: str = ""
    behind: str = ""


def _ask(target: Target, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    with contextlib.closing(connection):
        headers = {**target.headers, **({"Content-Type": "application/json"} if body else {})}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _wait_until_ready(target: Target, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError):
            status, _ = _ask(target, "GET", "/ready")
            if status < http.client.BAD_REQUEST:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{target.name} did not become ready")


@contextlib.contextmanager
def _running(
    target: Target, command: list[str], environ: dict[str, str], *behind: int, tree: Path = ROOT
) -> Iterator[Target]:
    with held_port() as port:
        given = {key: os.environ[key] for key in KEPT if key in os.environ}
        # Another tree has a Python of its own, with that tree in it.
        python = sys.executable if tree == ROOT else str(tree / ".venv/bin/python")
        named = {"PORT": str(port), PYTHON: python}
        with (target.directory / f"{target.name.replace(' ', '-').replace(',', '')}.log").open(
            "wb"
        ) as output:
            process = subprocess.Popen(
                [named.get(part, part) for part in command],
                env={**given, **environ, "PORT": str(port), "PYTHONHASHSEED": "0"},
                cwd=tree,
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


def _fill(target: Target, messages: int) -> None:
    for turn, partition in enumerate((0, *range(PARTITIONS))):
        for first in range(turn * messages, (turn + 1) * messages, 1000):
            status, _ = _ask(target, "POST", "/messages/batch", filling(partition, first))
            if status != http.client.CREATED:
                raise RuntimeError(f"{target.name}: filling was answered with {status}")
        path = f"/messages?partition_id={partition}&offset={messages - 100}&count=100"
        page = json.loads(_ask(target, "GET", path)[1])
        if page["count"] != 100:
            raise RuntimeError(f"{target.name}: a poll of 100 gave {page['count']}")


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


def _iggy_http(target: Target) -> Target:
    """Iggy's own HTTP API, logged in."""
    body = json.dumps({"username": "iggy", "password": "iggy"}).encode()
    token = json.loads(_ask(target, "POST", "/users/login", body)[1])["access_token"]["token"]
    return target._replace(headers={"Authorization": f"Bearer {token}"})


class _Start:
    """Starts targets, which end with *stack*."""

    def __init__(
        self, stack: contextlib.ExitStack, directory: Path, around: Sequence[str], filled: int
    ) -> None:
        self._stack, self._directory, self._around, self._filled = stack, directory, around, filled

    def bare(self) -> Target:
        target = Target(BARE, Dialect.BARE, 0, (), {}, self._directory)
        command = [*self._around, "-m", "tests.bench.bare", "PORT"]
        return self._stack.enter_context(_running(target, command, {}))

    def bridge(self, name: str, tree: Path, settings: dict[str, str], *behind: int) -> Target:
        data = self._directory / f"data-{name.replace(', ', '-').replace(' ', '-')}"
        key, guards = key_and_settings(name.removesuffix(BEFORE), data)
        target = Target(name, Dialect.BRIDGE, 0, (), {"X-API-Key": key}, self._directory)
        command = [*self._around, "-m", "bridge", "serve"]
        environ = {**BRIDGE_SETTINGS, **guards, "DATA_DIR": str(data), **settings}
        context = _running(target, command, environ, *behind, tree=tree)
        running = self._stack.enter_context(context)
        if self._filled and name.removesuffix(BEFORE) in READ_TARGETS:
            _fill(running, self._filled)
        return running

    def bridges(
        self, wanted: Callable[[str], bool], iggy: BinaryServer | None, tree: Path
    ) -> Iterator[Target]:
        before = "" if tree == ROOT else BEFORE
        for name in (EMBEDDED, *PROTECTIONS):
            if wanted(name + before):
                yield self.bridge(name + before, tree, {})
        for durability, name in IGGY.items() if iggy else ():
            topic = durability + before.replace(", ", "-")
            if iggy and wanted(name + before):
                named = {"IGGY_CONNECTION_STRING": iggy.connection_string, "IGGY_TOPIC": topic}
                settings = {**named, "DURABILITY": durability}
                target = self.bridge(name + before, tree, settings, iggy.pid)
                yield target._replace(topic=topic, behind=iggy.address)


@contextlib.contextmanager
def all_targets(
    directory: Path,
    *,
    wanted: Callable[[str], bool] = lambda _: True,
    around: Sequence[str] = (PYTHON,),
    filled: int = FILLED,
    against: Path | None = None,
) -> Iterator[tuple[Target, ...]]:
    """
    Those targets that are *wanted* by their names, with fresh data; those on Iggy only where an `iggy-server` is found.

    Args:
        around: what runs the servers' modules: Python, or a program that runs it, as valgrind.
        filled: messages that each partition holds before anything is read.
        against: another checkout with its own `.venv`, whose bridges are targets too.
    """
    with contextlib.ExitStack() as stack:
        start = _Start(stack, directory, around, filled)
        targets = [start.bare()] if wanted(BARE) else []
        binary = iggy_binary()
        on_iggy = [*IGGY.values(), *(name + BEFORE for name in IGGY.values()), *SDK.values(), IGGY_HTTP]
        iggy, http_port = None, stack.enter_context(held_port())
        if binary and any(map(wanted, on_iggy)):
            iggy = stack.enter_context(_iggy(binary, http_port))
        for tree in (ROOT, against) if against else (ROOT,):
            targets += start.bridges(wanted, iggy, tree)
        if iggy:
            # They write to the topics that the bridges made, so all have the same options, and read the same messages.
            sdk = Target("", Dialect.SDK, 0, (), {}, directory, address=iggy.address)
            targets += [sdk._replace(name=name, topic=one) for one, name in SDK.items() if wanted(name)]
            if wanted(IGGY_HTTP):
                made = Target(
                    IGGY_HTTP, Dialect.IGGY_HTTP, http_port, (iggy.pid,), {}, directory, "replicated"
                )
                targets.append(_iggy_http(made))
        yield tuple(targets)
