"""Who asks, and under which id (shell over `policy.request_ids` and `policy.client_address`)."""

import os
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.policy.request_ids import request_id
from bridge.telemetry.request_scope import REQUEST_SCOPE
from bridge.web.answer_headers import ANSWER_HEADERS, SERVER
from bridge.web.keys import CLIENT, REQUEST_ID, Services
from bridge.web.rules import Rules

__all__ = ("identity",)

# One call of the kernel for 256 ids; it costs as much as all the rest of this step.
_POOL_BYTES: Final = 4096


def identity(_: Services, rules: Rules) -> Middleware:
    """Give every request its id and its client's address; both are in every log line that follows."""
    client_of, proxied = rules.addresses.client, rules.addresses.proxied
    random_bytes = _pooled()

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        given_id = request_id(headers.get("X-Request-Id"), random_bytes)
        client = client_of(
            request.remote or "",
            headers.getall("X-Forwarded-For", ()) if proxied else (),
            headers.getall("X-Real-IP", ()) if proxied else (),
        )
        request[REQUEST_ID] = given_id
        request[CLIENT] = client
        request[ANSWER_HEADERS] = {"X-Request-Id": given_id, "Server": SERVER}
        scope = REQUEST_SCOPE.set((given_id, client))
        try:
            return await handler(request)
        finally:
            # The context is the connection's: what is said between two requests belongs to neither.
            REQUEST_SCOPE.reset(scope)

    return identify


def _pooled() -> Callable[[int], bytes]:
    pool, taken = b"", 0

    def random_bytes(count: int) -> bytes:
        nonlocal pool, taken
        if taken + count > len(pool):
            pool, taken = os.urandom(_POOL_BYTES), 0
        taken += count
        return pool[taken - count : taken]

    return random_bytes
