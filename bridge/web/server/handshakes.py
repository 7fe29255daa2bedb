"""TLS between a connection that was taken and its first request (shell)."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from bridge.clock import Clock
from bridge.limits import TLS_FAILURE_TOLD_INTERVAL_S, TLS_HANDSHAKE_TIMEOUT_S, TLS_SHUTDOWN_TIMEOUT_S
from bridge.web.server.connection import BridgeProtocol

#: By OpenSSL's reason of a handshake that failed, the label of the figure; a fixed table, since clients choose the reason.
_REASONS: Final = {
    "HTTP_REQUEST": "plain_http",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no_certificate",
    "CERTIFICATE_VERIFY_FAILED": "certificate_refused",
    "UNSUPPORTED_PROTOCOL": "protocol",
    "NO_SHARED_CIPHER": "protocol",
    "VERSION_TOO_LOW": "protocol",
    "WRONG_VERSION_NUMBER": "no_tls",
    "UNKNOWN_PROTOCOL": "no_tls",
    "UNEXPECTED_MESSAGE": "no_tls",
}
_log = structlog.get_logger("bridge.web")


class Handshakes:
    """Takes connections through their TLS handshake, each counted against the bounds of connections before it begins.

    Nobody is told of one that fails but the figures, and now and then the log: whoever scans ports makes thousands.

    Args:
        context: gives what the next connection is accepted with.
        failed: told the reason of each that came to nothing.
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], *, clock: Clock, failed: Callable[[str], None]
    ) -> None:
        self._context = context
        self._clock = clock
        self._failed = failed
        self._tell_again_s = clock.monotonic_s()
        self._untold = 0

    async def shake(self, protocol: BridgeProtocol, connection: socket.socket) -> None:
        """Hand *connection* to *protocol* once both sides have agreed; else close it."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context(),
                ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S,
                ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT_S,
            )
        except OSError as error:
            self._note(_reason(error))
        finally:
            # Where it came to no connection; else it is counted until its end.
            protocol.given_up()

    def _note(self, reason: str) -> None:
        self._failed(reason)
        self._untold += 1
        now_s = self._clock.monotonic_s()
        if now_s >= self._tell_again_s:
            self._tell_again_s = now_s + TLS_FAILURE_TOLD_INTERVAL_S
            _log.info("tls_handshakes_failed", reason=reason, failed=self._untold)
            self._untold = 0


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").replace(" ", "_").upper()
        # Whatever the other side says in an alert: certificate unknown, unknown CA, bad certificate, expired.
        return "refused_by_client" if "_ALERT_" in reason else _REASONS.get(reason, "other")
    # As asyncio and uvloop end a handshake whose time is up; any other end is the client's.
    return "timeout" if isinstance(error, (TimeoutError, ConnectionAbortedError)) else "left"
