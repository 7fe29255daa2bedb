"""What every answer carries, errors, streams and refusals included (shell)."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aiohttp import hdrs, web

from bridge.policy.origins import Origins
from bridge.web.keys import Lifecycle

__all__ = ("ANSWER_HEADERS", "SERVER", "OnPrepare", "stamp", "stamper")

OnPrepare: TypeAlias = Callable[[web.Request, web.StreamResponse], Awaitable[None]]

#: Instead of the names and versions of Python and aiohttp, which tell a scanner what to try.
SERVER: Final = "bridge"
#: Filled on the way in, written when the answer's head is; `Connection` in it ends the connection.
ANSWER_HEADERS = web.RequestKey("answer_headers", dict[str, str])

_NOTHING: Final[dict[str, str]] = {}


def stamper(origins: Origins, lifecycle: Lifecycle) -> Callable[[web.BaseRequest, web.StreamResponse], None]:
    """What writes them onto an answer whose head is still to be sent."""

    def stamp_answer(request: web.BaseRequest, response: web.StreamResponse) -> None:
        headers = response.headers
        # Empty only where the application was built without `identity`.
        stamped = request.get(ANSWER_HEADERS, _NOTHING)
        headers.update(stamped)
        if origins.enabled:
            headers.update(origins.answer_headers(request.headers.get(hdrs.ORIGIN)))
        if lifecycle.draining or hdrs.CONNECTION in stamped:
            response.force_close()
            # aiohttp has written its own view of the connection already.
            headers[hdrs.CONNECTION] = "close"

    return stamp_answer


def stamp(origins: Origins, lifecycle: Lifecycle) -> OnPrepare:
    """
    The receiver of `on_response_prepare` that writes them.

    The signal sees every answer before its head is sent: streams begin inside their handler, and errors are made in
    several places. Only plain answers (`plain_answers`) do without it.
    """
    stamp_answer = stamper(origins, lifecycle)

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        stamp_answer(request, response)

    return on_prepare
