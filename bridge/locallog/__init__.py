"""The embedded durable log on SQLite (wiring)."""

from bridge.locallog.faults import LocalLogFailed
from bridge.locallog.message_log import LocalMessageLog

__all__ = ("LocalLogFailed", "LocalMessageLog")
