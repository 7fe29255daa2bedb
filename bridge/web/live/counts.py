"""How many wait and follow in this process just now (pure): each number is kept by whoever bounds it."""

from bridge.telemetry.snapshot import LiveSnapshot
from bridge.web.keys import Services
from bridge.web.live.streams import LiveKind

__all__ = ("live_counts",)


def live_counts(services: Services) -> LiveSnapshot:
    """For the gauges; costs nothing until a scrape asks."""
    return LiveSnapshot(
        event_streams=services.live_streams.count(LiveKind.EVENTS),
        sockets=services.live_streams.count(LiveKind.SOCKET),
        subscriptions=services.live_streams.count(LiveKind.SUBSCRIPTION),
        long_polls=len(services.long_polls),
        tails=services.tails.tails_count,
        feeds=services.feeds.feeds_count,
        feeds_held_bytes=services.feeds.held_bytes,
        slow_clients=len(services.outflow),
        slow_clients_held_bytes=services.outflow.held_bytes,
    )
