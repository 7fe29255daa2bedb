"""What every answer carries, errors, streams and refusals included (shell)."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Final, TypeAlias

from aiohttp import hdrs, web

from bridge.policy.origins import Origins
from bridge.web.keys import Lifecycle

__all__ = ("ANSWER_HEADERS", "SERVER", "OnPrepare", "own_headers", "stamp", "vary_by")

OnPrepare: TypeAlias = Callable[[web.Request, web.StreamResponse], Awaitable[None]]

#: Instead of the names and versions of Python and aiohttp, which tell a scanner what to try.
SERVER: Final = "bridge"
#: Filled on the way in, written when the answer's head is; `Connection` in it ends the connection.
ANSWER_HEADERS = web.RequestKey("answer_headers", dict[str, str])


def own_headers(request_id: str) -> dict[str, str]:
    """
    What an answer carries whatever it says.

    Nobody on the way may keep it: messages move on, figures and states grow old, and errors depend on who asks.
    """
    return {"X-Request-Id": request_id, "Server": SERVER, hdrs.CACHE_CONTROL: "no-store"}


def vary_by(request: web.Request, fields: str) -> None:
    """From here on every answer to *request*, errors included, says that it depends on these *fields* of it."""
    request[ANSWER_HEADERS][hdrs.VARY] = fields


def stamp(origins: Origins, lifecycle: Lifecycle) -> OnPrepare:
    """
    The receiver of `on_response_prepare` that writes them.

    The signal sees every answer before its head is sent: streams begin inside their handler, and errors are made in
    several places.
    """

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        own = response.headers
        # Missing only where the application was built without `identity`.
        _add(own, request.get(ANSWER_HEADERS, {}))
        if origins.enabled:
            _add(own, origins.answer_headers(request.headers.get(hdrs.ORIGIN)))
        # aiohttp has written its own view of the connection already; this one comes after it.
        if lifecycle.draining:
            own[hdrs.CONNECTION] = "close"
        if own.get(hdrs.CONNECTION) == "close":
            response.force_close()

    return on_prepare


def _add(own: MutableMapping[str, str], headers: Mapping[str, str]) -> None:
    """Add *headers* to an answer's *own*; what either varies by, both vary by."""
    varies = own.get(hdrs.VARY)
    own.update(headers)
    more = headers.get(hdrs.VARY)
    if varies is not None and more is not None and more != varies:
        own[hdrs.VARY] = ", ".join(dict.fromkeys((*varies.split(", "), *more.split(", "))))
