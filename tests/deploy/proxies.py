"""The samples under `deploy/proxies`, run for real in front of a bridge on loopback (shell)."""

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Final, NamedTuple

from tests.deploy.manifests import ROOT
from tests.support.ports import held_port
from tests.support.programs import checked, program

#: What the samples call the bridge.
NAME: Final = "bridge.example.org"
#: Loopback as well, but not the address of the proxy.
CLIENT: Final = "127.0.0.2"
START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05


class Proxy(NamedTuple):
    """
    How one is run.

    Attributes:
        replaced: what differs from the sample in a test, `{port}` and `{bridge}` standing for ports, `{tls}` for a folder.
        check, run: `{config}` and `{folder}` stand for where the sample is.
    """

    sample: str
    replaced: dict[str, str]
    check: str
    run: str


PROXIES: Final = {
    "nginx": Proxy(
        "nginx.conf",
        {
            "listen 443 ": "listen 127.0.0.1:{port} ",
            "127.0.0.1:8000": "127.0.0.1:{bridge}",
            "/etc/nginx/tls": "{tls}",
        },
        "-t -q -c {config} -p {folder} -e stderr",
        "-c {config} -p {folder} -e stderr -g",
    ),
    "caddy": Proxy(
        "Caddyfile",
        {
            f"{NAME} {{": f"https://{NAME}:{{port}} {{\n\tbind 127.0.0.1",
            "admin off": "admin off\n\tauto_https disable_redirects",
            "127.0.0.1:8000": "127.0.0.1:{bridge}",
            "/etc/caddy/tls": "{tls}",
        },
        "validate --config {config} --adapter caddyfile",
        "run --config {config} --adapter caddyfile",
    ),
    "envoy": Proxy(
        "envoy.yaml",
        {
            "address: 0.0.0.0, port_value: 443": "address: 127.0.0.1, port_value: {port}",
            "port_value: 8000": "port_value: {bridge}",
            "/etc/envoy/tls": "{tls}",
        },
        "--mode validate -c {config}",
        "-c {config} --concurrency 1 --use-dynamic-base-id",
    ),
}


class Front(NamedTuple):
    """A proxy that runs, as a client of another address sees it."""

    port: int
    trust: ssl.SSLContext

    @contextlib.contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.port), START_TIMEOUT_S, (CLIENT, 0)) as plain,
            self.trust.wrap_socket(plain, server_hostname=NAME) as connection,
        ):
            yield connection

    def head(self, method: str, path: str, *lines: str) -> bytes:
        return "\r\n".join(
            (f"{method} {path} HTTP/1.1", f"Host: {NAME}:{self.port}", *lines, "", "")
        ).encode()

    def ask(self, method: str, path: str, *lines: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request on a connection of its own."""
        with self.connected() as connection:
            length = (f"Content-Length: {len(body)}", "Content-Type: application/json") if body else ()
            connection.sendall(self.head(method, path, "Connection: close", *length, *lines) + body)
            response = HTTPResponse(connection, method=method)
            response.begin()
            return response.status, response.read()


def _certificate(folder: Path) -> ssl.SSLContext:
    """A key and a certificate of the name in *folder*, and what trusts them."""
    folder.mkdir()
    options = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    checked("openssl", *options, *names, "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    return ssl.create_default_context(cafile=str(folder / "tls.crt"))


@contextlib.contextmanager
def running_proxy(name: str, folder: Path, *, bridge_port: int) -> Iterator[Front]:
    """The sample of *name* with its places replaced, checked by the program itself, then run until it answers."""
    with held_port() as port:
        front = Front(port, _certificate(folder / "tls"))
        with _running(name, folder, front, bridge_port):
            yield front


@contextlib.contextmanager
def _running(name: str, folder: Path, front: Front, bridge_port: int) -> Iterator[None]:
    proxy = PROXIES[name]
    text = (ROOT / "deploy" / "proxies" / proxy.sample).read_text()
    for place, value in proxy.replaced.items():
        assert place in text, place
        for hole, given in (("{port}", front.port), ("{bridge}", bridge_port), ("{tls}", folder / "tls")):
            value = value.replace(hole, str(given))  # noqa: PLW2901 (braces of the samples are no holes)
        text = text.replace(place, value)
    config = folder / proxy.sample
    config.write_text(text)
    checked(name, *proxy.check.format(config=config, folder=folder).split())
    command = [program(name) or name, *proxy.run.format(config=config, folder=folder).split()]
    if name == "nginx":
        command.append(f"daemon off; pid {folder / 'nginx.pid'};")
    with (folder / "proxy.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        until_s = time.monotonic() + START_TIMEOUT_S
        while not _answers(front):
            said = (folder / "proxy.log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until_s, said
            time.sleep(POLL_S)
        yield
    finally:
        process.terminate()
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(START_TIMEOUT_S)


def _answers(front: Front) -> bool:
    with contextlib.suppress(OSError):
        return front.ask("GET", "/ready")[0] == 200
    return False
