"""What a request has taken of the room there is, and what is said where there is none (shell over `policy.admission`)."""

from typing import Final

from aiohttp import hdrs, web

from bridge.errors import Outcome, Overloaded
from bridge.web.keys import EXCHANGE

#: These write nothing.
READS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def overloaded(request: web.Request) -> Overloaded:
    """The refusal, counted; nothing of the request was done."""
    request[EXCHANGE].services.metrics.http.overloaded.add()
    return Overloaded(outcome=None if request.method in READS else Outcome.NOT_WRITTEN)


def hold_body(request: web.Request, count: int) -> None:
    """So many bytes more of the body are held until the request ends.

    Raises:
        Overloaded: if that is too much.
    """
    grant = request[EXCHANGE].grant
    if grant is not None and not grant.hold(count):
        raise overloaded(request)


async def take_place(request: web.Request) -> None:
    """The body is there; from now on the request counts.

    Raises:
        Overloaded: if there is no place, and none comes free in time.
    """
    exchange = request[EXCHANGE]
    grant = exchange.grant
    if grant is not None and not (
        grant.take_place() or await exchange.services.lifecycle.turns.place(grant, exchange.deadline)
    ):
        raise overloaded(request)


def give_back(request: web.Request) -> None:
    """The request has become a stream, or waits for long; for these there are bounds of their own.

    Its place was for the work of a moment; thirty streams that take minutes must not keep thirty requests out.
    """
    grant = request[EXCHANGE].grant
    if grant is not None:
        grant.close()
