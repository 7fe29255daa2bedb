"""Which requests there is no room for (shell over `policy.admission`)."""

import asyncio
from typing import Final

import structlog
from aiohttp import hdrs, web

from bridge.errors import Overloaded
from bridge.limits import LOOP_LOOK_S
from bridge.policy.admission import Admission, Grant
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.rules import Rules
from bridge.web.server.grants import overloaded

# As for the rate limit, and the figures by which an operator sees what is going on. None of them waits for anything.
_EXEMPT: Final = frozenset(
    {(hdrs.METH_GET, "/health"), (hdrs.METH_GET, "/ready"), (hdrs.METH_GET, "/metrics")}
)
_TOLD_INTERVAL_S: Final = 1.0


def admission(services: Services, rules: Rules) -> Gate:
    """Refuse what finds no place, before it costs anything.

    A request takes its place when its body is there: who sends a body slowly must not keep others out.
    """
    rule, clock = rules.admission, services.clock
    log = structlog.get_logger("bridge.web")
    watch = _LoopWatch(services, rule)
    refused, tell_again_s = 0, 0.0

    def refuse(request: web.Request) -> Overloaded:
        nonlocal refused, tell_again_s
        refused += 1
        now_s = clock.monotonic_s()
        if now_s >= tell_again_s:
            log.warning("overloaded", refused=refused, in_flight=rule.in_flight, bound=rule.bound)
            refused, tell_again_s = 0, now_s + _TOLD_INTERVAL_S
        return overloaded(request)

    def admit(request: web.Request, exchange: Exchange) -> None:
        if (exchange.method, exchange.target) in _EXEMPT:
            return
        exchange.grant = grant = Grant(rule, exchange.client)
        placed = not request.content.is_eof() or grant.take_place()
        if rule.busy:
            watch.start()
        if not placed:
            raise refuse(request)

    def give_back(_: web.Request, exchange: Exchange, __: web.StreamResponse | BaseException) -> None:
        if exchange.grant is not None:
            exchange.grant.close()

    return Gate(admit, give_back, give_back)


class _LoopWatch:
    """Looks how late the loop is, as long as there is much to do."""

    __slots__ = ("_clock", "_due_s", "_rule", "_running")

    def __init__(self, services: Services, rule: Admission) -> None:
        self._clock = services.clock
        self._rule = rule
        self._running = False
        self._due_s = 0.0

    def start(self) -> None:
        if not self._running:
            self._running = True
            self._again()

    def _again(self) -> None:
        self._due_s = self._clock.monotonic_s() + LOOP_LOOK_S
        asyncio.get_running_loop().call_later(LOOP_LOOK_S, self._look)

    def _look(self) -> None:
        busy = self._rule.busy
        self._rule.lagged(max(0.0, self._clock.monotonic_s() - self._due_s))
        if busy:
            self._again()
        else:
            self._running = False
