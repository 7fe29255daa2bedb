"""What every answer carries, errors, streams and refusals included (shell)."""

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from bridge.web.keys import EXCHANGE, Exchange, Lifecycle
from bridge.web.server.json_answer import JsonAnswer

#: Instead of the names and versions of Python and aiohttp, which tell a scanner what to try.
SERVER: Final = "bridge"
#: Names that every request is asked for: a plain text is made lower case at each look, 0.1 us.
X_REQUEST_ID: Final = istr("X-Request-Id")
_NOT_KEPT: Final = f"{hdrs.CACHE_CONTROL}: no-store\r\n"
_OWN: Final = f"\r\n{hdrs.SERVER}: {SERVER}\r\n{_NOT_KEPT}"
_ID: Final = f"{X_REQUEST_ID}: "


def own_lines(request_id: str) -> str:
    """What an answer carries whatever it says, as lines of its head.

    Nobody on the way may keep it: messages move on, figures and states grow old, and errors depend on who asks.
    """
    return _ID + request_id + _OWN


def lines_of(fields: Mapping[str, str]) -> str:
    """*fields* as lines of a head, each with its end."""
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()])


def fields_of(lines: str) -> dict[str, str]:
    """What `lines_of` made lines of."""
    return dict(line.split(": ", 1) for line in lines.splitlines())


def vary_by(request: web.Request, fields: str) -> None:
    """From here on every answer to *request*, errors included, says that it depends on these *fields* of it."""
    exchange = request[EXCHANGE]
    exchange.vary = _both(fields, exchange.vary)


def keep_checked(request: web.Request) -> None:
    """The answer to *request* may be kept by whoever asked, who asks each time whether it still holds; its errors may not."""
    exchange = request[EXCHANGE]
    exchange.lines = exchange.lines.replace(_NOT_KEPT, f"{hdrs.CACHE_CONTROL}: private, no-cache\r\n")


def stamp(exchange: Exchange, response: web.StreamResponse, lifecycle: Lifecycle) -> None:
    """Write what every answer carries into this one, before its head is sent; a `JsonAnswer` does that itself."""
    if lifecycle.draining:
        exchange.closes = True
    if exchange.closes:
        response.force_close()
    if isinstance(response, JsonAnswer):
        return
    own = response.headers
    vary = _both(own.get(hdrs.VARY, ""), exchange.vary)
    own.update(fields_of(exchange.all_lines))
    if vary:
        own[hdrs.VARY] = vary
    if exchange.closes:
        own[hdrs.CONNECTION] = "close"
    elif own.get(hdrs.CONNECTION) == "close":
        response.force_close()


async def send_head(request: web.Request, response: web.StreamResponse) -> None:
    """Send the head of an answer from inside its handler, stamped."""
    stamp(request[EXCHANGE], response, request[EXCHANGE].services.lifecycle)
    await response.prepare(request)


def _both(fields: str, more: str) -> str:
    """What varies by either varies by both."""
    if not (fields and more):
        return fields or more
    return ", ".join(dict.fromkeys((*fields.split(", "), *more.split(", "))))
