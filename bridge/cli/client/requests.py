"""One request as a value, and as a curl command (pure)."""

import shlex
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from bridge.cli.client.target import KEY_VARIABLE, Target

JSON_HEADERS: Final = {"Content-Type": "application/json"}
NDJSON: Final = "application/x-ndjson"
_EVENTS: Final = "text/event-stream"


class Request(NamedTuple):
    """What is asked of a bridge.

    Attributes:
        query: parameters in their order.
        body: None where there is none.
        again: it may be sent again whatever became of it: reads, and what has the same effect twice.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    again: bool = False

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def path_of(*parts: str) -> str:
    """A path of these parts, each encoded."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def as_curl(request: Request, target: Target) -> str:
    """The command that sends *request* to *target*; the key stays in its variable."""
    words = ["curl", "-sS"]
    if request.headers.get("Accept") in {NDJSON, _EVENTS}:
        words.append("-N")
    if request.method != ("GET" if request.body is None else "POST"):
        words += ["-X", request.method]
    words.append(shlex.quote(target.url + request.target))
    words += map(shlex.quote, target.tls.curl_words)
    if target.key is not None:
        words += ["-H", f'"X-API-Key: ${KEY_VARIABLE}"']
    for name, value in request.headers.items():
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if request.body is not None:
        words += ["--data-binary", shlex.quote(request.body.decode(errors="replace"))]
    return " ".join(words)
