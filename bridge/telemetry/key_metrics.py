"""Figures of the keys of a file (shell)."""

from collections.abc import Callable, Collection

from bridge.limits import METRICS_KEYS_MAX
from bridge.telemetry.families import Counter, Gauge, Rows


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
        # There is no figure where no file is configured.
        self.in_force.series.clear()
        self.not_after_s.series.clear()

    def tell(self, *, in_force: int, next_end_s: float | None) -> None:
        """How many may be used, and when the next holder is left without; None for never, of which there is no figure."""
        self.in_force.set(in_force)
        if next_end_s is None:
            self.not_after_s.series.clear()
        else:
            self.not_after_s.set(next_end_s)

    def let_in(self, key_id: str) -> None:
        self._keys.row((key_id,))[0].value += 1

    def limited(self, key_id: str) -> None:
        self._keys.row((key_id,))[1].value += 1

    def known(self, ids: Collection[str]) -> None:
        """These there are; the series of others end."""
        self._keys.end([labels for labels, _ in self._keys.known() if labels[0] not in ids])
