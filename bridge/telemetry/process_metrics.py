"""Metrics of TLS, of files that are read again, of limits in Redis, of keys and of the audit log (pure)."""

from collections.abc import Callable, Collection

from bridge.limits import METRICS_KEYS_MAX
from bridge.telemetry.families import Counter, Gauge, Rows


class TlsMetrics:
    def __init__(self) -> None:
        self.not_after_s = Gauge(
            "bridge_tls_certificate_not_after_seconds",
            "When the certificate in force ends, as Unix time",
            is_of_all=True,
        )
        self.crl_next_update_s = Gauge(
            "bridge_tls_crl_next_update_seconds",
            "When the lists of revoked client certificates in force are of no use any more, as Unix time",
            is_of_all=True,
        )
        self.handshake_failures = Counter(
            "bridge_tls_handshake_failures", "Connections that came to no request", "reason"
        )


class ReloadMetrics:
    """Files that are read again while the bridge serves."""

    def __init__(self) -> None:
        self.reloads = Counter("bridge_reloads", "Times that files were read again", "what", "outcome")
        self.stale = Gauge(
            "bridge_reload_stale",
            "1 where the last attempt failed, so that what was read before is still in force",
            "what",
            is_of_all=True,
        )

    def known(self, what: str) -> None:
        """*what* can be reloaded; told from the start, since an alert on a series that is not there never fires."""
        self.reloads.at(what, "ok")
        self.reloads.at(what, "failed")
        self.stale.set(0, what)

    def done(self, what: str, *, ok: bool) -> None:
        """One attempt is over."""
        self.reloads.add(what, "ok" if ok else "failed")
        self.stale.set(int(not ok), what)


class SharedLimitMetrics:
    """Limits that replicas count together."""

    def __init__(self) -> None:
        self.up = Gauge(
            "bridge_shared_limits_up",
            "1 where the limits in RATE_LIMIT_STORAGE_URI are in force, 0 while it does not answer",
            is_of_all=True,
        )
        self.errors = Counter("bridge_shared_limits_errors", "Questions that it did not answer")


class KeyMetrics:
    """Keys of a file, by their ids.

    Attributes:
        ask: calls `tell`, before each scrape.
    """

    def __init__(self, keys_max: int = METRICS_KEYS_MAX) -> None:
        self.in_force = Gauge("bridge_keys_in_force", "Keys of KEYS_FILE that may be used", is_of_all=True)
        self.not_after_s = Gauge(
            "bridge_keys_not_after_seconds",
            "When the next holder of keys is left without one, as Unix time",
            is_of_all=True,
        )
        self.requests = Counter("bridge_key_requests", "Requests let in with this key", "key")
        self.refused = Counter("bridge_key_rate_limited", "Requests refused by the limits of this key", "key")
        self._keys = Rows(keys_max, (self.requests, self.refused))
        self.ask: Callable[[], None] = lambda: None

    def tell(self, *, in_force: int, next_end_s: float | None) -> None:
        """How many may be used, and when the next holder is left without; None for never, of which there is no figure."""
        self.in_force.set(in_force)
        self.not_after_s.set(next_end_s)

    def let_in(self, key_id: str) -> None:
        self._keys.row((key_id,))[0].value += 1

    def limited(self, key_id: str) -> None:
        self._keys.row((key_id,))[1].value += 1

    def known(self, ids: Collection[str]) -> None:
        """These there are; the series of others end."""
        self._keys.end([labels for labels, _ in self._keys.known() if labels[0] not in ids])


class AuditMetrics:
    """What came of records; told by the one thread that writes them."""

    def __init__(self) -> None:
        self.records = Counter("bridge_audit_records", "Records on disk")
        self.failures = Counter("bridge_audit_failures", "Attempts to write records that the disk refused")

    def written(self, records: int) -> None:
        self.records.add(by=records)

    def failed(self) -> None:
        self.failures.add()
