"""How the operations of one socket ended (shell): told to its client where they failed, and noted for the audit log."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import structlog

from bridge.errors import BridgeError, RateLimited, RequestError
from bridge.limits import WS_FAULTS_BURST
from bridge.policy.rate_limits import RateLimit
from bridge.web.keys import Exchange
from bridge.web.middleware.audit import record_of, shown
from bridge.web.sockets.answers import INSTANCE, error_json
from bridge.web.sockets.framing import CloseCode
from bridge.web.sockets.operations import OperationContext
from bridge.web.sockets.socket import Socket
from bridge.web.wire.problems import problem_object, row_of

_log = structlog.get_logger("bridge.web")
_SERVER_ERROR: Final = 500
#: Operations that the audit log counts as requests; of the others refusals alone are written down.
_REQUESTS: Final = frozenset({"publish", "subscribe", "ack", "nack", "extend", None})
_FAULTS: Final = RateLimit("faults", 1.0, WS_FAULTS_BURST)
# After a refusal by the rate limit the next message is looked at when it may pass, but no later than this.
_REST_S_MAX: Final = 1.0


class Outcomes:
    """Args:
        exchange: of the request that became the socket.

    Attributes:
        rest_s: for so long the next message has to wait; who has waited sets it to 0.
    """

    def __init__(self, socket: Socket, exchange: Exchange) -> None:
        self._socket = socket
        self._exchange = exchange
        self._audit = exchange.services.audit
        self._audits_all = exchange.services.audits_all
        self._clock = exchange.services.clock
        self._faults_full_at_s = self._clock.monotonic_s()
        self.rest_s = 0.0

    def done(self, context: OperationContext) -> None:
        """What was asked is done; its answer is somebody else's."""
        self._note(context, None)

    def refused(self, error: BridgeError, context: OperationContext) -> None:
        """A fault of the client's; too many of them close the socket."""
        self.failed(error, context)
        if isinstance(error, RateLimited):
            self.rest_s = min(error.retry_after_ms / 1000, _REST_S_MAX)
        elif isinstance(error, RequestError):
            self._faults_full_at_s, verdict = _FAULTS.take(self._faults_full_at_s, self._clock.monotonic_s())
            if not verdict.allowed:
                self._socket.close(CloseCode.POLICY, "too many faults")

    def failed(self, error: BridgeError, context: OperationContext) -> None:
        """It was not done, or nobody knows."""
        self._note(context, error)
        if row_of(type(error)).status == _SERVER_ERROR:
            _log.error("operation_failed", code=error.code, exc_info=error)
        self._socket.send(error_json(self.problem_of(error, context), operation_id=context.id))

    def problem_of(self, error: BridgeError, context: OperationContext) -> Mapping[str, object]:
        """What HTTP would answer: of the operation's own trace where it has one, else of the socket's."""
        trace = context.trace or self._exchange.trace
        return problem_object(
            error,
            request_id=self._exchange.request_id,
            instance=INSTANCE,
            trace_id=None if trace is None else trace.trace_id,
        )

    def _note(self, asked: OperationContext, error: BridgeError | None) -> None:
        """Write down the outcome of *asked*, where as much is written down of requests."""
        refused = error is not None and error.is_refusal
        if self._audit is None or not (refused or (self._audits_all and asked.name in _REQUESTS)):
            return
        status = HTTPStatus.CREATED if asked.name == "publish" else HTTPStatus.OK
        if error is not None:
            status = HTTPStatus(row_of(type(error)).status)
        stream, topic = asked.topic or (None, None)
        record = record_of(
            self._exchange,
            self._exchange.principal,
            action=f"{asked.name or 'message'} {INSTANCE}",
            named=shown({"stream": stream, "topic": topic, "group": asked.group}),
            status=status,
            error=None if error is None else error.code,
            trace=asked.trace,
        )
        self._audit.write({**record, "operation_id": asked.id})
