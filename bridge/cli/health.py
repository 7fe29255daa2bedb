"""`bridge health` (shell): one question to a running bridge, with nothing imported that takes time.

A container asks all the time.
"""

import ssl
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 3.0
_WELL: Final = 200
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (it is translated away)


def own_url(environ: Mapping[str, str]) -> str:
    """Where the bridge of this very environment listens.

    Where it serves nobody without a client certificate, that is the port of its metrics, if it has one: that answers probes too.
    """
    host = environ.get("HOST", "").strip() or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    port = environ.get("PORT", "").strip() or "8000"
    if not environ.get("TLS_CERT_FILE", "").strip():
        return f"http://{host}:{port}"
    metrics_port = environ.get("METRICS_PORT", "").strip()
    asks_for_certificates = environ.get("TLS_CLIENT_CA_FILE", "").strip() and (
        environ.get("TLS_CLIENT_AUTH", "").strip().lower() != "optional"
    )
    if asks_for_certificates and metrics_port not in {"", "0"}:
        return f"http://{host}:{metrics_port}"
    return f"https://{host}:{port}"


def probe(url: str, *, ready: bool) -> int:
    """Ask `/health` or `/ready` under *url* and print the answer in a word: 0 if it is 200, else 1.

    Whose certificate it is is not looked at: nothing is told to whoever answers, and its word is a number.
    """
    path = "/ready" if ready else "/health"
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            sys.stderr.write("bridge health: the address must be http://host:port, or https\n")
            return 1
        connection = _connection(parts.scheme, parts.hostname, parts.port)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        sys.stderr.write(f"bridge health: {path} does not answer: {type(error).__name__}\n")
        return 1
    sys.stdout.write(f"{path} {status}\n")
    return 0 if status == _WELL else 1


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port or 80, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port or 443, timeout=_TIMEOUT_S, context=context)
