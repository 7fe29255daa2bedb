"""What every answer carries, errors, streams and refusals included (shell)."""

from collections.abc import Mapping, MutableMapping
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from bridge.web.keys import SERVICES, Lifecycle
from bridge.web.server.json_answer import JsonAnswer

#: Instead of the names and versions of Python and aiohttp, which tell a scanner what to try.
SERVER: Final = "bridge"
#: Names that every request is asked for: a plain text is made lower case at each look, 0.1 us.
X_REQUEST_ID: Final = istr("X-Request-Id")
#: Filled on the way in, written when the answer's head is; `Connection` in it ends the connection.
ANSWER_HEADERS = web.RequestKey("answer_headers", dict[str, str])


def own_headers(request_id: str, of_origin: Mapping[str, str]) -> dict[str, str]:
    """
    What an answer carries whatever it says, and what it carries for the origin that asks.

    Nobody on the way may keep it: messages move on, figures and states grow old, and errors depend on who asks.
    """
    return {**of_origin, X_REQUEST_ID: request_id, hdrs.SERVER: SERVER, hdrs.CACHE_CONTROL: "no-store"}


def vary_by(request: web.Request, fields: str) -> None:
    """From here on every answer to *request*, errors included, says that it depends on these *fields* of it."""
    headers = request[ANSWER_HEADERS]
    headers[hdrs.VARY] = _both(fields, headers.get(hdrs.VARY))


def keep_checked(request: web.Request) -> None:
    """The answer to *request* may be kept by whoever asked, who asks each time whether it still holds; its errors may not."""
    request[ANSWER_HEADERS][hdrs.CACHE_CONTROL] = "private, no-cache"


def stamp(request: web.Request, response: web.StreamResponse, lifecycle: Lifecycle) -> None:
    """Write them into an answer, before its head is sent."""
    own: MutableMapping[str, str] = response.fields if isinstance(response, JsonAnswer) else response.headers
    varies = own.get(hdrs.VARY)
    stamped: dict[str, str] = request[ANSWER_HEADERS]
    own.update(stamped)
    if varies is not None:
        own[hdrs.VARY] = _both(varies, own[hdrs.VARY])
    if lifecycle.draining:
        own[hdrs.CONNECTION] = "close"
    if own.get(hdrs.CONNECTION) == "close":
        response.force_close()


async def send_head(request: web.Request, response: web.StreamResponse) -> None:
    """Send the head of an answer from inside its handler, stamped."""
    stamp(request, response, request.app[SERVICES].lifecycle)
    await response.prepare(request)


def _both(fields: str, more: str | None) -> str:
    """What varies by either varies by both."""
    return fields if more is None else ", ".join(dict.fromkeys((*fields.split(", "), *more.split(", "))))
