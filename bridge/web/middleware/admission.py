"""Which requests there is no room for (shell over `policy.admission`)."""

import asyncio
from collections.abc import Awaitable
from typing import Final

import structlog
from aiohttp import hdrs, web

from bridge.errors import Overloaded
from bridge.limits import LOOP_LOOK_S
from bridge.policy.admission import Admission, Grant
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.middleware.rate_limit import PROBES
from bridge.web.rules import Rules
from bridge.web.server.grants import overloaded

# As for the rate limit, and the figures by which an operator sees what is going on. None of them waits for anything.
_EXEMPT: Final = PROBES | {(hdrs.METH_GET, "/metrics")}
_TOLD_INTERVAL_S: Final = 1.0


def admission(services: Services, rules: Rules) -> Gate:
    """Let wait what finds no place, and refuse it where none comes free in a moment, before it costs anything.

    A request takes its place when its body is there: who sends a body slowly must not keep others out.
    """
    rule = rules.admission
    watch, refusals, turns = _LoopWatch(services, rule), _Refusals(services, rule), services.lifecycle.turns

    async def admit_in_turn(request: web.Request, exchange: Exchange, grant: Grant) -> None:
        if not await turns.place(grant, exchange.deadline):
            raise refusals.of(request)

    def admit(request: web.Request, exchange: Exchange) -> Awaitable[None] | None:
        if (exchange.method, exchange.target) in _EXEMPT:
            return None
        exchange.grant = grant = Grant(rule, exchange.client)
        placed = not request.content.is_eof() or grant.take_place()
        if not watch.is_running and rule.busy:
            watch.start()
        if placed:
            return None
        if rule.is_full:
            raise refusals.of(request)
        return admit_in_turn(request, exchange, grant)

    def give_back(_: web.Request, exchange: Exchange, __: web.StreamResponse | BaseException) -> None:
        if exchange.grant is not None:
            exchange.grant.close()

    return Gate(admit, give_back, give_back)


class _Refusals:
    """Makes them, and tells how many there were, once a second."""

    __slots__ = ("_clock", "_count", "_log", "_rule", "_tell_again_s")

    def __init__(self, services: Services, rule: Admission) -> None:
        self._clock = services.clock
        self._rule = rule
        self._log = structlog.get_logger("bridge.web")
        self._count, self._tell_again_s = 0, 0.0

    def of(self, request: web.Request) -> Overloaded:
        self._count += 1
        rule, now_s = self._rule, self._clock.monotonic_s()
        if now_s >= self._tell_again_s:
            self._log.warning(
                "overloaded",
                refused=self._count,
                in_flight=rule.in_flight,
                bound=rule.bound,
                waiting=rule.waiting,
            )
            self._count, self._tell_again_s = 0, now_s + _TOLD_INTERVAL_S
        return overloaded(request)


class _LoopWatch:
    """Looks how late the loop is, as long as there is much to do."""

    __slots__ = ("_clock", "_due_s", "_rule", "is_running")

    def __init__(self, services: Services, rule: Admission) -> None:
        self._clock = services.clock
        self._rule = rule
        self.is_running = False
        self._due_s = 0.0

    def start(self) -> None:
        self.is_running = True
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
            self.is_running = False
