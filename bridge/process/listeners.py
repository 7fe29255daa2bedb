"""The ports and what answers on them (wiring)."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiohttp import web

from bridge.config import ObserveConfig
from bridge.policy.limit_storage import LimitTables
from bridge.process.ports import take_ports
from bridge.process.shutdown import Stop
from bridge.telemetry.metrics import Metrics
from bridge.web.app import MIDDLEWARES, MiddlewareFactory, build_app
from bridge.web.handlers import health
from bridge.web.handlers.access import ANYONE, Route
from bridge.web.keys import Services
from bridge.web.middleware.admission import admission
from bridge.web.middleware.authentication import authentication, open_to_all
from bridge.web.middleware.foreign_pages import foreign_pages, foreign_pages_of_figures
from bridge.web.middleware.key_limits import key_limits
from bridge.web.middleware.rate_limit import rate_limit
from bridge.web.openapi import service
from bridge.web.server.accepting import PromptSite
from bridge.web.server.handshakes import Handshakes
from bridge.web.server.runner import BridgeRunner, make_runner

# Nobody waits for this but the end of the process.
_IDLE_LOOK_S: Final = 0.01
# A port of its own is kept from strangers by the network, and Prometheus comes without a key, at its own pace.
_OF_FIGURES: Final[Mapping[MiddlewareFactory, MiddlewareFactory]] = {
    foreign_pages: foreign_pages_of_figures,
    authentication: open_to_all,
}
_METRICS_MIDDLEWARES: Final = tuple(
    _OF_FIGURES.get(each, each) for each in MIDDLEWARES if each not in (admission, key_limits, rate_limit)
)

# Probes too: they can show no client certificate, which the main port may ask for.
_METRICS_ROUTES: Final = (
    Route("GET", "/metrics", health.metrics, service.METRICS, ANYONE),
    Route("GET", "/health", health.health, service.HEALTH, ANYONE),
    Route("GET", "/ready", health.ready, service.READY, ANYONE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessContext:
    """What a serving process is given by whoever started it: by default it stands alone.

    Attributes:
        port_sockets: listen on the main port; None to take it.
        metrics_sockets: likewise for the metrics, where these have a port of their own.
        limit_tables: where limits are counted; None for tables of its own.
        worker: number of this one among several, from 1; 0 where it stands alone.
        background: further tasks by name, each made from what ends the process.
    """

    metrics: Metrics = field(default_factory=Metrics)
    port_sockets: Sequence[socket.socket] | None = None
    metrics_sockets: Sequence[socket.socket] | None = None
    limit_tables: LimitTables | None = None
    worker: int = 0
    background: tuple[tuple[str, Callable[[Stop], Coroutine[Any, Any, None]]], ...] = ()


class Listeners:
    """The main port, and the one of the metrics where that is set.

    Args:
        tls: gives what connections of the main port are accepted with; None for plain HTTP.

    Attributes:
        port: the port taken, 0 before.
        metrics_port: likewise; None without one of its own.
        runners: of the main port, and of the other one.
    """

    def __init__(
        self,
        services: Services,
        observe: ObserveConfig,
        context: ProcessContext,
        *,
        shutdown_timeout_s: float,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.port = 0
        self.metrics_port: int | None = None
        self._services = services
        self._observe = observe
        self._context = context
        self._shutdown_timeout_s = shutdown_timeout_s
        self._tls = tls
        self.runners: list[BridgeRunner] = []

    async def open(self) -> None:
        """Take the ports and serve on them.

        Raises:
            StartupError: if a port is taken, not allowed, or the host is none of this machine.
        """
        metrics_port = self._observe.metrics_port
        here = self._services
        handshakes = None
        if self._tls is not None:
            failed = here.metrics.tls.handshake_failures.add
            handshakes = Handshakes(self._tls, clock=here.clock, failed=failed)
        self.port = await self._listen(
            here, build_app(here), here.http.port, self._context.port_sockets, handshakes
        )
        if metrics_port:
            there = replace(self._services, metrics_here=True)
            app = build_app(there, middlewares=_METRICS_MIDDLEWARES, routes=_METRICS_ROUTES)
            self.metrics_port = await self._listen(there, app, metrics_port, self._context.metrics_sockets)

    async def _listen(
        self,
        services: Services,
        app: web.Application,
        port: int,
        sockets: Sequence[socket.socket] | None,
        handshakes: Handshakes | None = None,
    ) -> int:
        runner = await make_runner(app, services, shutdown_timeout_s=self._shutdown_timeout_s)
        self.runners.append(runner)
        if sockets is None:
            (sockets,) = await asyncio.to_thread(take_ports, services.http.host, port, 1)
        for each in sockets:
            failed = services.metrics.http.accept_failures.add
            await PromptSite(runner, each, failed=failed, handshakes=handshakes).start()
        return int(sockets[0].getsockname()[1])

    async def stop_accepting(self) -> None:
        """Close the ports; connections that are open go on."""
        for runner in self.runners:
            for site in tuple(runner.sites):
                await site.stop()

    async def finish_requests(self) -> None:
        """Wait until no request is in flight.

        aiohttp's own shutdown stops reading from every connection first, so that a body half received would never
        be complete; hence this comes before `close`.
        """
        while self._services.metrics.http.requests_in_flight > 0:  # noqa: ASYNC110 (an event would cost each request)
            await asyncio.sleep(_IDLE_LOOK_S)

    async def close(self) -> None:
        """Close the ports and all connections; what is still in flight is cancelled after the shutdown timeout."""
        while self.runners:
            await self.runners.pop().cleanup()
