"""Tickets of pages (shell)."""

from aiohttp import web

from bridge.errors import Unauthorized
from bridge.policy.access import ANONYMOUS
from bridge.web.bodies.whole import refuse_body
from bridge.web.handlers.access import principal_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.answers import ticket_json


async def issue(request: web.Request) -> JsonAnswer:
    """`POST /tickets`: one for whoever asks, who may with it what they may without."""
    await refuse_body(request)
    rules, principal = request[EXCHANGE].rules, principal_of(request)
    if principal is ANONYMOUS and not rules.credentials.is_open:
        # Where AUTH_BYPASS_PATHS lets everybody in here, nobody gets what they could take elsewhere.
        raise Unauthorized
    now_s = request[EXCHANGE].services.clock.wall_s()
    return JsonAnswer(ticket_json(rules.tickets.issue(principal, now_s)), status=201)
