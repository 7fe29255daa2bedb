"""The audit log of a configuration (wiring)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from bridge.audit import AuditTrail
from bridge.clock import Clock, rfc3339
from bridge.config import ObserveConfig
from bridge.limits import CLOSE_TIMEOUT_S
from bridge.telemetry.audit_metrics import AuditMetrics


def audit_trail(config: ObserveConfig, worker: int, metrics: AuditMetrics, clock: Clock) -> AuditTrail | None:
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


def closers_of(trail: AuditTrail | None) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    """What closes *trail*, with its name."""
    if trail is None:
        return ()

    async def close() -> None:
        await asyncio.to_thread(trail.close, CLOSE_TIMEOUT_S)

    return (("audit log", close),)
