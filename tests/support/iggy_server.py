"""
Finds an Iggy server for the tests: one that runs already, a binary, or a container.

In this order: `IGGY_ADDRESS` (host:port, user and password iggy), an `iggy-server` binary (`IGGY_SERVER_BIN`, else on
PATH) started on a free loopback port in a fresh directory, Docker through testcontainers. With none of them the test
is skipped with a line that names the three ways; `REQUIRE_IGGY=1` turns the skip into a failure.
"""

import contextlib
import functools
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

__all__ = ("IggyServer", "NoServer", "running_server")

IMAGE = os.environ.get("IGGY_IMAGE", "apache/iggy:0.9.0")
START_TIMEOUT_S = 60.0
POLL_S = 0.01

HOW = (
    "no Iggy server: set IGGY_ADDRESS=host:port of a running one, or IGGY_SERVER_BIN (or put iggy-server on PATH), "
    "or have a Docker engine; REQUIRE_IGGY=1 makes this a failure"
)


class NoServer(RuntimeError):
    """None of the three ways led to a server."""


class IggyServer(Protocol):
    """A server under test. `kill`, `stop`, `start`, `pause`, `resume` only where `can_restart` is True."""

    can_restart: bool

    @property
    def address(self) -> str:
        """host:port of its TCP endpoint; the same after a restart."""
        ...

    @property
    def connection_string(self) -> str: ...

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it accepts."""

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""

    def pause(self) -> None:
        """SIGSTOP."""

    def resume(self) -> None:
        """SIGCONT."""

    def close(self) -> None:
        """End it for good and remove what it left."""


class _Addressed:
    _address: str

    @property
    def address(self) -> str:
        return self._address

    @property
    def connection_string(self) -> str:
        return f"iggy+tcp://iggy:iggy@{self._address}"


class RunningServer(_Addressed):
    """One that somebody else runs; it cannot be restarted from here."""

    can_restart = False

    def __init__(self, address: str) -> None:
        self._address = address

    def start(self) -> None:
        raise NotImplementedError

    kill = stop = pause = resume = start

    def close(self) -> None:
        pass


class BinaryServer(_Addressed):
    """A child process with its own directory."""

    can_restart = True

    def __init__(
        self,
        binary: str,
        *,
        extra_env: dict[str, str] | None = None,
        port: int = 0,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self._binary = binary
        self._extra_env = extra_env or {}
        self._arguments = arguments
        self.directory = Path(tempfile.mkdtemp(prefix="iggy-"))
        self._port = port
        self._address = f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._launched_at = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def start(self) -> None:
        self.launch()
        self.wait_until_it_accepts()

    @property
    def _config(self) -> Path:
        return self.directory / "runtime" / "current_config.toml"

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self._config.unlink(missing_ok=True)
        system = {
            "PATH": str(self.directory),
            "SHARDING_CPU_ALLOCATION": "1",
            "SHARDING_PIN_CORES": "false",
            "LOGGING_LEVEL": "warn",
            "LOGGING_FILE_ENABLED": "false",
        }
        environ = {
            "PATH": os.environ.get("PATH", ""),
            **{f"{_prefix(self._binary)}{name}": value for name, value in system.items()},
            "IGGY_TCP_ADDRESS": f"127.0.0.1:{self._port}",
            "IGGY_HTTP_ENABLED": "false",
            "IGGY_QUIC_ENABLED": "false",
            "IGGY_WEBSOCKET_ENABLED": "false",
            **self._extra_env,
        }
        with (self.directory / "output.txt").open("ab") as output:
            self._launched_at = output.tell()
            self._process = subprocess.Popen(
                [self._binary, "--with-default-root-credentials", *self._arguments],
                cwd=self.directory,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_it_accepts(self) -> None:
        """
        Raises:
            NoServer: if it ends, or takes too long.
        """
        self._wait_until(lambda: self._accepts(self._config))

    def wait_until_it_says(self, text: str) -> None:
        """
        Wait for *text* in what it has written since its launch.

        Raises:
            NoServer: if it ends, or takes too long.
        """
        self._wait_until(lambda: text in self._output()[self._launched_at :])

    def _output(self) -> str:
        return (self.directory / "output.txt").read_text(errors="replace")

    def _wait_until(self, holds: Callable[[], bool]) -> None:
        process = self._process
        assert process is not None
        until_s = time.monotonic() + START_TIMEOUT_S
        while not holds():
            if process.poll() is not None or time.monotonic() > until_s:
                tail = self._output()[-2000:]
                self.close()
                raise NoServer(f"iggy-server did not start:\n{tail}")
            time.sleep(POLL_S)

    def _accepts(self, config: Path) -> bool:
        if not config.exists():
            return False
        section = config.read_text().partition("[tcp]")[2]
        found = re.search(r'^address = "127\.0\.0\.1:(\d+)"', section, re.MULTILINE)
        if found is None or found.group(1) == "0":
            return False
        self._port = int(found.group(1))
        self._address = f"127.0.0.1:{self._port}"
        return _connects(self._address)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class ContainerServer(_Addressed):
    """A container of the pinned minor; killed and paused through the engine."""

    can_restart = False

    def __init__(self) -> None:
        containers: Any = importlib.import_module("testcontainers.core.container")
        self._container = (
            containers.DockerContainer(IMAGE)
            .with_env("IGGY_ROOT_USERNAME", "iggy")
            .with_env("IGGY_ROOT_PASSWORD", "iggy")
            .with_env("IGGY_TCP_ADDRESS", "0.0.0.0:8090")
            .with_kwargs(security_opt=["seccomp=unconfined"])
            .with_exposed_ports(8090)
        )

    def start(self) -> None:
        self._container.start()
        host, port = self._container.get_container_host_ip(), self._container.get_exposed_port(8090)
        self._address = f"{host}:{port}"
        until_s = time.monotonic() + START_TIMEOUT_S
        while not _connects(self._address):
            if time.monotonic() > until_s:
                self.close()
                raise NoServer(f"{IMAGE} did not accept connections")
            time.sleep(POLL_S)

    def kill(self) -> None:
        raise NotImplementedError

    stop = pause = resume = kill

    def close(self) -> None:
        self._container.stop()


@functools.cache
def _prefix(binary: str) -> str:
    """What the names of the system's settings begin with: a released server does not start where it finds the others."""
    version = subprocess.run([binary, "-V"], capture_output=True, check=False, text=True, timeout=10).stdout
    return "IGGY_SYSTEM_" if "edge" in version else "IGGY_"


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _docker_works() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False, timeout=10).returncode == 0


def find_server(*, extra_env: dict[str, str] | None = None) -> IggyServer:
    """
    A started server.

    Raises:
        NoServer: if there is none.
    """
    if address := os.environ.get("IGGY_ADDRESS"):
        return RunningServer(address)
    server: IggyServer
    if binary := os.environ.get("IGGY_SERVER_BIN") or shutil.which("iggy-server"):
        server = BinaryServer(binary, extra_env=extra_env)
    elif _docker_works():
        server = ContainerServer()
    else:
        raise NoServer(HOW)
    server.start()
    return server


@contextlib.contextmanager
def running_server(
    *, restartable: bool = False, extra_env: dict[str, str] | None = None
) -> Iterator[IggyServer]:
    """
    A server for the length of a block; where there is none, the test is skipped, or fails if `REQUIRE_IGGY=1`.

    Args:
        restartable: the block kills or pauses it; skipped where that is not possible.
        extra_env: `IGGY_*` settings; heeded by the binary only.
    """
    try:
        server = find_server(extra_env=extra_env)
    except NoServer as error:
        if os.environ.get("REQUIRE_IGGY") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    try:
        if restartable and not server.can_restart:
            pytest.skip(
                "this test kills the server; it needs the iggy-server binary (IGGY_SERVER_BIN or PATH)"
            )
        yield server
    finally:
        server.close()
