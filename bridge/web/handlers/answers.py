"""How a handler says yes (shell): JSON bytes with a status."""

from aiohttp import hdrs, web

from bridge.web.server.json_answer import JsonAnswer


def answer(body: bytes, *, status: int = 200) -> JsonAnswer:
    """JSON that was encoded already."""
    return JsonAnswer(body, status=status)


def created(body: bytes, *, location: str | None = None) -> JsonAnswer:
    """201, and where the new thing is."""
    response = JsonAnswer(body, status=201)
    if location is not None:
        response.location = location
        response.add_field(hdrs.LOCATION, location)
    return response


def no_content() -> web.StreamResponse:
    """204."""
    return web.Response(status=204)
