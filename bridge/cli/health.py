"""`bridge health` (shell): one question to a running bridge, with nothing imported that takes time.

A container asks all the time.
"""

import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 3.0
_WELL: Final = 200
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (it is translated away)


def own_url(environ: Mapping[str, str]) -> str:
    """Where the bridge of this very environment listens."""
    host = environ.get("HOST", "").strip() or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{environ.get('PORT', '').strip() or '8000'}"


def probe(url: str, *, ready: bool) -> int:
    """Ask `/health` or `/ready` under *url* and print the answer in a word: 0 if it is 200, else 1."""
    path = "/ready" if ready else "/health"
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            sys.stderr.write("bridge health: the address must be http://host:port\n")
            return 1
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT_S)
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
