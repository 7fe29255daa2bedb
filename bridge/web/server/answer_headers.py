"""What every answer carries, errors, streams and refusals included (shell)."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Final, TypeAlias

from aiohttp import hdrs, web
from multidict import CIMultiDict

from bridge.policy.origins import Origins
from bridge.web.keys import Lifecycle

__all__ = ("ANSWER_HEADERS", "SERVER", "OnPrepare", "own_headers", "put_on", "stamp", "stamper", "vary_by")

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


def stamper(origins: Origins, lifecycle: Lifecycle) -> Callable[[web.BaseRequest], Mapping[str, str]]:
    """What tells, for the request that is to be answered, the headers of its answer."""

    def headers_of(request: web.BaseRequest) -> Mapping[str, str]:
        try:
            headers = request[ANSWER_HEADERS]
        except KeyError:
            # Only where the application was built without `identity`.
            headers = {}
        if origins.enabled:
            _add(headers, origins.answer_headers(request.headers.get(hdrs.ORIGIN)))
        if lifecycle.draining:
            headers[hdrs.CONNECTION] = "close"
        return headers

    return headers_of


def put_on(own: CIMultiDict[str], headers: Mapping[str, str]) -> None:
    """Add *headers*, which every answer carries, to an answer's *own*; what either varies by, both vary by."""
    _add(own, headers)


def _add(own: MutableMapping[str, str], headers: Mapping[str, str]) -> None:
    varies = own.get(hdrs.VARY)
    own.update(headers)
    more = headers.get(hdrs.VARY)
    if varies is not None and more is not None and more != varies:
        own[hdrs.VARY] = ", ".join(dict.fromkeys((*varies.split(", "), *more.split(", "))))


def stamp(origins: Origins, lifecycle: Lifecycle) -> OnPrepare:
    """
    The receiver of `on_response_prepare` that writes them.

    The signal sees every answer before its head is sent: streams begin inside their handler, and errors are made in
    several places. Only plain answers (`plain_answers`) do without it.
    """
    headers_of = stamper(origins, lifecycle)

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        headers = headers_of(request)
        # aiohttp has written its own view of the connection already; this one comes after it.
        put_on(response.headers, headers)
        if hdrs.CONNECTION in headers:
            response.force_close()

    return on_prepare
