"""Every route there is, as one table (wiring)."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from aiohttp import web

from bridge.web.handlers import health, reading, sending, streams, topics

__all__ = ("ROUTES", "Handler", "Route")

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One method of one path template."""

    method: str
    path: str
    handler: Handler


_STREAM: Final = "/streams/{stream}"
_TOPIC: Final = "/streams/{stream}/topics/{topic}"

ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", health.health),
    Route("GET", "/ready", health.ready),
    Route("GET", "/stats", health.stats),
    Route("GET", "/metrics", health.metrics),
    Route("GET", "/messages", reading.poll),
    Route("POST", "/messages", sending.send),
    Route("POST", "/messages/batch", sending.send_batch),
    Route("GET", f"{_TOPIC}/messages", reading.poll),
    Route("POST", f"{_TOPIC}/messages", sending.send),
    Route("POST", f"{_TOPIC}/messages/batch", sending.send_batch),
    Route("GET", "/streams", streams.list_streams),
    Route("POST", "/streams", streams.create_stream),
    Route("GET", _STREAM, streams.get_stream),
    Route("DELETE", _STREAM, streams.delete_stream),
    Route("GET", f"{_STREAM}/topics", topics.list_topics),
    Route("POST", f"{_STREAM}/topics", topics.create_topic),
    Route("GET", _TOPIC, topics.get_topic),
    Route("DELETE", _TOPIC, topics.delete_topic),
)
