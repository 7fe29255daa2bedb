"""Figures of the audit log (shell), told by the one thread that writes it."""

from bridge.telemetry.families import Counter


class AuditMetrics:
    """What came of records."""

    def __init__(self) -> None:
        self.records = Counter("bridge_audit_records", "Records on disk")
        self.failures = Counter("bridge_audit_failures", "Attempts to write records that the disk refused")

    def written(self, records: int) -> None:
        self.records.add(by=records)

    def failed(self) -> None:
        self.failures.add()
