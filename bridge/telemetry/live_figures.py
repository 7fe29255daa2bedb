"""Who is waiting and following just now, as plain numbers (pure); `metrics.py` shows them on a scrape."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from bridge.telemetry.snapshot import LiveSnapshot

__all__ = ("LiveFigures",)


class LiveFigures:
    """
    Gauges of live consumption. Nobody counts twice: those who bound them know how many there are, and are asked on a scrape.

    Attributes:
        ask: tells how many there are in this process.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], LiveSnapshot] = LiveSnapshot
        self._elsewhere = LiveSnapshot()

    def snapshot(self) -> LiveSnapshot:
        """All of them as plain values."""
        return self._elsewhere.plus(self.ask())

    def absorb(self, other: LiveSnapshot, *, alive: bool) -> None:
        """Add another's; one that is no longer alive has none."""
        if alive:
            self._elsewhere = self._elsewhere.plus(other)

    def families(self) -> Iterator[Metric]:
        """As Prometheus wants them."""
        now = self.snapshot()
        streams = GaugeMetricFamily(
            "bridge_live_streams", "Event streams, sockets and subscriptions open", labels=("kind",)
        )
        streams.add_metric(("event_stream",), now.event_streams)
        streams.add_metric(("socket",), now.sockets)
        streams.add_metric(("subscription",), now.subscriptions)
        yield streams
        yield GaugeMetricFamily(
            "bridge_long_polls", "Reads and group receivers that may wait", value=now.long_polls
        )
        yield GaugeMetricFamily(
            "bridge_tails", "Partitions watched for those who wait or follow", value=now.tails
        )
        yield GaugeMetricFamily("bridge_feeds", "Topics, or lists of partitions, followed", value=now.feeds)
        yield GaugeMetricFamily(
            "bridge_feeds_held_bytes", "Held of them for readers behind", value=now.feeds_held_bytes
        )
        yield GaugeMetricFamily(
            "bridge_slow_clients", "Connections whose client does not take what waits", value=now.slow_clients
        )
        yield GaugeMetricFamily(
            "bridge_slow_clients_held_bytes", "Held for them", value=now.slow_clients_held_bytes
        )
