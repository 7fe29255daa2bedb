"""What is known of who calls (wiring): their keys, tokens and limits, and where it is written down what they did."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bridge.audit import AuditTrail
from bridge.clock import Clock, rfc3339
from bridge.config import Config, ObserveConfig
from bridge.limits import CLOSE_TIMEOUT_S
from bridge.policy.key_ring import KeyRing
from bridge.process.keys import key_ring
from bridge.process.listeners import ProcessContext
from bridge.process.reloads import Reloads
from bridge.process.tokens import token_issuer
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.process_metrics import AuditMetrics
from bridge.web.shared_limits import SharedLimits

if TYPE_CHECKING:
    from bridge.tokens import TokenIssuer

_Work: TypeAlias = Callable[[], Awaitable[None]]


class Callers(NamedTuple):
    """Each is None where it is not configured."""

    keys: KeyRing | None
    tokens: "TokenIssuer | None"
    audit: AuditTrail | None
    shared_limits: SharedLimits | None

    @classmethod
    async def open(cls, config: Config, context: ProcessContext, clock: Clock, reloads: Reloads) -> "Callers":
        """All that *config* asks for.

        Raises:
            ConfigError: if the file of keys cannot be used.
            StartupError: if the audit log cannot be written or continued.
        """
        metrics = context.metrics
        return cls(
            keys=await key_ring(config, clock, reloads, metrics.keys),
            tokens=token_issuer(config.tokens, clock),
            audit=_audit_trail(config.observe, context.worker, metrics.audit, clock),
            shared_limits=await _shared_limits(config, metrics),
        )

    @property
    def look_at_signing_keys(self) -> _Work | None:
        """What looks whether the keys of tokens are still fresh; None where nobody publishes any."""
        return None if self.tokens is None or self.tokens.source is None else self.tokens.source.look

    def work(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """What runs beside the requests, by name."""
        return () if self.shared_limits is None else (("shared-limits", self.shared_limits.run()),)

    @property
    def closers(self) -> tuple[tuple[str, _Work], ...]:
        """What to close, first to last, each with a name for the log."""
        audit, shared = self.audit, self.shared_limits
        closers: list[tuple[str, _Work]] = []
        if audit is not None:
            closers.append(("audit log", lambda: asyncio.to_thread(audit.close, CLOSE_TIMEOUT_S)))
        if shared is not None:
            closers.append(("shared-limits", shared.close))
        return tuple(closers)


async def _shared_limits(config: Config, metrics: Metrics) -> SharedLimits | None:
    uri = config.http.rate_limit_storage_uri
    if uri is None:
        return None
    refuses_without = config.http.rate_limit_on_error == "closed"
    shared = SharedLimits(uri, refuses_without=refuses_without, metrics=metrics.shared_limits)
    await shared.start()
    return shared


def _audit_trail(
    config: ObserveConfig, worker: int, metrics: AuditMetrics, clock: Clock
) -> AuditTrail | None:
    """The trail that *config* names a file of; None where it names none.

    Args:
        worker: as of `ProcessContext`: each has a file, and so a chain, of its own.

    Raises:
        StartupError: if the file cannot be written or continued.
    """
    if config.audit_file is None:
        return None
    path = Path(config.audit_file)
    if worker:
        path = path.with_name(f"{path.stem}.worker{worker}{path.suffix}")
    return AuditTrail(path, metrics, lambda: rfc3339(clock.now_us()))
