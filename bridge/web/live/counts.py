"""How many wait and follow in this process just now (pure): each number is kept by whoever bounds it."""

from bridge.web.keys import Services
from bridge.web.live.streams import LiveKind

__all__ = ("count_live",)


def count_live(services: Services) -> None:
    """Set the gauges; costs nothing until a scrape asks."""
    live = services.metrics.live
    for kind in LiveKind:
        live.streams.set(services.live_streams.count(kind), kind)
    live.long_polls.set(len(services.long_polls))
    live.tails.set(services.tails.tails_count)
    live.feeds.set(services.feeds.feeds_count)
    live.feeds_held_bytes.set(services.feeds.held_bytes)
    live.slow_clients.set(len(services.outflow))
    live.slow_clients_held_bytes.set(services.outflow.held_bytes)
