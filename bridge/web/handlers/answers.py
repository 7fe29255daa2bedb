"""How a handler says yes (shell): JSON bytes with a status."""

from aiohttp import web

__all__ = ("answer", "created", "no_content")


def answer(body: bytes, *, status: int = 200) -> web.Response:
    """JSON that was encoded already."""
    return web.Response(body=body, status=status, content_type="application/json")


def created(body: bytes, *, location: str | None = None) -> web.Response:
    """201, and where the new thing is."""
    response = answer(body, status=201)
    if location is not None:
        response.headers["Location"] = location
    return response


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)
