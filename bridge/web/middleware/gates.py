"""Rules that a request passes on its way in, and its answer on its way out (shell)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.tracebacks import let_go
from bridge.web.server.arrivals import Arrival

__all__ = ("Answered", "Check", "Failed", "Gate", "as_middleware")

#: Lets the request pass with None, answers in its place, or raises.
Check: TypeAlias = Callable[[Arrival], web.StreamResponse | None]
#: Takes note of the answer.
Answered: TypeAlias = Callable[[Arrival, web.StreamResponse], None]
#: Gives an answer in place of what was raised, or raises something else; with None the error goes on outwards.
Failed: TypeAlias = Callable[[Arrival, BaseException], web.StreamResponse | None]


class Gate(NamedTuple):
    """
    One rule, as plain calls: a coroutine around all that follows took 0.5 us more a rule, and these can be tried alone.

    Attributes:
        check: on the way in; None where there is nothing to check.
        answered: on the way out with an answer; only once *check* has let the request pass.
        failed: on the way out with an error, likewise.
        of_head: *check* looks at nothing but the head of the request: a head that has passed need not pass again.
    """

    check: Check | None
    answered: Answered | None = None
    failed: Failed | None = None
    of_head: bool = False


class _Way(NamedTuple):
    """Checks in their order, and by how many of them let the request pass, the gates on its way out."""

    checks: tuple[Check, ...]
    out: tuple[tuple[Gate, ...], ...]

    @classmethod
    def through(cls, gates: Sequence[Gate]) -> "_Way":
        ends = [number for number, gate in enumerate(gates) if gate.check is not None]
        return cls(
            tuple(gate.check for gate in gates if gate.check is not None),
            tuple(_with_work_outwards(gates[:end]) for end in (*ends, len(gates))),
        )


def as_middleware(gates: Sequence[Gate]) -> Middleware:
    """
    All *gates*, from the outside in.

    What one raises goes out through those in front of it, as an error from further in does.
    """
    whole_way = _Way.through(gates)
    known_way = _Way.through([gate for gate in gates if not gate.of_head])

    @web.middleware
    async def pass_gates(request: web.Request, handler: Handler) -> web.StreamResponse:
        arrival = cast("Arrival", request)
        known = pass_gates in arrival.head.facts
        checks, out = known_way if known else whole_way
        passed = 0
        try:
            for check in checks:
                answer = check(arrival)
                if answer is not None:
                    break
                passed += 1
            else:
                if not known:
                    arrival.head.facts[pass_gates] = True
                answer = await handler(request)
        except BaseException as error:  # noqa: BLE001 (what no gate answers is raised again)
            answer = _gone_out(iter(out[passed]), arrival, error)
            let_go(error)
            return answer
        outwards = iter(out[passed])
        try:
            for _, answered, _, _ in outwards:
                if answered is not None:
                    answered(arrival, answer)
        except BaseException as error:  # noqa: BLE001 (goes on outwards in place of the answer)
            answer = _gone_out(outwards, arrival, error)
            let_go(error)
        return answer

    return pass_gates


def _with_work_outwards(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Those of *gates* that have something to do on the way out, from the inside out."""
    return tuple(gate for gate in reversed(gates) if gate.answered is not None or gate.failed is not None)


def _gone_out(
    gates: Iterator[Gate], request: Arrival, result: web.StreamResponse | BaseException
) -> web.StreamResponse:
    for _, answered, failed, _ in gates:
        try:
            if not isinstance(result, BaseException):
                if answered is not None:
                    answered(request, result)
            elif failed is not None:
                result = failed(request, result) or result
        except BaseException as error:  # noqa: BLE001 (goes on outwards in place of what came)
            result = error
    if isinstance(result, BaseException):
        raise result
    return result
