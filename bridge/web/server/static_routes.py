"""The shortest way from a request to its handler (shell): what was found for a head is found for all that have it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple, TypeAlias, cast

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import PlainResource, ResourceRoute, UrlMappingMatchInfo

from bridge.web.server.arrivals import Arrival

__all__ = ("RequestHandler", "with_static_routes")

RequestHandler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Known(NamedTuple):
    match_info: UrlMappingMatchInfo
    chain: Handler


def with_static_routes(app: web.Application, fallback: RequestHandler) -> RequestHandler:
    """
    *fallback*, aiohttp's own way, with a table in front of it, and what it found for a head remembered.

    Only a target spelled exactly like its route is in the table: one with a query, an escape or a double slash goes
    aiohttp's way, and so do methods that a path has no row for. What a route matches is the same for every request
    that has the same head, so one frozen match serves them all; finding and freezing one anew took 4 us of each
    request, of one whose path names a topic 25.

    Args:
        app: set up; its routes and middlewares are complete.
    """
    table: Final[dict[tuple[str, str], _Known]] = {}
    for route in app.router.routes():
        if type(route) is ResourceRoute and type(route.resource) is PlainResource:
            match_info = UrlMappingMatchInfo({}, route)
            match_info.add_app(app)
            match_info.freeze()
            table[route.method, route.resource.canonical] = _Known(match_info, _chain(app, route.handler))

    async def find(request: Arrival) -> web.StreamResponse:
        response = await fallback(request)
        match_info = request._match_info  # noqa: SLF001 (none where it failed before)
        if type(match_info) is UrlMappingMatchInfo and type(match_info.route) is ResourceRoute:
            request.head.facts[handle] = _Known(match_info, _chain(app, match_info.handler))
        return response

    def handle(request: Arrival) -> Awaitable[web.StreamResponse]:
        head = request.head
        known: _Known | None = head.facts.get(handle)
        if known is None:
            known = table.get((head.message.method, head.message.path))
            if known is None:
                return find(request) if head.kept else fallback(request)
            head.facts[handle] = known
        request._match_info = known.match_info  # noqa: SLF001 (as aiohttp's own `Application._handle`)
        return known.chain(request)

    return cast("RequestHandler", handle)


def _chain(app: web.Application, handler: Handler) -> Handler:
    for step in reversed(app.middlewares):
        handler = partial(step, handler=handler)
    return handler
