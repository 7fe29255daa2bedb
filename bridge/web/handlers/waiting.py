"""A request that waits for messages (shell)."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from bridge.clock import Deadline
from bridge.flow.following.waiting import Waiting
from bridge.limits import LONG_POLL_MARGIN_S
from bridge.web.keys import CLIENT, DEADLINE, SERVICES
from bridge.web.server.departures import on_departure
from bridge.web.server.tickets import give_back

__all__ = ("waiting_for",)


@contextmanager
def waiting_for(request: web.Request, wait_s: float) -> Iterator[Waiting]:
    """
    Within this *request* waits: for *wait_s*, but not longer than leaves time for a last look before its deadline.

    The wait is over once its client has left or the process drains. The request gives its place back: those who wait
    have a bound of their own.

    Raises:
        Overloaded: if too many wait.
    """
    services, deadline = request.app[SERVICES], request[DEADLINE]
    ends_s = min(wait_s, max(0.0, deadline.remaining_s() - LONG_POLL_MARGIN_S))
    waiting = Waiting(services.tails, Deadline.after(ends_s, services.clock))
    with services.long_polls.joined(request[CLIENT]), on_departure(request, waiting.give_up):
        give_back(request)
        yield waiting
