"""By when a request must have its answer (shell over `policy.requests`)."""

import asyncio
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from bridge.clock import Deadline
from bridge.errors import ConnectionFailed, DeadlineExceeded, Outcome
from bridge.limits import DEADLINE_BACKSTOP_S
from bridge.policy.requests import effective_timeout_ms
from bridge.web.keys import DEADLINE, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.answer_headers import ANSWER_HEADERS

_REQUEST_TIMEOUT: Final = istr("X-Request-Timeout")
_EFFECTIVE_TIMEOUT: Final = istr("X-Effective-Timeout")
_READS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def deadline(services: Services, rules: Rules) -> Gate:
    """Set the deadline, tell it, and end what does not end by itself a little later."""
    clock, configured_ms, configured_text = services.clock, rules.timeout_ms, str(rules.timeout_ms)
    lifecycle, backstops = services.lifecycle, services.lifecycle.backstops

    def set_deadline(request: web.Request) -> None:
        asked = request.headers.get(_REQUEST_TIMEOUT)
        timeout_ms = configured_ms if asked is None else effective_timeout_ms(asked, configured_ms)
        seconds = timeout_ms / 1000
        request[DEADLINE] = Deadline(clock.monotonic_s() + seconds, clock)
        request[ANSWER_HEADERS][_EFFECTIVE_TIMEOUT] = configured_text if asked is None else str(timeout_ms)
        backstops.guard(seconds + DEADLINE_BACKSTOP_S)

    def kept(_: web.Request, __: web.StreamResponse) -> None:
        backstops.release()

    def missed(request: web.Request, error: BaseException) -> None:
        if not backstops.release() or not isinstance(error, asyncio.CancelledError):
            return
        # The write may have been handed over before it was cut off, and a cancelled write is not taken back.
        outcome = None if request.method in _READS else Outcome.UNKNOWN
        if lifecycle.ending:
            raise ConnectionFailed("The bridge is shutting down.", outcome=outcome) from error
        raise DeadlineExceeded(outcome=outcome) from error

    return Gate(set_deadline, kept, missed)
