"""What is known of who calls (wiring): their keys, tokens and limits, and where it is written down what they did."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bridge.audit import AuditTrail
from bridge.clock import Clock
from bridge.config import Config
from bridge.policy.key_ring import KeyRing
from bridge.process.audit import audit_trail, closers_of
from bridge.process.keys import key_ring
from bridge.process.listeners import ProcessContext
from bridge.process.reloads import Reloads
from bridge.process.tokens import token_issuer
from bridge.telemetry.metrics import Metrics
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
            audit=audit_trail(config.observe, context.worker, metrics.audit, clock),
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
        shared = self.shared_limits
        return (*closers_of(self.audit), *(() if shared is None else (("shared-limits", shared.close),)))


async def _shared_limits(config: Config, metrics: Metrics) -> SharedLimits | None:
    uri = config.http.rate_limit_storage_uri
    if uri is None:
        return None
    refuses_without = config.http.rate_limit_on_error == "closed"
    shared = SharedLimits(uri, refuses_without=refuses_without, metrics=metrics.shared_limits)
    await shared.start()
    return shared
