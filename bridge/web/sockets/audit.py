"""What was asked over a socket, with which outcome, written down as requests are (shell over `bridge.audit`)."""

from http import HTTPStatus
from typing import Final

from bridge.audit import AuditTrail
from bridge.errors import BridgeError
from bridge.policy.access import Principal
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.audit import record_of
from bridge.web.sockets.answers import INSTANCE
from bridge.web.sockets.operations import OperationContext
from bridge.web.wire.problems import row_of

#: Operations that count as requests; of the others refusals alone are written down.
_REQUESTS: Final = frozenset({"publish", "subscribe", "ack", "nack", "extend", None})


class SocketAudit:
    """The audit log of one socket, which its *principal* opened."""

    def __init__(
        self, trail: AuditTrail, services: Services, exchange: Exchange, principal: Principal
    ) -> None:
        self._trail = trail
        self._all_of_them = services.audits_all
        self._exchange = exchange
        self._principal = principal

    def note(self, asked: OperationContext, error: BridgeError | None = None) -> None:
        """Write down the outcome of *asked*, where as much is written down of requests."""
        status = HTTPStatus.CREATED if asked.name == "publish" else HTTPStatus.OK
        if error is not None:
            status = HTTPStatus(row_of(type(error)).status)
        refused = error is not None and error.is_refusal
        if not (refused or (self._all_of_them and asked.name in _REQUESTS)):
            return
        stream, topic = asked.topic or (None, None)
        self._trail.write(
            {
                **record_of(
                    self._exchange,
                    self._principal,
                    action=f"{asked.name or 'message'} {INSTANCE}",
                    named={"stream": stream, "topic": topic, "group": asked.group},
                    status=status,
                    error=None if error is None else error.code,
                    trace=asked.trace,
                ),
                "operation_id": asked.id,
            }
        )
