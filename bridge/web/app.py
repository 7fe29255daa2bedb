"""The application: what a request passes on its way, and where it can go (wiring)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from aiohttp import web

from bridge.web.handlers.access import Route, check_of
from bridge.web.handlers.routes import ROUTES
from bridge.web.keys import Services
from bridge.web.live.streams import LiveKind
from bridge.web.middleware.access_log import access_log
from bridge.web.middleware.admission import admission
from bridge.web.middleware.answer_headers import answer_headers
from bridge.web.middleware.audit import audit, audit_first
from bridge.web.middleware.authentication import authentication
from bridge.web.middleware.cors import cors
from bridge.web.middleware.deadline import deadline
from bridge.web.middleware.foreign_pages import foreign_pages
from bridge.web.middleware.gates import BEHIND_GATES, Gate, behind, nothing_more
from bridge.web.middleware.identity import identity
from bridge.web.middleware.key_limits import key_limits
from bridge.web.middleware.problem_boundary import problem_boundary
from bridge.web.middleware.protocol import protocol
from bridge.web.middleware.rate_limit import rate_limit
from bridge.web.middleware.tracing import tracing
from bridge.web.rules import RULES, Rules
from bridge.web.server.routing import ROUTER, Router
from bridge.web.wire.heavy_pages import judged

MiddlewareFactory: TypeAlias = Callable[[Services, Rules], Gate | None]
"""Builds one rule from the configuration; None where the configuration switches it off, so that it costs nothing."""

#: From the outside in; `identity` comes before all of them: every line of the log and every answer names the request.
MIDDLEWARES: Final[tuple[MiddlewareFactory, ...]] = (
    answer_headers,  # outside everything: whatever the answer is
    tracing,  # outside the log: its line names the trace that a span has begun
    access_log,  # outside the boundary: sees what was answered, not what was raised
    audit,  # outside the boundary as well, and of the key: refusals are told too
    problem_boundary,  # outside everything that can fail
    deadline,  # the time runs from here, for refusals as well
    rate_limit,  # before anything that costs: a flood must not reach even the checks
    admission,  # after the limit of each address: one of them must not take all places
    protocol,  # before CORS and the key look at methods, paths and hosts
    foreign_pages,  # before the key is looked at: a page's guesses must not lock its reader out
    cors,  # before the key: a preflight cannot carry one
    audit_first,  # before what it would be about is done
    authentication,  # handlers find out who calls, and need not ask
    key_limits,  # last: of what the key is known of
)


def build_app(
    services: Services,
    *,
    middlewares: Sequence[MiddlewareFactory] = MIDDLEWARES,
    routes: Sequence[Route] = ROUTES,
) -> web.Application:
    """The application over *services*.

    `GET` routes answer `HEAD` too; a method that a path has no row for gets 405 with `Allow`.

    Raises:
        ValueError: if the configuration names a proxy that is no network.
    """
    rules = Rules.of(
        services.http,
        services.clock,
        services.limit_tables,
        services.key_ring,
        services.tokens,
        services.ticket_key,
    )
    gates = [gate for factory in middlewares if (gate := factory(services, rules)) is not None]
    put_behind = behind(gates, identity(services, rules))
    app = web.Application(client_max_size=services.http.request_body_bytes_max)
    app[BEHIND_GATES] = put_behind
    services.metrics.live.ask = partial(_count_live, services, rules)
    services.tails.made_ready = partial(judged, services.pages)
    services.outflow.on_cut = services.metrics.http.slow_clients_cut.add
    app[RULES] = rules
    app[ROUTER] = router = Router()
    for row in routes:
        router.add(row.method, row.path, put_behind(row.handler, check_of(row) or nothing_more, row.path))
    return app


def _count_live(services: Services, rules: Rules) -> None:
    """Set the gauges of who waits and follows; costs nothing until a scrape asks."""
    live = services.metrics.live
    services.metrics.http.waiting.set(rules.admission.waiting)
    for kind in LiveKind:
        live.streams.set(services.live_streams.count(kind), kind)
    live.long_polls.set(len(services.long_polls))
    live.tails.set(services.tails.tails_count)
    live.feeds.set(services.feeds.feeds_count)
    live.feeds_held_bytes.set(services.feeds.held_bytes)
    live.slow_clients.set(len(services.outflow))
    live.slow_clients_held_bytes.set(services.outflow.held_bytes)
