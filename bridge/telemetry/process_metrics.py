"""Metrics of TLS, of files that are read again, and of limits in Redis (pure)."""

from bridge.telemetry.families import Counter, Gauge


class TlsMetrics:
    """TLS of the main port."""

    def __init__(self) -> None:
        self.not_after_s = Gauge(
            "bridge_tls_certificate_not_after_seconds",
            "When the certificate in force ends, as Unix time",
            is_of_all=True,
        )
        self.handshake_failures = Counter(
            "bridge_tls_handshake_failures", "Connections that came to no request", "reason"
        )
        # Without TLS there is none, and 0 would be a time.
        self.not_after_s.series.clear()


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
        # Where nothing is shared there is nothing to be up.
        self.up.series.clear()
