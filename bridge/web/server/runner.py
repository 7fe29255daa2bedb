"""The server under the application: connections counted, parser errors told as problems (shell)."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, cast

import structlog
from aiohttp import hdrs, http_exceptions, http_parser, web
from aiohttp.http import HttpRequestParser
from aiohttp.typedefs import Handler

from bridge import limits
from bridge.errors import (
    BadRequest,
    BridgeError,
    HeaderTooLarge,
    InternalError,
    StartupError,
    TargetTooLong,
    let_go,
)
from bridge.policy.client_address import limit_key
from bridge.policy.requests import RequestIds
from bridge.web.keys import EXCHANGE, UNMATCHED, Exchange, Services
from bridge.web.middleware.gates import BEHIND_GATES, PutBehind
from bridge.web.rules import RULES, Rules
from bridge.web.server.answer_headers import lines_of, own_lines
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.server.problem_answer import problem_answer
from bridge.web.server.requests import connection_of, request_factory
from bridge.web.server.routing import NOTHING_NAMED, ROUTER, Router

# What stands for the method where the request line could not be read; one label in the figures.
_NO_METHOD: Final = "UNKNOWN"
# Refused connections come by the thousand; one line for so many seconds.
_REFUSAL_LOG_INTERVAL_S: Final = 10.0
# A connection whose head does not come ends at most twice so much later than its time.
_HEADS_LOOK_S: Final = 0.5
# What aiohttp's parser says of it, and nothing else tells; a test over a socket stands by it.
_TOO_MANY_FIELDS: Final = "Too many headers received"


def check_parser() -> None:
    """Make sure that requests are parsed by aiohttp's C parser.

    Several holes in the framing of requests were in the Python parser only (shared trust, section 2.1), and it is an
    order of magnitude slower.

    Raises:
        StartupError: if it is switched off or was not built.
    """
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        raise StartupError("AIOHTTP_NO_EXTENSIONS is set: the bridge runs on aiohttp's C parser only.")
    if HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartupError("aiohttp was installed without its C parser: install a binary wheel of it.")


class BridgeServer(web.Server):
    """Makes one protocol for each connection, as long as there may be another."""

    def __init__(
        self,
        *,
        rules: Rules,
        services: Services,
        behind_gates: PutBehind,
        router: Router,
    ) -> None:
        """Args:
        behind_gates: puts a handler behind the gates; those of *router* are.
        """
        self._running_loop = asyncio.get_running_loop()
        # As the application makes them, which takes a call more.
        make = partial(
            web.Request, loop=self._running_loop, client_max_size=services.http.request_body_bytes_max
        )
        super().__init__(cast("Any", self._answer), request_factory=request_factory(make))
        self._router = router
        self._behind_gates = behind_gates
        self._protocol_options: Final = {
            "keepalive_timeout": services.http.keepalive_timeout_s,
            "max_line_size": limits.REQUEST_LINE_BYTES_MAX,
            "max_field_size": limits.HEADER_FIELD_BYTES_MAX,
            "max_headers": limits.HEADER_FIELDS_MAX,
            "lingering_time": limits.LINGER_S,
            "auto_decompress": False,
            "access_log": None,
        }
        self._rules = rules
        self._services = services
        self._by_address: Counter[str] = Counter()
        self._open_count = 0
        self._ids = RequestIds(os.urandom)
        self._heads_timer: asyncio.TimerHandle | None = None
        self.outflow = services.outflow
        self._log = structlog.get_logger("bridge.web")
        self._access = structlog.get_logger("bridge.access")
        self._log_again_s = services.clock.monotonic_s()

    def __call__(self) -> BridgeProtocol:
        return BridgeProtocol(self, self, self._running_loop, self._protocol_options)

    def _answer(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        """Called by aiohttp. No coroutine: each around the handler takes 1,500 instructions."""
        try:
            message = connection_of(request).message
            handler, names = self._router.find(message.method, message.url.path_safe)
        except web.HTTPException as error:
            handler, names = self._behind_gates(_refusing(error)), NOTHING_NAMED
        return handler(request, names)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if self._heads_timer is None:
            self._look_at_heads()

    def _look_at_heads(self) -> None:
        """One timer for the heads of all connections: one for each took 1.5 us of every request."""
        now_s = self._running_loop.time()
        for each in self.connections:
            if isinstance(each, BridgeProtocol):
                each.look_at_head(now_s)
        self._heads_timer = (
            self._running_loop.call_later(min(_HEADS_LOOK_S, limits.HEAD_TIMEOUT_S), self._look_at_heads)
            if self.connections
            else None
        )

    def address(self, peer: str) -> str:
        """*peer*, the other end of a connection, in its normal form."""
        return self._rules.addresses.peer(peer)

    def admit(self, peer: str) -> str | None:
        """Count a new connection.

        Args:
            peer: its address.

        Returns:
            What it is counted as, for `release`; None where there may be no other: in all, or from its address.
            A trusted proxy stands for many clients, so only the total holds for it.
        """
        peer = self.address(peer)
        counted_as = "" if self._rules.addresses.is_trusted(peer) else limit_key(peer)
        if self._open_count >= limits.CONNECTIONS_MAX or (
            counted_as and self._by_address[counted_as] >= limits.CONNECTIONS_PER_ADDRESS_MAX
        ):
            self._note_refusal()
            return None
        self._open_count += 1
        self._by_address[counted_as] += 1
        return counted_as

    def release(self, counted_as: str) -> None:
        """A connection that `admit` counted is gone."""
        self._open_count -= 1
        self._by_address[counted_as] -= 1
        if not self._by_address[counted_as]:
            del self._by_address[counted_as]

    async def rest(self) -> None:
        """Wait after a refusal before the next request of its connection is looked at; usually not at all."""
        rest_s = self._rules.admission.refusals.rest_s(self._services.clock.monotonic_s())
        if rest_s and not self._services.lifecycle.draining:
            await asyncio.sleep(rest_s)

    def refusal(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> JsonAnswer:
        """The answer where the application gave none: the request could not be parsed, or all else failed.

        It carries what every answer carries; of the input it says nothing.
        """
        rules, metrics = self._rules, self._services.metrics.http
        given_id = request[EXCHANGE].request_id if EXCHANGE in request else self._ids.id_of(None)
        connection = connection_of(request)
        message, client = connection.message, connection.address
        fields = dict(rules.origins.answer_headers(None))
        vary = fields.pop(hdrs.VARY, "")
        fields["X-Effective-Timeout"] = str(rules.timeout_ms)
        if rules.rate is not None:
            limit = rules.rate.requests
            verdict = rules.buckets.acquire_tokens(limit, limit_key(client))
            fields["RateLimit-Policy"], fields["RateLimit"] = limit.policy, limit.told(verdict)
        lines = own_lines(given_id) + lines_of(fields)
        request[EXCHANGE] = Exchange(
            self._services,
            rules,
            UNMATCHED,
            NOTHING_NAMED,
            message,
            request.method,
            request.raw_path,
            request.headers,
            given_id,
            client,
            None,
            lines,
            vary,
        )
        error = _unparsed(exc) if status == web.HTTPBadRequest.status_code else InternalError()
        if isinstance(error, InternalError):
            self._log.error("request_failed", code=error.code, request_id=given_id, exc_info=exc)
        if exc is not None:
            let_go(exc)
        response = problem_answer(error, request_id=given_id, instance=f"urn:bridge:request:{given_id}")
        response.force_close()
        metrics.request_started()
        metrics.request_finished(_NO_METHOD, UNMATCHED, response.status, 0.0)
        self._access.info(
            "request",
            method=_NO_METHOD,
            route=UNMATCHED,
            status=response.status,
            duration_ms=0.0,
            bytes=len(response.body),
            client=client,
            request_id=given_id,
            error=error.code,
        )
        return response

    def _note_refusal(self) -> None:
        now_s = self._services.clock.monotonic_s()
        if now_s >= self._log_again_s:
            self._log_again_s = now_s + _REFUSAL_LOG_INTERVAL_S
            self._log.warning("connections_refused", open=self._open_count)


def _refusing(error: web.HTTPException) -> Handler:
    """Who asks for what is not there passes the same gates as any other."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        raise error

    return refuse


def _unparsed(exc: BaseException | None) -> BridgeError:
    if isinstance(exc, http_exceptions.LineTooLong):
        # It names no part of the request, but the bound that was passed; the two differ.
        if limits.REQUEST_LINE_BYTES_MAX in exc.args:
            return TargetTooLong(path="target", limit=limits.REQUEST_LINE_BYTES_MAX)
        return HeaderTooLarge(
            f"A header field is longer than {limits.HEADER_FIELD_BYTES_MAX} bytes.",
            path="header",
            limit=limits.HEADER_FIELD_BYTES_MAX,
        )
    if isinstance(exc, http_exceptions.BadHttpMessage) and exc.message == _TOO_MANY_FIELDS:
        return HeaderTooLarge(
            f"There are more than {limits.HEADER_FIELDS_MAX} header fields.",
            path="header",
            limit=limits.HEADER_FIELDS_MAX,
        )
    return BadRequest("This is not a valid HTTP/1.1 request.")


class BridgeRunner(web.ServerRunner):
    """Runs the application on a `BridgeServer`.

    Raises:
        StartupError: from `setup` without the C parser.
    """

    __slots__ = ("_app_runner",)

    def __init__(self, app_runner: web.AppRunner, server: BridgeServer, *, shutdown_timeout_s: float) -> None:
        super().__init__(server, shutdown_timeout=shutdown_timeout_s)
        self._app_runner = app_runner

    @property
    def app(self) -> web.Application:
        """What it runs."""
        return self._app_runner.app

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._app_runner.cleanup()


async def make_runner(
    app: web.Application, services: Services, *, shutdown_timeout_s: float | None = None
) -> BridgeRunner:
    """The runner of an application made by `build_app`, set up.

    `cleanup` closes idle connections at once and gives requests in flight *shutdown_timeout_s* (None: the configured
    grace) before it cancels them.

    Raises:
        StartupError: without the C parser.
    """
    check_parser()
    app_runner = web.AppRunner(app, handle_signals=False)
    await app_runner.setup()
    grace_s = services.http.shutdown_grace_s if shutdown_timeout_s is None else shutdown_timeout_s
    server = BridgeServer(
        rules=app[RULES], services=services, behind_gates=app[BEHIND_GATES], router=app[ROUTER]
    )
    runner = BridgeRunner(app_runner, server, shutdown_timeout_s=grace_s)
    await runner.setup()
    return runner
