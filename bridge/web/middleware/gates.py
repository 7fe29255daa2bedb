"""Rules that a request passes on its way in, and its answer on its way out (shell)."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from operator import length_hint
from typing import NamedTuple, Protocol, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.errors import let_go
from bridge.web.keys import EXCHANGE, UNMATCHED, Exchange
from bridge.web.server.routing import RoutedHandler

#: Makes what is known of a request, by its route and what its path names.
Identify: TypeAlias = Callable[[web.Request, str, Mapping[str, str]], Exchange]
#: Lets the request pass with None, answers in its place, or raises; also later, where it must ask somebody first.
Check: TypeAlias = Callable[
    [web.Request, Exchange], web.StreamResponse | Awaitable[web.StreamResponse | None] | None
]
#: Lets the request pass to its handler, or raises.
LastCheck: TypeAlias = Callable[[web.Request, Exchange], None]
#: Takes note of the answer.
Answered: TypeAlias = Callable[[web.Request, Exchange, web.StreamResponse], object]
#: Gives an answer in place of what was raised, or raises something else; with None the error goes on outwards.
Failed: TypeAlias = Callable[[web.Request, Exchange, BaseException], web.StreamResponse | None]


class Gate(NamedTuple):
    """One rule, as plain calls: a coroutine around all that follows took 0.5 us more a rule, and these can be tried alone.

    Attributes:
        check: on the way in; None where there is nothing to check.
        answered: on the way out with an answer; only once *check* has let the request pass.
        failed: on the way out with an error, likewise.
    """

    check: Check | None
    answered: Answered | None = None
    failed: Failed | None = None


class _Way(NamedTuple):
    """Checks in their order, and by how many of them let the request pass, the gates on its way out.

    Attributes:
        answered: what takes note of the answer of a request that passed all checks, in its order.
        further_out: for each of these the gates behind it.
    """

    checks: tuple[Check, ...]
    out: tuple[tuple[Gate, ...], ...]
    answered: tuple[Answered, ...]
    further_out: tuple[tuple[Gate, ...], ...]

    @classmethod
    def through(cls, gates: Sequence[Gate]) -> "_Way":
        ends = [number for number, gate in enumerate(gates) if gate.check is not None]
        whole = _with_work_outwards(gates)
        noting = [(gate.answered, at + 1) for at, gate in enumerate(whole) if gate.answered is not None]
        return cls(
            tuple(gate.check for gate in gates if gate.check is not None),
            tuple(_with_work_outwards(gates[:end]) for end in (*ends, len(gates))),
            tuple(answered for answered, _ in noting),
            tuple(whole[behind:] for _, behind in noting),
        )

    def out_of(self, ahead: Iterator[Check], *, passed_all: bool) -> tuple[Gate, ...]:
        """The gates on the way out of where *ahead*, the checks that were left, came to."""
        return self.out[-1 if passed_all else len(self.checks) - length_hint(ahead) - 1]


def nothing_more(_: web.Request, __: Exchange) -> None:
    """Where a route asks nothing of its own."""


class PutBehind(Protocol):
    """Puts the handler of *route* behind the gates, and behind *last*, what that asks, after them."""

    def __call__(
        self, handler: Handler, last: LastCheck = nothing_more, route: str = UNMATCHED
    ) -> RoutedHandler: ...


#: What puts a handler behind the gates of its application.
BEHIND_GATES: web.AppKey[PutBehind] = web.AppKey("behind_gates")


def behind(gates: Sequence[Gate], identify: Identify) -> PutBehind:
    """What puts a handler behind all *gates*, from the outside in; each is handed what *identify* made of the request.

    What one raises goes out through those in front of it, as an error from further in does. As a middleware of aiohttp,
    with one of aiohttp's own around it, they took 3 % more of the instructions of a POST. Nothing is counted on the way:
    what an iterator has left tells how far it came.
    """
    way = _Way.through(gates)
    checks, _, all_answered, further_out = way

    def put(handler: Handler, last: LastCheck = nothing_more, route: str = UNMATCHED) -> RoutedHandler:
        async def pass_gates(request: web.Request, names: Mapping[str, str]) -> web.StreamResponse:
            exchange = request[EXCHANGE] = identify(request, route, names)
            ahead, passed_all = iter(checks), False
            try:
                for check in ahead:
                    answer = check(request, exchange)
                    if answer is not None:
                        answer = await _later(answer)
                    if answer is not None:
                        break
                else:
                    passed_all = True
                    last(request, exchange)
                    answer = await handler(request)
            except BaseException as error:  # noqa: BLE001 (what no gate answers is raised again)
                answer = _gone_out(way.out_of(ahead, passed_all=passed_all), request, exchange, error)
                let_go(error)
                return answer
            if not passed_all:
                return _gone_out(way.out_of(ahead, passed_all=passed_all), request, exchange, answer)
            outwards = iter(all_answered)
            try:
                for answered in outwards:
                    answered(request, exchange, answer)
            except BaseException as error:  # noqa: BLE001 (goes on outwards in place of the answer)
                answer = _gone_out(further_out[~length_hint(outwards)], request, exchange, error)
                let_go(error)
            return answer

        return pass_gates

    return put


async def _later(
    answer: web.StreamResponse | Awaitable[web.StreamResponse | None],
) -> web.StreamResponse | None:
    return await answer if isinstance(answer, Awaitable) else answer


def _with_work_outwards(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Those of *gates* that have something to do on the way out, from the inside out."""
    return tuple(gate for gate in reversed(gates) if gate.answered is not None or gate.failed is not None)


def _gone_out(
    gates: Sequence[Gate],
    request: web.Request,
    exchange: Exchange,
    result: web.StreamResponse | BaseException,
) -> web.StreamResponse:
    for _, answered, failed in gates:
        try:
            if not isinstance(result, BaseException):
                if answered is not None:
                    answered(request, exchange, result)
            elif failed is not None:
                result = failed(request, exchange, result) or result
        except BaseException as error:  # noqa: BLE001 (goes on outwards in place of what came)
            result = error
    if isinstance(result, BaseException):
        raise result
    return result
