"""By when a request must have its answer (shell over `policy.requests`)."""

import asyncio
from typing import Final

from aiohttp import web
from multidict import istr

from bridge.clock import Deadline
from bridge.errors import ConnectionFailed, DeadlineExceeded, Outcome
from bridge.limits import DEADLINE_BACKSTOP_S
from bridge.policy.requests import effective_timeout_ms
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.grants import READS

_REQUEST_TIMEOUT: Final = istr("X-Request-Timeout")


def deadline(services: Services, rules: Rules) -> Gate:
    """Set the deadline, tell it, and end what does not end by itself a little later."""
    clock, configured_ms, configured_line = services.clock, rules.timeout_ms, _line(rules.timeout_ms)
    lifecycle, backstops = services.lifecycle, services.lifecycle.backstops

    def set_deadline(_: web.Request, exchange: Exchange) -> None:
        asked = exchange.headers.get(_REQUEST_TIMEOUT)
        timeout_ms = configured_ms if asked is None else effective_timeout_ms(asked, configured_ms)
        seconds = timeout_ms / 1000
        exchange.deadline = Deadline(clock.monotonic_s() + seconds, clock)
        exchange.lines += configured_line if asked is None else _line(timeout_ms)
        exchange.task = backstops.guard(seconds + DEADLINE_BACKSTOP_S)

    def release(_: web.Request, exchange: Exchange, __: web.StreamResponse | BaseException) -> bool:
        # Not kept: the task has the answer, and an answer that could not be written has the request.
        task, exchange.task = exchange.task, None
        return task is not None and backstops.release(task)

    def missed(request: web.Request, exchange: Exchange, error: BaseException) -> None:
        if not release(request, exchange, error) or not isinstance(error, asyncio.CancelledError):
            return
        # The write may have been handed over before it was cut off, and a cancelled write is not taken back.
        outcome = None if exchange.method in READS else Outcome.UNKNOWN
        if lifecycle.ending:
            raise ConnectionFailed("The bridge is shutting down.", outcome=outcome) from error
        raise DeadlineExceeded(outcome=outcome) from error

    return Gate(set_deadline, release, missed)


def _line(timeout_ms: int) -> str:
    return f"X-Effective-Timeout: {timeout_ms}\r\n"
