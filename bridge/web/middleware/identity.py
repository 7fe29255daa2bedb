"""Who asks, and under which id (shell over `policy.request_ids` and `policy.client_address`)."""

import os

from aiohttp import web

from bridge.policy.request_ids import RequestIds
from bridge.telemetry.request_scope import REQUEST_SCOPE
from bridge.web.answer_headers import ANSWER_HEADERS, own_headers
from bridge.web.arrivals import Arrival
from bridge.web.gates import Gate
from bridge.web.keys import CLIENT, REQUEST_ID, Services
from bridge.web.rules import Rules

__all__ = ("identity",)


def identity(_: Services, rules: Rules) -> Gate:
    """Give every request its id and its client's address; both are in every log line that follows."""
    client_of, proxied = rules.addresses.client, rules.addresses.proxied
    id_of = RequestIds(os.urandom).id_of

    def identify(request: Arrival) -> None:
        headers, slots = request.head.message.headers, request.slots
        given_id = id_of(headers.get("X-Request-Id"))
        client = client_of(
            request.remote or "",
            headers.getall("X-Forwarded-For", ()) if proxied else (),
            headers.getall("X-Real-IP", ()) if proxied else (),
        )
        slots[REQUEST_ID] = given_id
        slots[CLIENT] = client
        slots[ANSWER_HEADERS] = own_headers(given_id)
        REQUEST_SCOPE.set((given_id, client))

    def forget(_: Arrival, __: web.StreamResponse | BaseException) -> None:
        # The context is the connection's: what is said between two requests belongs to neither.
        REQUEST_SCOPE.set(None)

    return Gate(identify, forget, forget)
