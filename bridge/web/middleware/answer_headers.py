"""What every answer carries (shell over `web.server.answer_headers`)."""

from aiohttp import web

from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.answer_headers import stamp


def answer_headers(services: Services, _: Rules) -> Gate:
    """Stamp each answer; one that has begun in its handler was stamped there (`send_head`)."""
    lifecycle = services.lifecycle

    def stamp_whole(_: web.Request, exchange: Exchange, answer: web.StreamResponse) -> None:
        if not answer.prepared:
            stamp(exchange, answer, lifecycle)

    return Gate(None, stamp_whole)
