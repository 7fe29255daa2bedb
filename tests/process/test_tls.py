"""A bridge that speaks TLS, from outside: certificates are renewed while it serves, and connections live on."""

import io
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.support.bridge_process import BridgeProcess, run_bridge
from tests.support.certificates import Authority, Pair
from tests.support.events import generic_event

AUTHORITY: Final = Authority()
TIMEOUT_S: Final = 60.0


def settings(directory: Path, pair: Pair, **more: str) -> dict[str, str]:
    certificate, key = pair.write(directory)
    return {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key), **more}


class Client:
    """One connection that is kept."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.connection = HTTPSConnection(
            "127.0.0.1", port, context=context or AUTHORITY.client_context(), timeout=TIMEOUT_S
        )

    def get(self, path: str) -> tuple[int, str]:
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def shown(self) -> str:
        """The common name of the certificate that it was shown."""
        if self.connection.sock is None:
            self.connection.connect()
        assert isinstance(self.connection.sock, ssl.SSLSocket)
        certificate: Any = self.connection.sock.getpeercert()
        ((_, name),) = certificate["subject"][0]
        return str(name)


@contextmanager
def client_of(port: int) -> Iterator[Client]:
    client = Client(port)
    try:
        yield client
    finally:
        client.connection.close()


def shown_to_a_new_one(port: int) -> str:
    with client_of(port) as client:
        return client.shown()


def test_a_hangup_puts_a_renewed_certificate_in_force_and_ends_neither_bridge_nor_connection(
    tmp_path: Path,
) -> None:
    with (
        BridgeProcess(tmp_path / "data", settings(tmp_path, AUTHORITY.issue("first"))) as bridge,
        client_of(port := bridge.started()) as kept,
    ):
        assert kept.get("/ready")[0] == 200
        renewed = AUTHORITY.issue("second")
        renewed.write(tmp_path)
        bridge.signal(signal.SIGHUP)
        assert bridge.until("reloaded")["what"] == "tls"
        assert shown_to_a_new_one(port) == "second"
        assert kept.shown() == "first"
        status, figures = kept.get("/metrics")
        assert status == 200
        assert 'bridge_reloads_total{outcome="ok",what="tls"} 1.0' in figures
        told = dict(
            line.split(" ")
            for line in figures.splitlines()
            if not line.startswith("#") and line.count(" ") == 1
        )
        assert float(told["bridge_tls_certificate_not_after_seconds"]) == renewed.not_after_s
        bridge.signal()
        assert bridge.ended() == 0


def test_a_secret_that_kubernetes_swaps_is_in_force_without_a_signal_and_a_broken_one_never_is(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    for name, pair in (("..1", AUTHORITY.issue("first")), ("..2", AUTHORITY.issue("second"))):
        (secret / name).mkdir()
        pair.write(secret / name)
    (secret / "..3").mkdir()
    (secret / "..3" / "tls.crt").write_bytes((secret / "..1" / "tls.crt").read_bytes())
    (secret / "..3" / "tls.key").write_bytes((secret / "..2" / "tls.key").read_bytes())
    for name in ("tls.crt", "tls.key"):
        (secret / name).symlink_to(f"..data/{name}")

    def swap(name: str) -> None:
        (secret / "..data_tmp").symlink_to(name)
        (secret / "..data_tmp").replace(secret / "..data")

    swap("..1")
    files = {"TLS_CERT_FILE": str(secret / "tls.crt"), "TLS_KEY_FILE": str(secret / "tls.key")}
    with BridgeProcess(tmp_path / "data", files) as bridge:
        port = bridge.started()
        swap("..3")
        failed = bridge.until("reload_failed")
        assert "the key is not that of the certificate" in failed["detail"]
        with client_of(port) as client:
            assert client.shown() == "first"
            assert 'bridge_reload_stale{what="tls"} 1.0' in client.get("/metrics")[1]
        swap("..2")
        assert bridge.until("reloaded")["why"] == "changed"
        assert shown_to_a_new_one(port) == "second"
        bridge.signal()
        assert bridge.ended() == 0


@pytest.mark.parametrize("files", [{"TLS_CERT_FILE": "/nowhere"}, {"TLS_KEY_FILE": "/nowhere"}])
def test_what_cannot_be_used_is_a_fault_of_the_configuration(tmp_path: Path, files: dict[str, str]) -> None:
    ended = run_bridge("serve", environ={"DATA_DIR": str(tmp_path), **files})
    assert ended.returncode == 78
    assert "TLS_CERT_FILE" in ended.stdout + ended.stderr


async def test_event_streams_sockets_and_large_bodies_go_over_tls_and_a_drain_ends_them(
    tmp_path: Path,
) -> None:
    environ = settings(tmp_path, AUTHORITY.issue("bridge"), RATE_LIMIT_RPS="0")
    with BridgeProcess(tmp_path / "data", environ) as bridge:
        base = f"https://127.0.0.1:{bridge.started()}"
        connector = aiohttp.TCPConnector(ssl=AUTHORITY.client_context())
        async with aiohttp.ClientSession(base, connector=connector) as session:
            async with session.ws_connect("/ws", protocols=("bridge.v1",)) as socket:
                assert (await socket.receive_json())["op"] == "hello"
            async with session.post("/messages", json={"event": generic_event(1)}) as stored:
                assert stored.status == 201
            too_large = io.BytesIO(b"x" * 11_000_000)
            headers = {"Content-Type": "application/json"}
            async with session.post("/messages", data=too_large, headers=headers) as refused:
                assert refused.status == 413
            async with session.get("/messages/stream?from=first") as stream:
                assert b"retry: " in await stream.content.readuntil(b"\n\n")
                bridge.signal()
                assert b"event: bye" in await stream.content.read()
        assert bridge.ended() == 0
    assert [line for line in bridge.lines if line.get("level") == "error"] == []
