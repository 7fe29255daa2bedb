"""Claims of the parts that a process is put together from, each on its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.health import own_url, probe
from bridge.errors import ConfigError, ConnectionFailed, StartupError
from bridge.process.files import read_secret, read_toml
from bridge.process.shutdown import Stop, bounded_step, exit_code

ENOUGH_S = 30.0


async def test_a_step_that_is_done_in_time_says_so() -> None:
    async def work() -> None: ...

    assert await bounded_step("x", work, timeout_s=ENOUGH_S, stop=Stop())


async def test_a_step_whose_time_is_up_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert not await bounded_step("x", work, timeout_s=0.0, stop=Stop())
    assert cancelled.is_set()


async def test_haste_cuts_a_step_that_has_time_left() -> None:
    stop = Stop()

    async def work() -> None:
        stop.signalled("SIGTERM")
        assert not stop.hurry.is_set()
        stop.signalled("SIGTERM")
        await asyncio.Event().wait()

    assert not await bounded_step("x", work, timeout_s=ENOUGH_S, stop=stop)


async def test_a_terminal_that_goes_asks_for_a_drain_and_never_for_haste() -> None:
    stop = Stop()
    stop.signalled("SIGHUP")
    stop.signalled("SIGHUP")
    assert stop.asked.is_set()
    assert not stop.hurry.is_set()
    stop.signalled("SIGTERM")
    assert stop.hurry.is_set()


async def test_a_step_that_fails_is_told_and_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise OSError("disk")

    assert not await bounded_step("x", work, timeout_s=ENOUGH_S, stop=Stop())
    assert "shutdown_step_failed" in capsys.readouterr().out


async def test_a_step_that_swallows_its_cancellation_does_not_hold_up_the_next() -> None:
    release = asyncio.Event()

    async def work() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    assert not await bounded_step("x", work, timeout_s=0.0, stop=Stop())
    release.set()


@pytest.mark.parametrize(
    "error,code",
    [
        (StartupError("x"), 69),
        (ConfigError(("x",)), 78),
        (ValueError("x"), 70),
        (ConnectionFailed("x"), 70),
        (ExceptionGroup("g", [StartupError("x")]), 69),
        (ExceptionGroup("g", [ExceptionGroup("h", [StartupError("x"), ConfigError(("x",))])]), 78),
        (BaseExceptionGroup("g", [StartupError("x"), ValueError("x")]), 70),
    ],
)
def test_of_several_errors_the_gravest_decides_the_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    "environ,url",
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "", "PORT": ""}, "http://127.0.0.1:8000"),
        ({"HOST": "0.0.0.0", "PORT": "81"}, "http://127.0.0.1:81"),
        ({"HOST": "::"}, "http://[::1]:8000"),
        ({"HOST": "::1"}, "http://[::1]:8000"),
        ({"HOST": "10.0.0.5"}, "http://10.0.0.5:8000"),
        ({"TLS_CERT_FILE": "x"}, "https://127.0.0.1:8000"),
        ({"TLS_CERT_FILE": "x", "TLS_CLIENT_CA_FILE": "y"}, "https://127.0.0.1:8000"),
        ({"TLS_CERT_FILE": "x", "TLS_CLIENT_CA_FILE": "y", "METRICS_PORT": "9"}, "http://127.0.0.1:9"),
        (
            {
                "TLS_CERT_FILE": "x",
                "TLS_CLIENT_CA_FILE": "y",
                "TLS_CLIENT_AUTH": "optional",
                "METRICS_PORT": "9",
            },
            "https://127.0.0.1:8000",
        ),
    ],
)
def test_the_probe_asks_where_the_bridge_of_this_environment_listens(
    environ: dict[str, str], url: str
) -> None:
    assert own_url(environ) == url


@pytest.fixture
def answering() -> Iterator[tuple[str, list[bytes]]]:
    """A listener that answers one request with what the list holds, and adds what it was asked."""
    exchanged: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            exchanged.append(connection.recv(65536))
            connection.sendall(exchanged[0])

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", exchanged
    thread.join(ENOUGH_S)
    server.close()


@pytest.mark.parametrize(
    "answer,code",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", 1),
        (b"SSH-2.0-OpenSSH\r\n", 1),
    ],
)
def test_only_a_200_is_well(answering: tuple[str, list[bytes]], answer: bytes, code: int) -> None:
    url, exchanged = answering
    exchanged.append(answer)
    assert probe(url, ready=True) == code
    assert exchanged[1].startswith(b"GET /ready HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://localhost", "http://", "http://localhost:x", "http://[::"]
)
def test_an_address_that_is_none_is_not_well(url: str) -> None:
    assert probe(url, ready=False) == 1


def test_a_secret_file_is_bounded_and_says_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"k" * 64 * 1024)
    path.chmod(0o600)
    assert read_secret(str(path)) == ("k" * 64 * 1024, False)
    path.chmod(0o604)
    assert read_secret(str(path)).open_to_others
    path.write_bytes(b"k" * (64 * 1024 + 1))
    with pytest.raises(OSError, match="larger than 65536 bytes"):
        read_secret(str(path))


def test_an_endless_file_does_not_fill_the_memory() -> None:
    with pytest.raises(OSError, match="larger than"):
        read_secret(os.devnull.replace("null", "zero"))


def test_a_configuration_file_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="no UTF-8"):
        read_toml(str(path))
    path.write_text("port = 1")
    assert read_toml(str(path)) == "port = 1"
